"""Clusters that speak BGP: nodes on LANs, routers between them, and what each machine sees of itself."""

from collections.abc import Sequence
from ipaddress import ip_network
from typing import NamedTuple

from hypothesis import strategies as st

from podnet.bird import Configuration
from podnet.mesh.bgp import node_configuration, router_configuration
from podnet.model import BGP, Node, NodeFacts, Router
from podnet.model.bgp import IPAddress, Role

LANS = {
    lan: {4: ip_network(f"10.99.{lan}.0/24"), 6: ip_network(f"fd99:0:0:{lan}::/64")} for lan in range(3)
}  # fmt: skip
CLUSTER = (ip_network("10.244.0.0/16"), ip_network("fd00:10:244::/48"))
BOTH = (4, 6)
ROLES: tuple[Role, ...] = ("reflector", "client", "peer")


def an_address(lan: int, host: int, version: int) -> IPAddress:
    """Return the address of a host on a LAN."""
    return LANS[lan][version][host]


def a_node(
    number: int,
    versions: Sequence[int] = BOTH,
    pods: Sequence[int] = BOTH,
    *,
    lan: int = 0,
    prefixes: int = 1,
    reflector: bool = False,
    name: str = "",
) -> Node:
    """Return node `number` (1 to 99) on a LAN, with `prefixes` of each family in `pods`."""
    cidrs = {
        4: [ip_network(f"10.244.{number + 100 * n}.0/24") for n in range(prefixes)],
        6: [ip_network(f"fd00:10:244:{number + 100 * n:x}::/64") for n in range(prefixes)],
    }
    return Node(
        name or f"n{number}",
        tuple(an_address(lan, 100 + number, v) for v in versions),
        tuple(cidr for v in pods for cidr in cidrs[v]),
        reflector=reflector,
    )


def facts_of(machine: Node | Router) -> NodeFacts:
    """Return what a node, or a router, sees of itself: the subnets that it is on."""
    subnets = [s for lan in LANS.values() for s in lan.values() if any(a in s for a in machine.addresses)]
    return NodeFacts(
        name=machine.name, boot_id="b", uplink="up0", addresses=machine.addresses, subnets=tuple(subnets)
    )  # fmt: skip


class Cluster(NamedTuple):
    """Nodes, and how they speak BGP."""

    nodes: tuple[Node, ...]
    bgp: BGP

    def on(self, machine: Node | Router) -> Configuration:
        """Return what the BIRD of a node, or of a router, does."""
        if isinstance(machine, Node):
            return node_configuration(machine, self.nodes, facts_of(machine), self.bgp, CLUSTER)
        return router_configuration(machine, self.nodes, facts_of(machine), self.bgp, CLUSTER)

    @property
    def machines(self) -> tuple[Node | Router, ...]:
        """All that have a BIRD."""
        return (*self.nodes, *self.bgp.routers)


def some(values: Sequence[int]) -> st.SearchStrategy[tuple[int, ...]]:
    """Draw some of these, one at least, in their order."""
    return st.sets(st.sampled_from(values), min_size=1).map(lambda drawn: tuple(v for v in values if v in drawn))


def nodes() -> st.SearchStrategy[list[Node]]:
    """Draw nodes whose numbers differ, 1 to 90."""
    one = st.builds(
        a_node,
        st.integers(1, 90),
        some(BOTH),
        st.just(()) | some(BOTH),
        lan=st.integers(0, 2),
        prefixes=st.integers(1, 2),
        reflector=st.booleans(),
    )
    return st.lists(one, min_size=1, max_size=6, unique_by=lambda node: node.name)


@st.composite
def routers(draw: st.DrawFn, names: Sequence[str]) -> tuple[Router, ...]:
    """Draw routers, each with an address on some LANs, for some of the nodes or for all."""
    drawn = []
    for number in range(draw(st.integers(0, 3))):
        role = draw(st.sampled_from(ROLES))
        lans, versions = draw(some(tuple(LANS))), draw(some(BOTH))
        drawn.append(
            Router(
                name=f"tor{number}",
                addresses=tuple(an_address(lan, 1 + number, v) for lan in lans for v in versions),
                asn=0 if role == "reflector" else draw(st.sampled_from([0, 64512, 65001])),
                role=role,
                nodes=tuple(draw(st.lists(st.sampled_from(names), unique=True, max_size=3))),
                password_file=draw(st.sampled_from(["", "/etc/podnet/tor"])),
            )
        )
    return tuple(drawn)


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    """Draw a cluster."""
    drawn = draw(nodes())
    return Cluster(
        tuple(drawn),
        BGP(
            mode=draw(st.sampled_from(["mesh", "reflectors", "routers"])),
            profile=draw(st.sampled_from(["fast", "graceful"])),
            password_file=draw(st.sampled_from(["", "/etc/podnet/bgp"])),
            communities=draw(st.sampled_from([(), ((64512, 100),), ((0, 0), (65535, 65535))])),
            routers=draw(routers([node.name for node in drawn])),
            socket=draw(st.sampled_from(["", "/run/bird/bird.ctl"])),
        ),
    )


PASSWORDS = {"/etc/podnet/bgp": "between nodes\n", "/etc/podnet/tor": "of the rack\n"}
