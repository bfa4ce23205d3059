"""Which check is told what of the machine.

A check is a function of the machine that yields findings.  What it raises is told in its place (`examination`), so
each gathers for itself, and what one cannot see hides nothing of another.
"""

import os
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network

from podnet import datapath, diagnosis
from podnet.bird import PROTOCOL_BIRD
from podnet.cluster.nodes import unreachable
from podnet.daemon.paths import CONFLIST
from podnet.diagnosis import Finding
from podnet.diagnosis.firewall import findings
from podnet.diagnosis.lists import needed
from podnet.diagnosis.path_mtu import width
from podnet.diagnosis.uplink import Reached
from podnet.doctor import firewall as firewall_facts
from podnet.doctor import link_files, probing, rulesets, trying
from podnet.doctor.arrivals import arrivals
from podnet.doctor.machine import Machine, service_address, some
from podnet.doctor.place import read_sysctl
from podnet.doctor.sockets import listeners, listens
from podnet.doctor.tunnel_devices import device
from podnet.errors import IOFailure
from podnet.inspection import View, inspect
from podnet.inspection.executables import find
from podnet.kernel.facts import boot_id
from podnet.mesh import DEVICES
from podnet.routing.sessions import read_sessions


def daemon(machine: Machine) -> Iterator[Finding]:
    """Whether a daemon listens."""
    yield from diagnosis.daemon(machine.paths.socket, served=listens(machine.paths.socket))


def nodes(machine: Machine) -> Iterator[Finding]:
    """Who the nodes are, and what the ways to them say of themselves."""
    settings = machine.settings
    yield from diagnosis.nodes(machine.nodes, settings.node, settings.nodes or settings.told_by, machine.remarks)


def uplink(machine: Machine) -> Iterator[Finding]:
    """Which link leads to other nodes."""
    around = machine.surroundings
    names = {message.index: name for name, message in around.links.items()}
    reached = [
        Reached(node.name, address, names.get(machine.router.link_to(address), ""))
        for node in some(machine.others)
        for address in node.addresses
        if machine.facts.address(address.version) is not None
    ]
    configured = bool(machine.settings.uplink)
    yield from diagnosis.uplink(
        machine.facts, machine.own, around.states(), around.addresses, reached, configured=configured
    )


def forwarding(machine: Machine) -> Iterator[Finding]:
    """Read the switches, for all links and for each."""
    links = machine.links()
    names = [
        *diagnosis.SWITCHES.values(),
        *(f"net/ipv4/conf/{link}/forwarding" for link in links),
        *(f"net/ipv6/conf/{link}/{key}" for link in links for key in ("disable_ipv6", "accept_ra")),
    ]
    carrying = [link for link in links if link != machine.facts.uplink]
    found = {name: read_sysctl(name) for name in names}
    if machine.own is None or machine.own.address(6) is None:  # pods' IPv6 packets do not go by it
        found.pop(f"net/ipv6/conf/{machine.facts.uplink}/disable_ipv6", None)
    learned = machine.surroundings.learned()
    files = machine.place.sysctl_files()
    yield from diagnosis.forwarding(found, machine.versions, [machine.facts.uplink, *carrying], learned, files)


def rp_filter(machine: Machine) -> Iterator[Finding]:
    """Where packets come by another link than answers leave."""
    links = machine.links()
    found = {
        f"net/ipv4/conf/{link}/rp_filter": read_sysctl(f"net/ipv4/conf/{link}/rp_filter") for link in ("all", *links)
    }
    own = machine.surroundings.own()
    bridges = [name for name, message in own.items() if message.linkinfo and message.linkinfo.kind == "bridge"]
    yield from diagnosis.rp_filter(found, bridges, list(arrivals(machine)), machine.place.sysctl_files())


def features(machine: Machine) -> Iterator[Finding]:
    """Try what the kernel refuses of podnet's own plans."""
    yield from diagnosis.features(trying.refusals(machine.settings, machine.network, machine.facts))


def lists(machine: Machine) -> Iterator[Finding]:
    """See which configuration the runtimes take, and whether what they execute is there."""
    paths, view = machine.paths, machine.place.root
    report = inspect(view, paths.cni_conf, paths.cni_bin)
    readers = [runtime for runtime in report.runtimes if runtime.rule != "none"]
    installed = {runtime.conf_dir.rstrip("/") for runtime in readers if _has_list(view, runtime.conf_dir)}
    plugins = {
        runtime.name: [find(view, name, "plugin", runtime.bin_dirs) for name in needed(runtime)] for runtime in readers
    }
    yield from diagnosis.lists(CONFLIST, (paths.cni_conf, paths.cni_bin), readers, installed, plugins)


def _has_list(view: View, folder: str) -> bool:
    return CONFLIST in view.names(folder).names


def overlap(machine: Machine) -> Iterator[Finding]:
    """Whose addresses are whose."""
    resolvers = [
        address
        for line in machine.place.text("/etc/resolv.conf").splitlines()
        if line.startswith("nameserver")
        for address in _addresses(line.split()[1:2])
    ]
    services = service_address(os.environ)
    cidrs = machine.settings.cluster_cidrs
    yield from diagnosis.overlap(
        machine.nodes, cidrs, machine.surroundings.beside(machine.protocols), services, resolvers
    )


def _addresses(words: list[str]) -> Iterator[diagnosis.IPAddress]:
    for word in words:
        try:
            address = ip_address(word.partition("%")[0])
        except ValueError:
            continue
        if not unreachable(address):
            yield address


def bgp(machine: Machine) -> Iterator[Finding]:
    """How this node's sessions are, and what they have brought."""
    settings = machine.settings
    if settings.backend != "bgp" or machine.own is None:
        return
    try:
        sessions, _ = read_sessions(machine.paths.bird, settings.bgp.socket)
    except IOFailure as error:
        yield diagnosis.silent(error.msg)
        return
    learned = {
        ip_network(f"{route.dst}/{route.dst_len}")
        for route in machine.surroundings.routes
        if route.protocol == PROTOCOL_BIRD and route.dst is not None
    }
    versions = {address.version for address in machine.own.addresses}
    yield from diagnosis.bgp(sessions, machine.others, versions, learned)


def path_mtu(machine: Machine) -> Iterator[Finding]:
    """How wide the ways to other nodes are."""
    facts, network = machine.facts, machine.network
    if network.mtu and facts.uplink:
        yield from width(network.mtu, network.overhead, facts.uplink, facts.mtu)
    widest = min(facts.mtu, datapath.mtu_of(network, facts) + network.overhead)
    targets = []
    for node in some(machine.others):
        version = next((v for v in DEVICES if node.address(v) is not None and facts.address(v) is not None), 0)
        if version:
            targets.append(probing.Target(node.name, ip_address(str(node.address(version)))))
    yield from diagnosis.path_mtu(probing.probe(targets, widest), network.overhead, probing.PORT)


def tunnel_port(machine: Machine) -> Iterator[Finding]:
    """Who has the tunnel's port."""
    settings = machine.settings
    if not any(way.tunnel for way in machine.mesh.ways.values()) and settings.backend != "wireguard":
        return
    key = "wireguard" if settings.backend == "wireguard" else "vxlan"
    port, vni = (settings.wireguard.port, 0) if key == "wireguard" else (settings.vxlan.port, settings.vxlan.vni)
    own = machine.surroundings.own()
    devices = [each for m in machine.surroundings.links.values() for each in device(m, port, own=m.ifname in own)]
    yield from diagnosis.tunnel_port(key, port, vni, devices, listeners(port))


def conntrack(machine: Machine) -> Iterator[Finding]:
    """How full the table of connections is."""
    del machine
    count, most = (read_sysctl(f"net/netfilter/nf_conntrack_{name}") for name in ("count", "max"))
    if count and most:
        yield from diagnosis.conntrack(int(count), int(most), diagnosis.lost(statistics()))


def statistics() -> str:
    """Return /proc/net/stat/nf_conntrack, "" where the kernel has none (CONFIG_NF_CONNTRACK_PROCFS)."""
    try:
        with open("/proc/net/stat/nf_conntrack", encoding="ascii") as file:  # noqa: PTH123 - as elsewhere
            return file.read()
    except FileNotFoundError:
        return ""


def link_daemons(machine: Machine) -> Iterator[Finding]:
    """Tell who else configures links, and what their files say of podnet's."""
    uplink = machine.facts.uplink if link_files.routed(machine) else ""
    yield from diagnosis.link_daemons(link_files.daemons(machine), link_files.own_links(machine), uplink)


def clock(machine: Machine) -> Iterator[Finding]:
    """See what time it is, and which boot this is."""
    yield from diagnosis.boot(boot_id(), {lease.boot_id for lease in machine.kept.live})
    wireguard = machine.settings.backend == "wireguard"
    yield from diagnosis.clock(machine.now, machine.kept.latest, wireguard=wireguard)


def exhaustion(machine: Machine) -> Iterator[Finding]:
    """How many addresses are left."""
    yield from diagnosis.exhaustion(machine.ranges, machine.settings.told_by)


def firewall(machine: Machine) -> Iterator[Finding]:
    """Walk packets through the rules of others."""
    if machine.facts.uplink:  # without one, that is what is amiss
        yield from findings(rulesets.read(), firewall_facts.facts(machine))


CHECKS: tuple[Callable[[Machine], Iterator[Finding]], ...] = (
    daemon,
    nodes,
    uplink,
    forwarding,
    rp_filter,
    features,
    lists,
    overlap,
    bgp,
    path_mtu,
    tunnel_port,
    conntrack,
    link_daemons,
    clock,
    exhaustion,
    firewall,
)
