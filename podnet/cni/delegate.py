"""IPAM by another plugin: what its answer makes of an ADD (SPEC.md, "Delegated Plugin Execution").

Its addresses become ranges of the network, and are requested; from there on nothing distinguishes such an ADD.
"""

import msgspec

from podnet.cni import result
from podnet.cni.decoding import stated_version
from podnet.cni.frame import Frame
from podnet.cni.request import Add
from podnet.cni.versions import UNSTATED
from podnet.errors import DelegateFailed
from podnet.model import DNS, Delegation, Range
from podnet.model.network import IPAddress, IPNetwork

NOWHERE = {4: "169.254.1.1", 6: "fe80::1"}
"""The gateway of an address that comes without one: where the routes of ptp pods point anyway."""


class _Error(msgspec.Struct, gc=False):
    code: int
    msg: str = ""
    details: str = ""


def with_addresses(request: Add, frame: Frame, answer: bytes) -> Add:
    """Return `request`, which came in `frame`, with the addresses in a plugin's `answer`; raise `DelegateFailed`."""
    plugin = request.configuration.delegate
    version = stated_version(answer) or request.version
    try:
        given = result.read(version or UNSTATED, answer)
        ranges = _ranges(given.ips)
    except Exception as error:
        raise DelegateFailed(f"ipam plugin {plugin}: {error}", answer[:200].decode(errors="replace")) from error
    if not ranges:
        raise DelegateFailed(f"ipam plugin {plugin} gave no address: look into its configuration, the key ipam")
    network = msgspec.structs.replace(
        request.network,
        ranges=ranges,
        routes=given.routes or request.network.routes,
        dns=request.network.dns if given.dns == DNS() else given.dns,
        quarantine=0.0,
    )
    terms = msgspec.structs.replace(request.terms, delegation=delegation_of(plugin, frame))
    configuration = msgspec.structs.replace(request.configuration, network=network)
    addresses = tuple([ip.address for ip in given.ips])
    return msgspec.structs.replace(request, configuration=configuration, addresses=addresses, terms=terms)


def delegation_of(plugin: str, frame: Frame) -> Delegation:
    """Return how `plugin` is told, later and without a runtime, that the addresses of `frame` are free."""
    environment = frame.environment
    return Delegation(plugin, frame.stdin.decode(), environment.get("CNI_ARGS", ""), environment.get("CNI_PATH", ""))


def failure_of(plugin: str, status: int, answer: bytes) -> DelegateFailed:
    """Return what a plugin's `answer` with an exit `status` other than 0 says: its own code and words."""
    try:
        told = msgspec.json.decode(answer, type=_Error)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        said = answer[:200].decode(errors="replace").strip() or "nothing"
        return DelegateFailed(f"ipam plugin {plugin} ended with status {status} and said {said!r}")
    return DelegateFailed(f"ipam plugin {plugin}: {told.msg}", told.details, code=told.code)


def _ranges(ips: tuple[result.IPConfig, ...]) -> tuple[tuple[Range, ...], ...]:
    """Return a range set per address: its whole subnet, the same for every pod, or where two are of one, itself."""
    subnets = [result.network_of(ip.address, ip.prefixlen) for ip in ips]
    return tuple(
        [(_range(ip, subnet, alone=subnets.count(subnet) > 1),) for ip, subnet in zip(ips, subnets, strict=True)]
    )


def _range(ip: result.IPConfig, subnet: IPNetwork, *, alone: bool) -> Range:
    single = ip.prefixlen >= ip.address.max_prefixlen - 1
    first: IPAddress = ip.address if alone else subnet[0] if single else subnet[1]
    gateway: IPAddress = ip.gateway or result.address_of(NOWHERE[ip.address.version])
    return Range(subnet=subnet, first=first, last=ip.address if alone else subnet[-1], gateway=gateway)
