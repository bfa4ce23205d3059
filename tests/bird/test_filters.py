"""What is taken from a neighbour and what it is told, by two BIRDs: one as podnet configures it, one that says all."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path
from typing import NamedTuple, get_args

import pytest

from podnet.bird import Configuration, Session, Takes, Tells, protocol_name, render
from podnet.bird.configuration import IPAddress, IPNetwork
from podnet.plan import PROTOCOL
from podnet.testing.waiting import equal_soon, eventually
from tests.bird.speakers import Bird, cable

pytestmark = pytest.mark.live

AS = (64512, 64512)
CLUSTER = {4: ip_network("10.244.0.0/16"), 6: ip_network("fd00:10:244::/56")}
OWN = {4: ip_network("10.244.1.0/24"), 6: ip_network("fd00:10:244:1::/64")}
KINDS: tuple[Takes, ...] = get_args(Takes)
HOPS = ("itself", "another node", "no node", "a node of two prefixes")
CASES = [(kind, hop, version) for kind in KINDS for hop in HOPS for version in (4, 6)]


def local(number: int, version: int) -> IPAddress:
    """Return the address of this end of a session; each has one, as a BIRD tells its neighbours apart by that."""
    return ip_address(f"10.99.0.{number + 1}" if version == 4 else f"fd99::{number + 1:x}")


def remote(number: int, version: int) -> IPAddress:
    """Return that of the other end."""
    return ip_address(f"10.99.0.{number + 101}" if version == 4 else f"fd99::1:{number + 1:x}")


def prefixes(number: int, version: int) -> tuple[IPNetwork, ...]:
    """Return the prefixes of the node at the other end: of every third two, the second of another size."""
    first = ip_network(f"10.244.{number + 10}.0/24" if version == 4 else f"fd00:10:244:{number + 16:x}::/64")
    second = f"10.244.{number + 100}.0/26" if version == 4 else f"fd00:10:244:a{number:x}::/80"
    return (first, ip_network(second)) if number % 3 == 0 else (first,)


OWNERS = {remote(n, v): prefixes(n, v) for n in range(len(CASES)) for v in (4, 6)}


def announced(version: int) -> list[IPNetwork]:
    """Return what the other BIRD tells by each session: what is right by some, and much that is wrong by all."""
    own, cluster = OWN[version], CLUSTER[version]
    host = cluster.max_prefixlen
    others = [cidr for at, cidrs in OWNERS.items() for cidr in cidrs if cidr.version == version]

    def part(cidr: IPNetwork, length: int) -> IPNetwork:
        return ip_network((cidr.network_address + 3 * (1 << cidr.max_prefixlen - length), length), strict=False)

    stray = "10.244.250.7/32" if version == 4 else "fd00:10:244:fa::7/128"
    outside = ["198.51.100.0/24", "10.245.0.1/32", "8.0.0.0/6"] if version == 4 else ["2001:db8::/32", "fd01::1/128"]
    everything = "0.0.0.0/0" if version == 4 else "::/0"
    listed = [
        *others,
        *(ip_network(text) for text in (everything, stray, *outside)),
        *(own, part(own, own.prefixlen + 2), part(own, host), own.supernet()),
        *(cluster, cluster.supernet(), part(cluster, cluster.prefixlen + 2), ip_network(stray).supernet()),
        *(part(cidr, host) for cidr in others[:3]),
        *(part(cidr, cidr.prefixlen + 2) for cidr in others[:3]),
    ]
    return list(dict.fromkeys(listed))


class Case(NamedTuple):
    """A session: what is taken by it, from whom, and the next hop of what it tells."""

    name: str
    takes: Takes
    version: int
    neighbour: IPAddress
    hop: IPAddress


def the_cases() -> Iterator[Case]:
    """Yield a session for each way to take, each next hop and each family."""
    for number, (takes, hop, version) in enumerate(CASES):
        strangers = {4: ip_address("10.99.0.250"), 6: ip_address("fd99::fa")}
        hops = {
            "itself": remote(number, version),
            "another node": remote((number + 3) % len(CASES), version),
            "no node": strangers[version],
            "a node of two prefixes": remote(0, version),
        }
        yield Case(f"n{number}", takes, version, remote(number, version), hops[hop])


def believed(case: Case, prefix: IPNetwork) -> bool:
    """Tell, by the words of `Takes` one after the other, whether a prefix is to be taken."""
    of_all = [cidr for cidrs in OWNERS.values() for cidr in cidrs]

    def inside(cidr: IPNetwork) -> bool:
        return prefix.version == cidr.version and prefix.subnet_of(cidr)  # type: ignore[arg-type] # one version

    alone = prefix.prefixlen == prefix.max_prefixlen and inside(CLUSTER[case.version])
    stray = alone and not any(inside(cidr) for cidr in (*of_all, OWN[case.version]))
    if inside(OWN[case.version]) or case.takes == "nothing":
        return False
    if case.takes == "known":
        return stray or prefix in of_all
    if case.takes == "own" and case.hop != case.neighbour:
        return False
    return case.hop in OWNERS and (stray or prefix in OWNERS[case.hop])


def other_side(cases: list[Case]) -> str:
    """Return the configuration of the BIRD that says all, in BIRD's own words."""
    lines = ["router id 192.0.2.2;", "protocol device {}"]
    for v in (4, 6):
        lines += [f"protocol static {{ ipv{v};", *(f"  route {cidr} unreachable;" for cidr in announced(v)), "}"]
    for number, case in enumerate(cases):
        lines.append(
            f"protocol bgp {case.name} {{ local {case.neighbour} as 64512; "
            f"neighbor {local(number, case.version)} as 64512; multihop; connect delay time 1; ipv{case.version} {{ "
            f"import all; next hop keep; export filter {{ if source != RTS_STATIC then reject; "
            f"bgp_next_hop = {case.hop}; accept; }}; }}; }}"
        )
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def taken() -> Iterator[dict[str, tuple[Case, set[str], int]]]:
    """Give, by session, what a BIRD of podnet's takes, and how many it says it refused."""
    cases = list(the_cases())
    sessions = tuple(
        Session(case.name, local(number, case.version), case.neighbour, AS, case.takes, "nothing")
        for number, case in enumerate(cases)
    )
    configuration = Configuration(
        router_id=IPv4Address("192.0.2.1"), profile="graceful", families=(4, 6), links=("up0",),
        own=tuple(OWN.values()), owners=OWNERS, cluster=tuple(CLUSTER.values()), sessions=sessions,
    )  # fmt: skip
    names = (f"bird-a-{os.getpid()}", f"bird-b-{os.getpid()}")
    lengths = {4: 24, 6: 64}
    ends = tuple(
        [f"{side(n, v)}/{lengths[v]}" for n, (_, _, v) in enumerate(CASES)] for side in (local, remote)
    )  # fmt: skip
    with ExitStack() as stack:
        cable(names, (ends[0], ends[1]), stack)
        ours = Bird(names[0], render(configuration), stack)
        Bird(names[1], other_side(cases), stack)
        of = {case.name: protocol_name(case.name, case.version) for case in cases}
        eventually(
            lambda: all(ours.received(of[case.name]) >= len(announced(case.version)) for case in cases), "all routes"
        )
        told = ours.sessions()
        yield {
            case.name: (case, ours.routes(of[case.name]), told[of[case.name]].filtered) for case in cases
        }  # fmt: skip


@pytest.mark.parametrize("number", range(len(CASES)), ids=[" ".join(map(str, case)) for case in CASES])
def test_a_node_takes_what_is_meant_and_nothing_else(taken: dict[str, tuple[Case, set[str], int]], number: int) -> None:
    """Of a default route, its own prefixes, others' with right and wrong next hops, parts of them, and addresses."""
    session, found, _ = taken[f"n{number}"]
    assert found == {str(cidr) for cidr in announced(session.version) if believed(session, cidr)}


def test_something_is_taken_by_each_way_that_takes(taken: dict[str, tuple[Case, set[str], int]]) -> None:
    """So that the comparison compares: with the neighbour itself as the next hop its prefixes and the lone address."""
    for session, found, _ in taken.values():
        if session.takes != "nothing" and session.hop == session.neighbour:
            stray = "10.244.250.7/32" if session.version == 4 else "fd00:10:244:fa::7/128"
            assert {stray, *map(str, OWNERS[session.neighbour])} <= found


def test_what_is_refused_is_counted(taken: dict[str, tuple[Case, set[str], int]]) -> None:
    """`podnet router status` shows it, of sessions by which anything is taken."""
    for session, found, refused in taken.values():
        if session.takes != "nothing":
            assert refused == len(announced(session.version)) - len(found)


HOST = """\
router id 192.0.2.1;
protocol device {}
protocol direct { ipv4; }
protocol kernel { learn; ipv4 { import all; export none; }; }
protocol static { ipv4; route 203.0.113.0/24 unreachable; }
"""
"""A host's BIRD that knows more than podnet's own would."""


@pytest.mark.parametrize("hosted", [False, True], ids=["own", "hosted"])
def test_neighbours_hear_what_they_are_to_be_told(tmp_path: Path, hosted: bool) -> None:
    """This node's prefixes and lone addresses with the communities; also others', but not a neighbour's own; nothing.

    Addresses within a prefix, what podnet routes besides, and others' routes on this machine are not told.  n0 is
    another reflector, which tells of itself and of n6.
    """
    kinds: dict[int, tuple[Takes, Tells, bool]] = {
        0: ("each", "nothing", True), 3: ("own", "own", False), 6: ("own", "all", True), 9: ("own", "all", False)
    }  # fmt: skip
    sessions = tuple(
        Session(f"n{n}", local(n, 4), remote(n, 4), AS, takes, tells, client)
        for n, (takes, tells, client) in kinds.items()
    )
    configuration = Configuration(
        router_id=IPv4Address("192.0.2.1"), profile="graceful", families=(4,), links=("up0",), own=(OWN[4],),
        owners=OWNERS, cluster=(CLUSTER[4],), sessions=sessions, communities=((64512, 100), (7, 65535)), hosted=hosted,
        log=str(tmp_path / "log"),
    )  # fmt: skip
    told = {
        0: "".join(
            f"route {cidr} unreachable {{ bgp_next_hop = {remote(n, 4)}; }}; "
            for n in (0, 6)
            for cidr in prefixes(n, 4)
        ),
        **{n: "".join(f"route {cidr} unreachable; " for cidr in prefixes(n, 4)) for n in (3, 9)},
        6: "",
    }
    others = "".join(
        f"protocol static s{n} {{ ipv4; {told[n]} }}\n"
        f"protocol bgp n{n} {{ router id {remote(n, 4)}; local {remote(n, 4)} as 64512; neighbor {local(n, 4)} as "
        f"64512; multihop; connect delay time 1; ipv4 {{ import all; next hop keep; "
        f'export where proto = "s{n}"; }}; }}\n'
        for n in kinds
    )
    names = (f"bird-c-{os.getpid()}", f"bird-d-{os.getpid()}")
    with ExitStack() as stack:
        cable(names, ([f"{local(n, 4)}/24" for n in range(10)], [f"{remote(n, 4)}/24" for n in range(10)]), stack)
        make_routes(names[0])
        Bird(names[0], (HOST if hosted else "") + render(configuration), stack)
        theirs = Bird(names[1], f"router id 192.0.2.2;\nprotocol device {{}}\n{others}", stack)
        own = {str(OWN[4]), "10.244.250.1/32"}
        of = {n: {str(cidr) for cidr in prefixes(n, 4)} for n in kinds}
        expected = {
            "n0": set(),
            "n3": own,
            "n6": own | of[0] | of[3] | of[9],  # a client hears non-clients too (RFC 4456)
            "n9": own | of[0] | of[6],
        }
        equal_soon(lambda: {name: theirs.routes(name) for name in expected}, lambda: expected)
        for prefix in own:
            shown = theirs.ask(f"show route all {prefix} protocol n3")
            assert sorted(shown.partition("BGP.community: ")[2].split()) == ["(64512,100)", "(7,65535)"]
        if not hosted:
            logged = (tmp_path / "log").read_text(encoding="utf-8")
            assert "podnet.n6.4: State changed to up" in logged
            assert "<ERR>" not in logged, "as of a neighbour that is told its own routes"


def make_routes(namespace: str) -> None:
    """Make routes in the kernel: of podnet's to addresses outside and inside of prefixes, and of somebody else's."""
    batch = "\n".join(
        [
            f"route add 10.244.250.1/32 dev up0 proto {PROTOCOL}",
            f"route add 10.244.1.5/32 dev up0 proto {PROTOCOL}",
            f"route add 10.244.10.5/32 dev up0 proto {PROTOCOL}",
            f"route add 10.244.251.0/24 dev up0 proto {PROTOCOL}",
            f"route add 198.51.100.1/32 dev up0 proto {PROTOCOL}",
            "route add 10.244.250.2/32 dev up0 proto static",
            "route add default via 10.99.0.101 proto static",
        ]
    )
    subprocess.run(["ip", "-n", namespace, "-batch", "-"], input=batch + "\n", text=True, check=True)
