"""Who else configures this machine's links: systemd-networkd, udev, NetworkManager, and the files that they read."""

from collections.abc import Iterator

from podnet.diagnosis.link_daemons import Daemons
from podnet.diagnosis.unit_file import Link as OwnLink
from podnet.diagnosis.unit_file import UnitFile, parse, values
from podnet.doctor.machine import Machine
from podnet.netlink.rtnl import Link

NETIF = "/run/systemd/netif"
"""What networkd tells of itself: `state` while it runs, and a file per link."""
MANAGER = "NetworkManager"
"""The folder in /run that NetworkManager makes, and that of its configuration."""
UDEV = "/run/udev/control"
PREFIXES = ("veth-", "ifb-", "podnet-")


def daemons(machine: Machine) -> Daemons:
    """Return those that run, with what they read."""
    place = machine.place
    applied = {}
    for name, message in machine.surroundings.links.items():
        state = parse("", f"[Link]\n{place.text(f'{NETIF}/links/{message.index}')}")
        if found := values(state, "Link", "NETWORK_FILE"):
            applied[name] = found[-1]
    manager: list[UnitFile] | None = None
    if place.there(f"/run/{MANAGER}"):
        main = f"/etc/{MANAGER}/{MANAGER}.conf"
        manager = [parse(main, place.text(main)), *place.unit_files(f"{MANAGER}/conf.d", ".conf")]
    networkd = "/etc/systemd/networkd.conf"
    return Daemons(
        networks=place.unit_files("systemd/network", ".network") if place.there(f"{NETIF}/state") else None,
        links=place.unit_files("systemd/network", ".link") if place.there(UDEV) else None,
        manager=manager,
        networkd=[parse(networkd, place.text(networkd)), *place.unit_files("systemd/networkd.conf.d", ".conf")],
        applied=applied,
    )


def routed(machine: Machine) -> bool:
    """Tell whether podnet has routes by the uplink."""
    around = machine.surroundings
    link = around.links.get(machine.facts.uplink)
    return link is not None and any(r.protocol in machine.protocols and r.oif == link.index for r in around.routes)


def own_links(machine: Machine) -> list[OwnLink]:
    """Return podnet's links, and some as the next pods and nodes bring them."""
    return list(dict.fromkeys([*map(_own_link, machine.surroundings.own().values()), *_expected(machine)]))


def _own_link(message: Link) -> OwnLink:
    kind, name = (message.linkinfo.kind if message.linkinfo else None) or "", message.ifname or ""
    pattern = next((f"{prefix}*" for prefix in PREFIXES if name.startswith(prefix)), name)
    return OwnLink(name, kind, pattern)


def _expected(machine: Machine) -> Iterator[OwnLink]:
    """Yield links as the next pods and nodes bring them."""
    yield OwnLink("veth-4f2vjg3", "veth", "veth-*")
    settings = machine.settings
    if settings.datapath == "bridge":
        yield OwnLink(settings.bridge, "bridge", settings.bridge)
    if settings.backend in {"vxlan", "auto"}:
        yield OwnLink("podnet-vx4", "vxlan", "podnet-*")
    if settings.backend == "wireguard":
        yield OwnLink("podnet-wg", "wireguard", "podnet-*")
