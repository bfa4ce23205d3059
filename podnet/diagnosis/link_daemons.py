"""Daemons that give every link what their files say: systemd-networkd, udev, NetworkManager.

They know of podnet's links by the names and kinds that their files match, so those files are read as they read them.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from podnet.diagnosis.finding import Finding
from podnet.diagnosis.unit_file import Link, UnitFile, matching, truth, values
from podnet.diagnosis.unmanaged import unmanaged

CHECK = "link_daemons"
TOUCHING = {
    "Name": "another name",
    "MACAddress": "another MAC",
    "MTUBytes": "another MTU",
    "Alias": "another alias, by which podnet knows what is its own",
}
"""Keys of a .link file by which udev alters what podnet has made; MACAddressPolicy= leaves MACs that were given."""
NETWORKD = "/etc/systemd/network/00-podnet.network"
MANAGER = "/etc/NetworkManager/conf.d/podnet.conf"


class Daemons(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Those that run, with their files, each kind in the order in which it is read; None is one that does not run.

    `applied` is the file that networkd says it has applied to a link, by the link's name.
    """

    networks: Sequence[UnitFile] | None = None
    links: Sequence[UnitFile] | None = None
    manager: Sequence[UnitFile] | None = None
    networkd: Sequence[UnitFile] = ()
    applied: Mapping[str, str] = {}


def link_daemons(daemons: Daemons, own: Sequence[Link], uplink: str = "") -> Iterator[Finding]:
    """Yield what would touch podnet's `own` links, or its routes by the `uplink` ("": it has none there)."""
    patterns = sorted({link.pattern for link in own})
    if daemons.networks is not None:
        yield from _networkd(daemons, own, patterns)
        yield from _foreign_routes(daemons, uplink)
    if daemons.links is not None:
        yield from _udev(daemons.links, own)
    if daemons.manager is not None:
        yield from _network_manager(daemons.manager, own, patterns)


def _networkd(daemons: Daemons, own: Sequence[Link], patterns: Sequence[str]) -> Iterator[Finding]:
    touched: dict[str, list[str]] = {}
    for link in own:
        path = daemons.applied.get(link.name, "")
        found = matching(daemons.networks or (), link)
        if not path and found is not None and not truth(values(found, "Link", "Unmanaged")):
            path = found.path
        if path:
            touched.setdefault(path, []).append(link.pattern)
    for path, names in touched.items():
        what = (
            f"systemd-networkd takes {', '.join(dict.fromkeys(names))} for its own, and removes podnet's routes there"
        )
        section = f"[Match]\\nName={' '.join(patterns)}\\n[Link]\\nUnmanaged=yes\\n"
        remedy = f"printf '{section}' > {NETWORKD} && networkctl reload"
        yield Finding(CHECK, "soon", what, f"{path} matches", remedy)


def _foreign_routes(daemons: Daemons, uplink: str) -> Iterator[Finding]:
    """Yield a finding where networkd has the uplink and takes away routes that it has not made."""
    path = daemons.applied.get(uplink, "")
    kept = [value for file in daemons.networkd for value in values(file, "Network", "ManageForeignRoutes")]
    if not path or (kept and not truth(kept)):
        return
    what = (
        f"systemd-networkd has {uplink}, and takes podnet's routes away when it is restarted; the daemon puts them back"
    )
    remedy = (
        "mkdir -p /etc/systemd/networkd.conf.d && printf '[Network]\\nManageForeignRoutes=no\\n' > "
        "/etc/systemd/networkd.conf.d/podnet.conf"
    )
    yield Finding(CHECK, "note", what, f"{path} is applied to {uplink}, without ManageForeignRoutes=no", remedy)


def _udev(files: Sequence[UnitFile], own: Sequence[Link]) -> Iterator[Finding]:
    told: set[tuple[str, str]] = set()
    for link in own:
        found = matching(files, link)
        for key, what in TOUCHING.items():
            given = values(found, "Link", key) if found is not None else []
            if found is None or not given or (found.path, key) in told:
                continue
            told.add((found.path, key))
            yield Finding(
                CHECK,
                "broken",
                f"udev gives {link.pattern} {what}",
                f"{found.path} matches, and has {key}={given[-1]}",
                f"narrow its [Match], as by `OriginalName=!{link.pattern}`",
            )


def _network_manager(files: Sequence[UnitFile], own: Sequence[Link], patterns: Sequence[str]) -> Iterator[Finding]:
    managed = sorted({link.pattern for link in own if not unmanaged(files, link)})
    if managed:
        what = f"NetworkManager is not told to leave {', '.join(managed)} alone: a profile that fits would be applied"
        names = ";".join(f"interface-name:{pattern}" for pattern in patterns)
        remedy = f"printf '[keyfile]\\nunmanaged-devices+={names}\\n' > {MANAGER} && systemctl reload NetworkManager"
        yield Finding(CHECK, "soon", what, "no unmanaged-devices of /etc/NetworkManager matches", remedy)
