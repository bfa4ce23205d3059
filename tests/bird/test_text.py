"""The configuration as text: BIRD takes it, and what does not change stays the same byte for byte."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podnet.bird import Configuration, Password, Session, Takes, Tells, protocol_name, render
from podnet.errors import InvalidConfiguration
from podnet.model import BGP, Node, Router
from podnet.model.bgp import IPAddress, Mode, Profile, Role
from tests.bird.clusters import BOTH, PASSWORDS, Cluster, a_node, an_address, clusters

Refusal = Callable[[str], str]

DRAWN = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

FILE, TOR_FILE = PASSWORDS
LOG = "/run/podnet/bird/bird.log"
MODES: tuple[Mode, ...] = get_args(Mode)
PROFILES: tuple[Profile, ...] = get_args(Profile)
CHARACTERS = st.characters(codec="ascii", categories=["Ll", "Lu", "Nd"], include_characters="._-")
NAMES = st.builds(
    lambda first, rest: first + rest, st.sampled_from("nN7"), st.text(CHARACTERS, max_size=252)
) | st.sampled_from(["n" * 253, "n" * 50, "n" * 51, "N1", "n1", "1.2.3.4", "n1.4", "bgp", "all"])
V4 = st.integers(1 << 24, (224 << 24) - 1).map(IPv4Address)
V6 = st.integers(0x2000 << 112, (0xFE00 << 112) - 1).map(IPv6Address)
PREFIXES = st.builds(lambda a, n: IPv4Network((a, n), strict=False), V4, st.integers(8, 32)) | st.builds(
    lambda a, n: IPv6Network((a, n), strict=False), V6, st.integers(16, 128)
)
PASSWORDED = st.text(min_size=1, max_size=80).filter(
    lambda text: len(text.encode(errors="replace")) <= 80 and '"' not in text and text.isprintable()
)


def text_of(configuration: Configuration) -> str:
    """Return the text as the daemon has it written."""
    return render(configuration._replace(log=LOG), PASSWORDS)


def a_cluster(versions: tuple[int, ...], **bgp: object) -> Cluster:
    """Return three nodes on two LANs, the first a reflector."""
    nodes = tuple(a_node(n, versions, versions, lan=n % 2, reflector=n == 1) for n in (1, 2, 3))
    return Cluster(nodes, BGP(**bgp))  # type: ignore[arg-type] # as BGP has it


def a_router(role: Role, asn: int = 0, versions: tuple[int, ...] = BOTH) -> Router:
    """Return a router on both LANs."""
    addresses = tuple(an_address(lan, 1, version) for lan in (0, 1) for version in versions)
    return Router(name=f"{role}-{asn}", addresses=addresses, role=role, asn=asn, password_file=TOR_FILE)


@pytest.mark.parametrize("versions", [(4,), (6,), (4, 6)], ids=["IPv4", "IPv6", "both"])
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("hosted", [False, True], ids=["own", "hosted"])
def test_bird_takes_what_nodes_and_routers_are_told(
    refusal: Refusal, versions: tuple[int, ...], profile: Profile, mode: Mode, hosted: bool
) -> None:
    """With routers of each role, within the AS and of another; a host's own BIRD by an include."""
    routers = tuple(a_router(role, asn, versions) for role in get_args(Role) for asn in (0, 65001))
    cluster = a_cluster(versions, mode=mode, profile=profile, routers=routers, password_file=FILE)
    for machine in cluster.machines:
        wanted = cluster.on(machine)._replace(hosted=hosted, communities=((64512, 100), (0, 65535)))
        assert wanted.sessions
        text = text_of(wanted)
        assert ("protocol kernel" in text) != hosted
        assert refusal(f"router id 192.0.2.1;\nprotocol device {{}}\n{text}" if hosted else text) == ""


@pytest.mark.parametrize("versions", [(4,), (6,), (4, 6)], ids=["IPv4", "IPv6", "both"])
def test_bird_takes_the_least(refusal: Refusal, versions: tuple[int, ...]) -> None:
    """Nobody else, no prefix, no links, no cluster's CIDRs."""
    nothing = Configuration(
        router_id=IPv4Address("192.0.2.1"), profile="fast", families=versions, links=(), own=(), owners={}, cluster=(),
        sessions=(),
    )  # fmt: skip
    assert refusal(text_of(nothing)) == ""
    assert refusal(render(nothing)) == "", "where nothing is logged to a file"


@DRAWN
@given(clusters())
def test_bird_takes_what_any_cluster_amounts_to(refusal: Refusal, cluster: Cluster) -> None:
    """On every machine of it."""
    for machine in cluster.machines:
        text = text_of(cluster.on(machine))
        assert refusal(f"router id 192.0.2.1;\n{text}" if cluster.bgp.socket else text) == ""


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    """Draw a configuration that follows from no cluster: any addresses, two neighbours at one, any name."""
    names = draw(st.lists(NAMES, max_size=5, unique=True))
    sessions: list[Session] = []
    for name in names:
        ends: st.SearchStrategy[IPAddress] = V4 if draw(st.booleans()) else V6
        asn = draw(st.integers(1, (1 << 32) - 1))
        internal, tells = draw(st.booleans()), draw(st.sampled_from(get_args(Tells)))
        sessions.append(
            Session(
                name=name,
                local=draw(ends),
                neighbour=draw(ends),
                asn=(asn, asn if internal else asn % ((1 << 32) - 1) + 1),
                takes=draw(st.sampled_from(get_args(Takes))),
                tells=tells,
                client=internal and draw(st.booleans()),
                adjacent=draw(st.booleans()),
                password=Password(draw(st.sampled_from(["", FILE]))),
            )
        )
    twins = draw(st.booleans())
    if sessions and twins:  # two neighbours at one address
        sessions.append(sessions[0]._replace(name="twin"))
    owners = draw(st.dictionaries(V4 | V6, st.lists(PREFIXES, max_size=3).map(tuple), max_size=30))
    return Configuration(
        router_id=draw(V4),
        profile=draw(st.sampled_from(PROFILES)),
        families=BOTH,
        links=tuple(draw(st.lists(st.text(CHARACTERS, min_size=1, max_size=15), max_size=2))),
        own=tuple(draw(st.lists(PREFIXES, max_size=3))),
        owners=owners,
        cluster=tuple(draw(st.lists(PREFIXES, max_size=3))),
        sessions=tuple(sessions),
        communities=tuple(draw(st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 65535)), max_size=3))),
        log=LOG,
    )


@DRAWN
@given(configurations(), PASSWORDED)
def test_bird_takes_any_names_addresses_prefixes_and_passwords(
    refusal: Refusal, configuration: Configuration, password: str
) -> None:
    """Whatever nodes.yaml lets them be, and whatever is taken for a password."""
    assert refusal(render(configuration, {FILE: password})) == ""


def test_thousands_of_nodes_are_searched_and_not_compared(refusal: Refusal) -> None:
    """BIRD takes a tree of 2,000, and no path through it compares more than what its depth is and a leaf."""
    owners = {ip_address(f"10.{n // 250}.{n % 250}.1"): (ip_network(f"10.{100 + n // 250}.{n % 250}.0/24"),)
              for n in range(2000)}  # fmt: skip
    configuration = Configuration(
        router_id=IPv4Address("192.0.2.1"), profile="fast", families=(4,), links=(), own=(), owners=owners, cluster=(),
        sessions=(),
    )  # fmt: skip
    text = render(configuration)
    assert refusal(text) == ""
    leaves = text.partition("function podnet_owns4")[2].partition("return false;")[0].split("} else {")
    assert max(leaf.count("if at =") for leaf in leaves) <= 8


def lines_of(text: str) -> dict[str, str]:
    """Return the line of each session by its name, and all before it."""
    return {line.split("'")[1]: line for line in text.splitlines() if line.startswith("protocol bgp '")}


@DRAWN
@given(clusters(), st.integers(0, 2), st.booleans())
def test_a_node_more_or_less_leaves_others_sessions_alone(cluster: Cluster, lan: int, reflector: bool) -> None:
    """Their lines stay byte for byte, and so do the templates that they begin with, so BIRD keeps them up."""
    cluster = Cluster((*cluster.nodes, a_node(98)), cluster.bgp)  # both families are there
    grown = Cluster((*cluster.nodes, a_node(99, lan=lan, reflector=reflector)), cluster.bgp)
    for machine in cluster.machines:
        before, after = text_of(cluster.on(machine)), text_of(grown.on(machine))
        kept = {name: line for name, line in lines_of(after).items() if name.split(".")[1] != "n99"}
        assert kept == lines_of(before)
        assert templates(before).items() <= templates(after).items()


def templates(text: str) -> dict[str, str]:
    """Return the text of each template by its first line."""
    parts = [part.partition("\n}")[0] for part in text.split("\ntemplate ")[1:]]
    return {part.partition("\n")[0]: part for part in parts}


@DRAWN
@given(clusters())
def test_the_same_is_said_the_same_way(cluster: Cluster) -> None:
    """A daemon that starts anew writes the same, whatever order addresses come in: nothing is done anew."""
    wanted = cluster.on(cluster.machines[0])
    turned = wanted._replace(owners={at: wanted.owners[at] for at in sorted(wanted.owners, key=str, reverse=True)})

    def search(configuration: Configuration) -> list[str]:
        return [part.partition("\n}")[0] for part in text_of(configuration).split("function podnet_owns")[1:]]

    assert text_of(wanted) == text_of(cluster.on(cluster.machines[0]))
    assert search(turned) == search(wanted)


@DRAWN
@given(st.lists(NAMES, unique=True, max_size=20), st.sampled_from(BOTH))
def test_names_of_sessions_differ_where_nodes_do(names: list[str], version: int) -> None:
    """None is longer than BIRD's 63 characters; a long one ends in a hash, and a short one is as it is."""
    told = [protocol_name(name, version) for name in names]
    assert len(set(told)) == len(names)
    assert all(len(name) <= 63 for name in told)
    assert all(name in of for name, of in zip(names, told, strict=True) if len(name) <= 50)


def test_routes_are_kept_long_by_all_but_somebody_elses_router() -> None:
    """By RFC 9494 from the first moment on; a router of role `peer` may know of RFC 4724 alone, to which 0 is 0."""
    cluster = a_cluster(
        (4,), mode="reflectors", routers=tuple(a_router(role, versions=(4,)) for role in get_args(Role))
    )
    for machine in cluster.machines:
        text = text_of(cluster.on(machine))
        for name, line in lines_of(text).items():
            said = templates(text)[f"bgp {line.split()[4]} {{"]
            another = isinstance(machine, Node) and name == "podnet.peer-0.4"
            assert ("graceful restart time 600; long lived graceful restart aware;" in said) == another
            assert ("graceful restart time 0; long lived graceful restart on; long lived stale" in said) != another


def test_a_password_is_its_files_line_and_in_its_sessions_alone() -> None:
    """The end of the line is no part of it; sessions of other passwords or none do not have it."""
    cluster = a_cluster((4,), routers=(a_router("peer", versions=(4,)),))
    text = text_of(cluster.on(cluster.nodes[0]))
    found = [name for name, line in lines_of(text).items() if ' password "of the rack";' in line]
    assert found == ["podnet.peer-0.4"]
    assert text.count("password") == 1


@pytest.mark.parametrize(
    "password", ["", "\n", "x" * 81, "é" * 41, 'with "quotes"', "two\nlines", "two\n\n", "a\ttab", "nul\0", "\x7f"]
)
def test_what_is_no_password_is_refused_by_its_file(password: str) -> None:
    """The error names the file and what to write, and shows nothing of what is in it."""
    cluster = a_cluster((4,), password_file=FILE)
    with pytest.raises(InvalidConfiguration) as caught:
        render(cluster.on(cluster.nodes[0]), {FILE: password})
    assert caught.value.msg == (
        f"{FILE}: is no password for BGP; write one line of 1 to 80 bytes without a double quote"
    )  # fmt: skip
