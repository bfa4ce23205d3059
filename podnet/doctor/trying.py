"""What the kernel can do, tried: podnet's own plans, carried out in a network of nobody's that ends with its thread.

So it is not guessed from a kernel's configuration, which a container does not see: whatever podnet would ask for here
is asked for there.  A thread may have a network of its own (unshare(2)); this one's is left to the end.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from typing import TypeVar

import msgspec

from podnet import datapath
from podnet.cluster import Settings
from podnet.daemon.explanation import first_lease
from podnet.diagnosis.features import Refusal
from podnet.errors import IOFailure, KernelError, NodeNotReady, PodnetError
from podnet.kernel import Kernel
from podnet.kernel.namespace import CLONE_NEWNET, OWN, identity, setns
from podnet.kernel.wireguard_go import kind_of_device
from podnet.model import Bandwidth, Namespace, Network, NodeFacts, Rate, Terms
from podnet.nft import Chain, Element, Rule, Set, Table
from podnet.plan import Link, Plan, Redirect, Step, Tbf, Vxlan

T = TypeVar("T")
LIMIT = Bandwidth(ingress=Rate(1_000_000, 131_072), egress=Rate(1_000_000, 131_072))
_libc = ctypes.CDLL(None, use_errno=True)


def refusals(settings: Settings, network: Network, facts: NodeFacts) -> list[Refusal]:
    """Return what of `network` on the node of `facts`, and of its backend, the kernel refuses; raise `IOFailure`."""
    found = in_nobodys_network(lambda: _try(settings, network, facts))
    if settings.backend == "wireguard":
        try:
            kind_of_device()
        except NodeNotReady as error:
            found.append(Refusal("wireguard", error.msg))
    return found


def in_nobodys_network(work: Callable[[], T]) -> T:
    """Return what `work` gives in a network of its own; raise what it raises, and `IOFailure` where there is none."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            _unshare()
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    for error in errors:
        raise error
    return results[0]


def _unshare() -> None:
    if _libc.unshare(CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise IOFailure(f"unshare: {os.strerror(number)}; a network to try in takes CAP_SYS_ADMIN, run it as root")


def _try(settings: Settings, network: Network, facts: NodeFacts) -> list[Refusal]:
    """Carry out the node's part, a first pod's, a limited pod's and a tunnel's device, as far as each goes."""
    try:
        kernel = Kernel()
    except IOFailure as error:
        return [Refusal("nftables", error.msg)]  # rtnetlink has listed this node's links already
    home = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        bare = msgspec.structs.replace(facts, ra_links=(), addresses=())  # of its links and addresses there are none
        found = _refused(kernel, datapath.node_plan([network], bare))
        if not found and network.ranges:
            found = _try_pods(kernel, home, network, bare)
        if settings.backend in {"vxlan", "auto"}:
            found += _refused(kernel, _tunnel(settings, facts))
        return found
    finally:
        os.close(home)
        kernel.close()


def _try_pods(kernel: Kernel, home: int, network: Network, facts: NodeFacts) -> list[Refusal]:
    lease = first_lease(network, "doctor")
    limited = msgspec.structs.replace(lease, terms=Terms(bandwidth=LIMIT))
    plain = datapath.attach(network, facts, lease)
    shaping = Plan(tuple(s for s in datapath.attach(network, facts, limited).steps if s not in plain.steps))
    _unshare()
    descriptor = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(home)
        return _refused(kernel, plain, Namespace(descriptor, identity(descriptor), "")) or _refused(kernel, shaping)
    finally:
        os.close(descriptor)


def _tunnel(settings: Settings, facts: NodeFacts) -> Plan:
    """Return the device of a tunnel, as podnet makes it but for the uplink, which is not there."""
    tunnel = settings.vxlan
    vxlan = (
        Vxlan(vni=tunnel.vni, local=address, port=tunnel.port, dev="")
        for address in facts.addresses[:1]
    )  # fmt: skip
    return Plan(tuple(Step(Link(at="node", name="podnet-try", kind="vxlan", vxlan=each), "tried") for each in vxlan))


def _refused(kernel: Kernel, plan: Plan, namespace: Namespace | None = None) -> list[Refusal]:
    try:
        kernel.apply(plan, namespace)
    except KernelError as error:
        return [Refusal(_feature(error.at), error.msg)]
    except PodnetError as error:
        return [Refusal("ptp", error.msg)]
    return []


def _feature(refused: object) -> str:
    """Return the feature of `podnet.diagnosis.features` that an object takes."""
    if isinstance(refused, Table | Chain | Set | Rule | Element):
        return "nftables"
    if isinstance(refused, Tbf | Redirect) or (isinstance(refused, Link) and refused.kind == "ifb"):
        return "bandwidth"
    kind = refused.kind if isinstance(refused, Link) else ""
    return kind if kind in {"bridge", "vxlan"} else "ptp"
