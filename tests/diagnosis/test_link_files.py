"""Files of networkd, udev and NetworkManager: which links they match, and what is said of those that touch podnet's."""

import pytest

from podnet.diagnosis.link_daemons import Daemons, link_daemons
from podnet.diagnosis.unit_file import Link, matching, parse, truth, values
from podnet.diagnosis.unmanaged import unmanaged

VETH = Link("veth-4f2vjg3", "veth", "veth-*")
BRIDGE = Link("br0", "bridge", "br0")
TUNNEL = Link("podnet-vx4", "vxlan", "podnet-*")
OWN = (VETH, BRIDGE, TUNNEL)


@pytest.mark.parametrize(
    ("match", "links"),
    [
        ("Name=*", {VETH, BRIDGE, TUNNEL}),
        ("OriginalName=veth*", {VETH}),
        ("Name=en* veth-* br?", {VETH, BRIDGE}),
        ("Name=!veth-*", {BRIDGE, TUNNEL}),
        ("Name=!en* eth*", {VETH, BRIDGE, TUNNEL}),
        ("Type=ether", {VETH}),
        ("Type=bridge", {BRIDGE}),
        ("Kind=vxlan", {TUNNEL}),
        ("Driver=veth", {VETH}),
        ("Name=ve-*\nDriver=veth", set()),
        ("Name=veth-*\nMACAddress=02:00:00:00:00:01", set()),
        ("PermanentMACAddress=02:00:00:00:00:01", set()),
        ("Virtualization=!vm\nName=*", set()),
        ("", set()),
    ],
)
def test_which_links_a_match_is_for(match: str, links: set[Link]) -> None:
    """All keys have to be met; one about what podnet's links have not is not, nor is an empty section."""
    file = parse("10-x.network", f"# by hand\n[Match]\n{match}\n[Network]\nDHCP=yes\n")
    assert {link for link in OWN if matching([file], link)} == links


def test_the_first_file_that_matches_has_a_link() -> None:
    """One that says Unmanaged=yes keeps those behind it off."""
    first = parse("00-podnet.network", "[Match]\nName=veth-* podnet-* br0\n[Link]\nUnmanaged=yes\n")
    every = parse("50-all.network", "[Match]\nName=*\n[Network]\nDHCP=yes\n")
    assert list(link_daemons(Daemons(networks=[first, every]), OWN)) == []
    (found,) = link_daemons(Daemons(networks=[every]), OWN)
    assert (found.severity, found.evidence) == ("soon", "50-all.network matches")
    assert "Name=br0 podnet-* veth-*\\n[Link]\\nUnmanaged=yes" in found.remedy
    assert list(link_daemons(Daemons(), OWN)) == []


def test_what_the_remedy_writes_keeps_networkd_off() -> None:
    """Its own text, read again."""
    every = parse("50-all.network", "[Match]\nName=*\n")
    (found,) = link_daemons(Daemons(networks=[every]), OWN)
    written = found.remedy.split("'")[1].replace("\\n", "\n")
    assert list(link_daemons(Daemons(networks=[parse("00-podnet.network", written), every]), OWN)) == []


def test_a_file_that_networkd_has_applied_is_told_whatever_it_matches() -> None:
    """As networkd itself says in its state."""
    (found,) = link_daemons(Daemons(networks=[], applied={"br0": "/etc/systemd/network/x.network"}), OWN)
    assert ("br0" in found.what, found.evidence) == (True, "/etc/systemd/network/x.network matches")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [("", 1), ("ManageForeignRoutes=yes", 1), ("ManageForeignRoutes=no", 0), ("#ManageForeignRoutes=no", 1)],
)
def test_routes_by_an_uplink_that_networkd_has(settings: str, expected: int) -> None:
    """They go when it is restarted, unless it is told to leave others' alone; no route, no note."""
    networkd = [parse("/etc/systemd/networkd.conf", f"[Network]\n{settings}\n")]
    daemons = Daemons(networks=[], networkd=networkd, applied={"eth0": "/run/systemd/network/eth0.network"})
    assert len(list(link_daemons(daemons, OWN, "eth0"))) == expected
    assert list(link_daemons(daemons, OWN)) == []


@pytest.mark.parametrize(
    ("link", "keys"),
    [
        ("Alias=mine", ["Alias"]),
        ("Name=lan0", ["Name"]),
        ("MACAddress=02:00:00:00:00:01\nMTUBytes=1400", ["MACAddress", "MTUBytes"]),
        ("NamePolicy=keep kernel database onboard slot path\nMACAddressPolicy=persistent", []),
        ("", []),
    ],
)
def test_what_udev_alters(link: str, keys: list[str]) -> None:
    """The keys that touch what podnet has made; systemd's own 99-default.link does not."""
    file = parse("99-default.link", f"[Match]\nOriginalName=*\n[Link]\n{link}\n")
    found = list(link_daemons(Daemons(links=[file]), OWN))
    assert [finding.evidence.split("has ")[1].partition("=")[0] for finding in found] == keys
    assert all(finding.severity == "broken" for finding in found)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("", False),
        ("[keyfile]\nunmanaged-devices=interface-name:veth-*", True),
        ("[keyfile]\nunmanaged-devices=interface-name:=veth-4f2vjg3;mac:02:00:00:00:00:01", True),
        ("[keyfile]\nunmanaged-devices=interface-name:=veth", False),
        ("[keyfile]\nunmanaged-devices=type:veth", True),
        ("[keyfile]\nunmanaged-devices=*;except:type:ethernet", True),
        ("[keyfile]\nunmanaged-devices=interface-name:cali*,driver:veth", True),
        ("[keyfile]\nunmanaged-devices=*;except:type:veth", False),
        ("[keyfile]\nunmanaged-devices=*;except:interface-name:veth-*", False),
        ("[keyfile]\nunmanaged-devices=driver:veth\n[keyfile]\nunmanaged-devices=interface-name:cali*", False),
        ("[keyfile]\nunmanaged-devices=driver:veth\n[keyfile]\nunmanaged-devices+=interface-name:cali*", True),
        ("[device-pods]\nmatch-device=interface-name:veth-*\nmanaged=0", True),
        ("[device-pods]\nmatch-device=interface-name:eth*\nmanaged=0", False),
        ("[device]\nmanaged=false", True),
    ],
)
def test_what_network_manager_leaves_alone(text: str, left: bool) -> None:
    """As NetworkManager.conf(5) reads its lists: a later one replaces, one with a plus adds, exceptions go first."""
    file = parse("NetworkManager.conf", text)
    assert unmanaged([file], VETH) == left
    assert bool(list(link_daemons(Daemons(manager=[file]), [VETH]))) != left


def test_what_the_remedy_writes_keeps_network_manager_off() -> None:
    """Its own text, read after what was there."""
    before = parse("a", "[keyfile]\nunmanaged-devices=interface-name:cali*\n")
    (found,) = link_daemons(Daemons(manager=[before]), OWN)
    written = parse("podnet.conf", found.remedy.split("'")[1].replace("\\n", "\n"))
    assert list(link_daemons(Daemons(manager=[before, written]), OWN)) == []


def test_files_are_read_as_they_are_written() -> None:
    """Comments, continued lines, keys before any section, and keys that come again."""
    text = "Before=1\n[A]\n; c\nX = 1 \\\n 2\nX=3\n[B]\nX=4\nnonsense\n"
    file = parse("x", text)
    assert values(file, "A", "X") == ["1   2", "3"]
    assert values(file, "B", "X") == ["4"]
    assert values(file, "A", "Before") == []
    assert [truth(given) for given in ([], ["yes"], ["yes", "no"], ["TRUE"], ["1"], ["0"])] == [
        *(False, True, False, True, True, False)
    ]
