"""What `explain` prints and what `kernel.apply` sends are one plan in two languages: the kernel ends in one state."""

from contextlib import ExitStack
from functools import partial
from ipaddress import ip_network
from uuid import uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podnet import datapath, mesh
from podnet.model import Network, Node, Tunnel
from podnet.model.network import IPAddress
from podnet.plan import Link, Object, Plan, Redirect, Step, Tbf, diff, inverse, script
from podnet.plan.objects import Place
from podnet.testing.namespaces import NodeNamespace, shaping_of, state_of
from podnet.testing.values import FACTS, ROUTES, a_lease, a_network
from podnet.testing.waiting import equal_soon

pytestmark = pytest.mark.live

NETWORKS = st.builds(
    a_network,
    datapath=st.sampled_from(["ptp", "bridge"]),
    versions=st.sampled_from([(4,), (6,), (4, 6)]),
    mtu=st.sampled_from([0, 1400]),
    masquerade=st.booleans(),
    hairpin=st.booleans(),
    routes=st.sampled_from([(), ROUTES]),
)
PEERS = (
    Node("n1", FACTS.addresses, ()),
    Node("n2", (FACTS.addresses[0] + 1, FACTS.addresses[1] + 1), a_network(versions=(4, 6)).subnets),
)


def plans(network: Network, pods: int) -> tuple[Plan, list[Plan]]:
    """Return the node's plan and those of `pods` pods."""
    leases = [a_lease(network, f"pod{number}", number + 2) for number in range(pods)]
    return datapath.node_plan([network], FACTS), [datapath.attach(network, FACTS, lease) for lease in leases]


@given(network=NETWORKS, pods=st.integers(1, 3))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_script_and_the_messages_of_a_plan_make_the_same_state(network: Network, pods: int) -> None:
    """`sh` run on what explain prints leaves node and pods as kernel.apply of the same plan does."""
    node_plan, pod_plans = plans(network, pods)
    with ExitStack() as stack:
        told, sent = (NodeNamespace(f"plan-{uuid4().hex[:8]}", stack) for _ in range(2))
        with sent.inside():
            sent.kernel.apply(node_plan)
        told.sh(script(node_plan))
        for number, plan in enumerate(pod_plans):
            ours, theirs = sent.pod(f"{sent.name}-{number}"), told.pod(f"{told.name}-{number}")
            with sent.inside():
                sent.kernel.apply(plan, ours)
            told.sh(script(plan, theirs.path))
            # What the script adds becomes local when the kernel's work queue has run: see podnet.kernel.settling.
            equal_soon(partial(state_of, ours.path), partial(state_of, theirs.path))
        equal_soon(sent.state, told.state)


@given(network=NETWORKS)
@settings(max_examples=6, deadline=None)
def test_what_was_applied_is_observed_as_desired(network: Network) -> None:
    """After apply, the diff of observed and desired is empty, for the node and for the pod."""
    node_plan, (pod_plan,) = plans(network, 1)
    with ExitStack() as stack:
        node = NodeNamespace(f"plan-{uuid4().hex[:8]}", stack)
        pod = node.pod(f"{node.name}-p")
        with node.inside():
            node.kernel.apply(node_plan)
            node.kernel.apply(pod_plan, pod)
            assert diff(node.kernel.observe(node_plan), node_plan) == Plan()
            assert diff(node.kernel.observe(pod_plan, pod), pod_plan) == Plan()


@given(network=NETWORKS)
@settings(max_examples=6, deadline=None)
def test_the_inverse_of_an_attachment_leaves_what_was_before(network: Network) -> None:
    """Applying a pod's plan and then its inverse leaves the node's state as it was, another pod's part untouched."""
    node_plan, (bystander, pod_plan) = plans(network, 2)
    with ExitStack() as stack:
        node = NodeNamespace(f"plan-{uuid4().hex[:8]}", stack)
        pod = node.pod(f"{node.name}-p")
        with node.inside():
            node.kernel.apply(node_plan)
            node.kernel.apply(bystander, node.pod(f"{node.name}-b"))
            before = node.state()
            node.kernel.apply(pod_plan, pod)
            assert node.state() != before
            node.kernel.dismantle(inverse(pod_plan))
        assert node.state() == before


def test_routes_to_other_nodes_are_the_same_in_text_and_bytes(stack: ExitStack, unique: str) -> None:
    """Direct routes applied and printed lead to one routing table."""
    plan = mesh.between(PEERS, FACTS, "direct", Tunnel()).plan
    told, sent = NodeNamespace(f"{unique}-a", stack), NodeNamespace(f"{unique}-b", stack)
    with sent.inside():
        sent.kernel.apply(plan)
    told.sh(script(plan))
    assert sent.state() == told.state()
    assert len(plan.steps) == 2


@pytest.mark.parametrize("addresses", [FACTS.addresses, FACTS.addresses[1:]], ids=["over IPv4", "over IPv6"])
def test_tunnels_to_other_nodes_are_the_same_in_text_and_bytes(
    stack: ExitStack, unique: str, addresses: tuple[IPAddress, ...]
) -> None:
    """The device with its options, forwarding table, neighbours and routes, applied and printed; then taken back."""
    facts = msgspec.structs.replace(FACTS, addresses=addresses)
    own = a_network(versions=(4, 6)).subnets
    cidrs = [(ip_network(f"10.244.{n}.0/24"), ip_network(f"fd00:10:244:{n}::/64")) for n in (2, 3)]
    others = [Node(f"n{n}", (addresses[0] + n, addresses[-1] + n), cidrs[n - 2]) for n in (2, 3)]
    plan = mesh.between((Node("n1", addresses, own), *others), facts, "vxlan", Tunnel()).plan
    told, sent = NodeNamespace(f"{unique}-a", stack), NodeNamespace(f"{unique}-b", stack)
    with sent.inside():
        sent.kernel.apply(plan)
        assert diff(sent.kernel.observe(plan), plan) == Plan()
    told.sh(script(plan))
    assert sent.state() == told.state()
    assert len(sent.state()["fdb"]) == 2
    with sent.inside():
        sent.kernel.dismantle(inverse(plan))
    told.sh(script(inverse(plan)))
    assert sent.state() == told.state()
    assert "podnet-vx" not in str(told.state())


MAC = "02:00:00:00:00:%02x"
PAIR = (
    Link(at="node", name="veth-a", kind="veth", peer="eth0", mac=MAC % 1, queues=1, route_localnet=True),
    Link(at="pod", name="eth0", kind="veth", mac=MAC % 2, queues=1, ipv6_autoconf=False, route_localnet=True),
)


def shaped(at: Place, dev: str, ifb: str, tbf: tuple[int, int, int]) -> list[Object]:
    """Return an ifb, what shapes both directions of `dev` with it, by a rate, a burst and a limit."""
    rate, burst, limit = tbf
    return [
        Link(
            at=at,
            name=ifb,
            kind="ifb",
            ipv6_autoconf=False,
            mac=MAC % 3,
            mtu=1400,
            queues=1,
            group=7,
            alias=f"of {dev}",
        ),
        Tbf(at=at, dev=dev, rate=rate, burst=burst, limit=limit),
        Tbf(at=at, dev=ifb, rate=rate, burst=burst, limit=limit),
        Redirect(at=at, dev=dev, to=ifb),
    ]


@given(rate=st.integers(10**5, 10**10), burst=st.integers(2000, 10**6), limit=st.integers(1, 2**31))
@settings(max_examples=5, deadline=None)
def test_shaping_is_the_same_in_text_and_bytes(rate: int, burst: int, limit: int) -> None:
    """Made at both places, set to another rate and another ifb, and taken away: `tc` and `ip` tell the same of both."""
    made = [*PAIR, *shaped("pod", "eth0", "ifb0", (rate, burst, limit))]
    made += shaped("node", "veth-a", "ifb-a", (rate, burst, limit))
    made += [Link(at="node", name="ifb-b", kind="ifb", ipv6_autoconf=False, mac=MAC % 4)]
    others: list[Object] = [
        Tbf(at="node", dev="veth-a", rate=rate + 1, burst=burst, limit=limit),
        Redirect(at="node", dev="veth-a", to="ifb-b"),
        Redirect(at="node", dev="ifb-b", to="ifb-a"),
        Tbf(at="pod", dev="eth0", rate=rate + 1, burst=burst, limit=limit),
    ]
    plans_in_turn = [Plan(tuple(Step(thing, "made") for thing in made))]
    plans_in_turn.append(Plan(tuple(Step(thing, "changed", "set") for thing in others)))
    plans_in_turn.append(Plan(tuple(Step(thing, "gone", "delete") for thing in others)))
    with ExitStack() as stack:
        told, sent = (NodeNamespace(f"plan-{uuid4().hex[:8]}", stack) for _ in range(2))
        ours, theirs = sent.pod(f"{sent.name}-p"), told.pod(f"{told.name}-p")
        seen = [shaping_of(sent.name)]
        for plan in plans_in_turn:
            with sent.inside():
                sent.kernel.apply(plan, ours)
                if plan is not plans_in_turn[-1]:
                    assert diff(sent.kernel.observe(plan, ours), plan) == Plan()
            told.sh(script(plan, theirs.path))
            assert state_of(ours.path) == state_of(theirs.path)
            assert shaping_of(ours.path) == shaping_of(theirs.path)
            equal_soon(sent.state, told.state)
            assert shaping_of(sent.name) == shaping_of(told.name) != seen[-1]
            seen.append(shaping_of(sent.name))
