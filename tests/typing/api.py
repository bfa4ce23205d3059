"""User code of podnet's public names: it is not run but must type-check, so that the names keep their types.

``assert_type`` says what a type checker must see; a name that goes, or that becomes Any, fails `make check`.
"""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, assert_type

from podnet import __version__, cni, datapath, mesh, nft, plan
from podnet.daemon import Paths
from podnet.daemon.explanation import Explanation, explain_configuration, explain_container
from podnet.engine import Engine
from podnet.errors import KernelError, PodnetError, RequestError, Unavailable
from podnet.kernel import Kernel
from podnet.kernel.facts import node_facts
from podnet.model import (
    DNS,
    Attachment,
    Bandwidth,
    Delegation,
    KubernetesPod,
    Lease,
    Network,
    Node,
    NodeFacts,
    PodAddress,
    PodRoute,
    PortMapping,
    Range,
    Rate,
    Terms,
    Tunnel,
    link_name,
)
from podnet.netlink.message import MESSAGES, Message, Request
from podnet.netlink.rtnl import Link as LinkMessage
from podnet.netlink.transaction import Refusal, Transaction
from podnet.store import Reader, Store

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


def a_network_is_made_of_values() -> Network:
    """Values are keyword-only where they have many fields, and frozen."""
    subnet = ip_network("10.244.1.0/24")
    pool = Range(subnet=subnet, first=subnet[1], last=subnet[-2], gateway=subnet[1])
    assert_type(pool.subnet, IPNetwork)
    network = Network(name="podnet", datapath="bridge", ranges=((pool,),), routes=(PodRoute(subnet),))
    assert_type(network.subnets, tuple[IPNetwork, ...])
    assert_type(network.families, frozenset[int])
    network.mtu = 1400  # type: ignore[misc]  # frozen: a checker must say so
    Network(name="podnet", datapath="vxlan")  # type: ignore[arg-type]  # no such datapath: a checker must say so
    return network


def a_lease_is_of_an_attachment() -> Lease:
    """Return a lease: it has all that rebuilds a plan."""
    attachment = Attachment("podnet", "4f2v", "eth0")
    assert_type(attachment.alias, str)
    return Lease(
        attachment=attachment,
        addresses=(PodAddress(ip_address("10.244.1.2"), 24, ip_address("10.244.1.1")),),
        link=link_name(attachment),
        netns=None,
        netns_path="red",
        boot_id="b",
        created=0.0,
        terms=a_pod_has_terms(),
    )


def a_pod_has_terms() -> Terms:
    """Return what else a pod asked for; each has its type, and `None` or nothing where it was not asked for."""
    terms = Terms(
        ports=(PortMapping("tcp", 8080, 80), PortMapping("udp", 53, 53, ip_address("192.0.2.1"))),
        bandwidth=Bandwidth(egress=Rate(125_000, 131_072)),
        pod=KubernetesPod("shop", "web-0"),
    )
    assert_type(terms.ports, tuple[PortMapping, ...])
    assert_type(terms.ports[0].only_at, IPAddress | None)
    assert_type(terms.bandwidth.ingress, Rate | None)
    assert_type(terms.dns, DNS | None)
    assert_type(terms.pod, KubernetesPod | None)
    assert_type(terms.delegation, Delegation | None)
    PortMapping("icmp", 8080, 80)  # type: ignore[arg-type]  # has no ports: a checker must say so
    return terms


def plans_are_made_compared_and_told(network: Network, lease: Lease, facts: NodeFacts, nodes: Sequence[Node]) -> str:
    """Return a plan as text; every function of plan takes and gives values."""
    whole = plan.Plan.of(
        datapath.node_plan([network], facts),
        mesh.between(nodes, facts, "direct", Tunnel(vni=1)).plan,
        datapath.attach(network, facts, lease),
    )
    assert_type(whole, plan.Plan)
    assert_type(mesh.between(nodes, facts, "auto", Tunnel(vni=1)), mesh.Mesh)
    assert_type(whole.steps, tuple[plan.Step, ...])
    assert_type(whole.objects(), Iterator[plan.Object])
    assert_type(plan.inverse(whole), plan.Plan)
    assert_type(datapath.cut(network, lease), plan.Plan)
    assert_type(datapath.loopback(), plan.Plan)
    assert_type(datapath.pod_routes(network, lease), Iterator[tuple[IPNetwork, IPAddress]])
    assert_type(datapath.pod_mac(lease), str)
    observed: plan.State = plan.state_of(whole.objects())
    assert_type(plan.diff(observed, whole), plan.Plan)
    batches = plan.encode(whole, {("node", "br0"): 7}, None)
    assert_type(batches, list[plan.Batch])
    assert_type(batches[0].requests, list[Request])
    for line in plan.explain(whole, "red"):
        assert_type(line.command, str)
        assert_type(line.reason, str)
    return plan.script(whole, "/proc/7/ns/net")


def a_step_speaks_of_an_object() -> plan.Step:
    """Objects are told apart by their types."""
    step = plan.Step(plan.Link(at="node", name="br0", kind="bridge"), "because")
    thing = step.object
    if isinstance(thing, plan.Route):
        assert_type(thing.dst, IPNetwork)
        assert_type(thing.via, IPAddress | None)
    elif isinstance(thing, nft.Element):
        assert_type(thing.set, nft.Set)
    plan.Step(thing, "because", "mend")  # type: ignore[arg-type]  # no such verb: a checker must say so
    plan.Link("node", "br0")  # type: ignore[call-arg]  # fields are named: a checker must say so
    return step


def a_transaction_is_bytes_in_and_out(answers: Sequence[bytes]) -> list[Refusal]:
    """Netlink without a socket."""
    transaction = Transaction([LinkMessage(index=7).delete()], 1)
    assert_type(transaction.request(), bytes)
    for datagram in answers:
        transaction.feed(datagram)
    assert_type(transaction.done, bool)
    assert_type(MESSAGES, dict[tuple[int, int], type[Message]])
    return transaction.failures


def a_configuration_is_parsed(document: bytes, default: Network) -> Network:
    """Return what a runtime's configuration says, over the node's default."""
    return cni.load(document, default)


def a_request_is_told_apart_by_its_type(frame: cni.Frame, default: Network) -> str:
    """Each verb comes with what its parser made sure of."""
    request = cni.parse(frame, default)
    if isinstance(request, cni.GC):
        assert_type(request.valid, frozenset[tuple[str, str]])
    elif isinstance(request, cni.Add):
        assert_type(request.terms, Terms)
        assert_type(request.previous, cni.Attached | None)
        assert_type(cni.with_addresses(request, frame, b"{}"), cni.Add)
    elif isinstance(request, cni.Status):
        assert_type(request.configuration.delegate, str)
    return request.version


def the_kernel_does_and_tells(whole: plan.Plan) -> Mapping[tuple[object, ...], plan.Object]:
    """Return what the kernel has after it was told."""
    kernel = Kernel()
    try:
        kernel.apply(whole)
        return kernel.observe(whole)
    except KernelError as error:
        assert_type(error.errno, int)
        assert_type(error.extack, str)
        raise
    finally:
        kernel.close()


def a_node_explains_itself(paths: Paths) -> Explanation:
    """Two kinds of questions, one kind of answer."""
    assert_type(node_facts("n1", uplink="eth0"), NodeFacts)
    assert_type(explain_configuration(paths, None).node, list[plan.Line])
    return explain_container(paths, "4f2v")


def the_database_is_read(path: Path) -> list[Lease]:
    """Return leases; reading needs no lock."""
    with Reader.read(path) as reader:
        return list(reader.find_container("4f2v"))


def the_database_is_written(path: Path, network: Network) -> Lease:
    """Return a new lease; writing is one process's."""
    with Store.open(path, "boot", 0.0) as store:
        assert_type(store, Store)
        return store.reserve(Attachment(network.name, "4f2v", "eth0"), network, (), None, "red", 0.0)


def errors_say_whose_fault_it_is(error: PodnetError) -> tuple[int, str]:
    """Every error has a code of CNI's, a line, and details."""
    if isinstance(error, RequestError | Unavailable):
        assert_type(error.msg, str)
    return error.cni_code, error.details


def an_engine_is_given_its_edges(facts: NodeFacts, store: Store, kernel: Kernel, clock: Any) -> Engine:
    """Fill the engine's ports by the real ones."""
    assert_type(__version__, str)
    engine = Engine(facts, store, kernel, clock)
    assert_type(engine.node_plan(), plan.Plan)
    return engine
