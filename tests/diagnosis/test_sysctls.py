"""Forwarding and rp_filter, told by sysctls, and sysctls as files and commands write them."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet.diagnosis import forwarding, rp_filter
from podnet.diagnosis.rp_filter import Arrival
from podnet.diagnosis.sysctl import Assignment, assignments, command, dotted, last_word

ON = {"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1"}


@pytest.mark.parametrize(
    ("values", "versions", "said"),
    [
        (ON, {4, 6}, []),
        (ON | {"net/ipv4/ip_forward": "0"}, {4}, ["sysctl -w net.ipv4.ip_forward=1"]),
        (ON | {"net/ipv4/ip_forward": "0"}, {6}, []),
        (ON | {"net/ipv6/conf/all/forwarding": "0"}, {4, 6}, ["sysctl -w net.ipv6.conf.all.forwarding=1"]),
        (ON | {"net/ipv6/conf/all/forwarding": "0"}, {4}, []),
        ({}, {4, 6}, []),
        (ON | {"net/ipv4/conf/eth0/forwarding": "0"}, {4}, ["sysctl -w net.ipv4.conf.eth0.forwarding=1"]),
        (ON | {"net/ipv4/conf/eth0/forwarding": "0"}, {6}, []),
        (
            {"net/ipv4/ip_forward": "0", "net/ipv4/conf/eth0/forwarding": "0"},
            {4},
            ["sysctl -w net.ipv4.ip_forward=1"],
        ),
        (ON | {"net/ipv6/conf/eth0/disable_ipv6": "1"}, {6}, ["sysctl -w net.ipv6.conf.eth0.disable_ipv6=0"]),
        (ON | {"net/ipv6/conf/eth0/disable_ipv6": "1"}, {4}, []),
        (ON | {"net/ipv6/conf/eth0/accept_ra": "1"}, {6}, ["sysctl -w net.ipv6.conf.eth0.accept_ra=2"]),
        (ON | {"net/ipv6/conf/eth0/accept_ra": "2"}, {6}, []),
    ],
)
def test_forwarding(values: dict[str, str], versions: set[int], said: list[str]) -> None:
    """A switch counts for the family in which pods have addresses; a file that is not there says nothing."""
    assert [finding.remedy for finding in forwarding(values, versions, ["eth0"], {"eth0"})] == said


def test_many_links_that_do_not_forward_are_one_finding() -> None:
    """The first are named, the others counted."""
    links = [f"veth-{number}" for number in range(9)]
    (found,) = forwarding(ON | {f"net/ipv4/conf/{link}/forwarding": "0" for link in links}, {4}, links)
    assert "veth-3 and 5 more" in found.what
    assert found.remedy.count("sysctl -w") == 4


@pytest.mark.parametrize(
    ("own", "common", "dropped"),
    [("0", "0", False), ("1", "0", True), ("0", "1", True), ("1", "1", True), ("2", "1", False), ("1", "2", False)],
)
def test_the_larger_of_a_links_value_and_the_common_one_counts(own: str, common: str, dropped: bool) -> None:
    """So the kernel reads it (ip-sysctl.rst, rp_filter): 2 is loose, whatever the other one is."""
    values = {"net/ipv4/conf/br0/rp_filter": own, "net/ipv4/conf/all/rp_filter": common}
    found = list(rp_filter(values, ["br0"], []))
    assert [finding.remedy for finding in found] == ["sysctl -w net.ipv4.conf.br0.rp_filter=2"] * dropped


@pytest.mark.parametrize(("strict", "refused", "expected"), [("1", True, 1), ("1", False, 0), ("0", True, 0)])
def test_what_the_kernel_refuses_counts_where_the_filter_is_strict(strict: str, refused: bool, expected: int) -> None:
    """Where it is not, the refusal has another reason; who is refused by one link is one finding."""
    arrivals = [Arrival(f"node n{n}", ip_address(f"192.0.2.{n}"), "eth0", refused) for n in (2, 3)]
    found = list(rp_filter({"net/ipv4/conf/eth0/rp_filter": strict}, [], arrivals))
    assert len(found) == expected
    assert all("node n2, and 1 more" in finding.what for finding in found)


SYSCTL_D = """
# net.ipv4.ip_forward = 9
; net.ipv4.ip_forward = 9
net.ipv4.ip_forward = 1
-net/ipv4/ip_forward=0
net.ipv4.conf.eth0/100.forwarding = 0
net.ipv4.conf.*.rp_filter = 1
nonsense
"""


def test_files_of_sysctl_d() -> None:
    """Comments are none, a dash is about errors, the first separator decides, and the last of two has the word."""
    found = assignments("/etc/sysctl.d/9.conf", SYSCTL_D)
    assert [(each.line, each.name, each.value) for each in found] == [
        (4, "net/ipv4/ip_forward", "1"),
        (5, "net/ipv4/ip_forward", "0"),
        (6, "net/ipv4/conf/eth0.100/forwarding", "0"),
        (7, "net/ipv4/conf/*/rp_filter", "1"),
    ]
    assert last_word(found, "net/ipv4/ip_forward") == found[1]
    assert last_word(found, "net/ipv4/conf/br0/rp_filter") == found[3]
    assert last_word([Assignment("f", 1, "net/ipv4/conf/br0/rp_filter", "2"), *found], "net/ipv4/conf/br0/rp_filter")
    assert last_word(found, "net/ipv6/conf/all/forwarding") is None


def test_one_that_is_named_goes_before_a_wildcard() -> None:
    """Wherever it stands."""
    files = assignments("a", "net.ipv4.conf.br0.rp_filter = 2\nnet.ipv4.conf.*.rp_filter = 1\n")
    assert list(rp_filter({}, ["br0"], [], files)) == []
    (found,) = rp_filter({}, ["br1"], [], files)
    assert (found.severity, found.evidence) == ("note", "a:2: net.ipv4.conf.*.rp_filter = 1")


def test_files_that_switch_forwarding_off_are_notes() -> None:
    """What holds now is a finding of its own."""
    files = assignments("/etc/sysctl.conf", "net.ipv4.ip_forward = 0")
    found = list(forwarding(ON, {4}, [], (), files))
    assert [(finding.severity, finding.remedy) for finding in found] == [
        ("note", "write net.ipv4.ip_forward = 1 in /etc/sysctl.conf")
    ]


@given(st.lists(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1), min_size=2))
def test_a_path_comes_back_from_its_dotted_form(parts: list[str]) -> None:
    """Also where a link's name has a dot in it."""
    for name in ("/".join(parts), "/".join([*parts, "eth0.100", "x"])):
        (found,) = assignments("", command(name, "1").removeprefix("sysctl -w "))
        assert found.name == name
        assert "/" not in dotted(name) or "." in name
