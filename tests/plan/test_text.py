"""What plans look like as commands: whole plans beside files, how namespaces are named, what the shell must not see."""

import subprocess
from difflib import unified_diff
from ipaddress import ip_address, ip_network
from itertools import pairwise
from pathlib import Path
from shlex import split
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podnet import datapath
from podnet.nft import Chain, Element, Set, Table
from podnet.plan import (
    Address,
    Fdb,
    Link,
    Neighbour,
    Object,
    Plan,
    Redirect,
    Route,
    Step,
    Sysctl,
    Tbf,
    Vxlan,
    WireGuard,
    WireGuardPeer,
    explain,
    headline,
    script,
)
from podnet.testing.values import FACTS, a_lease, a_network

GOLDEN = Path(__file__).parent / "golden"
TABLE = Table("inet", "podnet")


def told(*things: Object, verb: Any = "add", namespace: str = "red") -> list[str]:
    """Return the commands that do `verb` to `things`."""
    return [line.command for line in explain(Plan(tuple(Step(thing, "r", verb) for thing in things)), namespace)]


@pytest.mark.parametrize("versions", [(4,), (6,), (4, 6)], ids=["4", "6", "dual"])
@pytest.mark.parametrize("kind", ["ptp", "bridge"])
def test_a_nodes_and_a_pods_plan_are_the_text_on_file(kind: str, versions: tuple[int, ...]) -> None:
    """Every word of the node's, the pod's and DEL's script is as the file beside this test has it."""
    network = a_network(kind, versions)
    lease = a_lease(network)
    plans = {
        "node": datapath.node_plan([network], FACTS),
        "pod": datapath.attach(network, FACTS, lease),
        "cut": datapath.cut(network, lease),
    }
    text = "".join(f"## {name}\n{script(plan, 'red')}" for name, plan in plans.items())
    name = f"{kind}-{'dual' if len(versions) == 2 else versions[0]}.txt"
    expected = (GOLDEN / name).read_text()
    difference = unified_diff(expected.splitlines(), text.splitlines(), f"golden/{name}", "explain", lineterm="")
    assert text == expected, "\n".join(difference)


def test_every_file_belongs_to_a_test() -> None:
    """No text is left behind that nothing is compared with."""
    assert {path.name for path in GOLDEN.iterdir()} == {
        f"{kind}-{family}.txt" for kind in ("ptp", "bridge") for family in ("4", "6", "dual")
    }


LO = Link(at="pod", name="lo")
FORWARD = Sysctl(at="pod", name="net/ipv6/conf/eth0.7/accept_ra", value="0")


@pytest.mark.parametrize(
    ("namespace", "ip", "inside", "target"),
    [
        ("red", "ip -n red", "ip netns exec red", "red"),
        ("/run/netns/red", "ip -n red", "ip netns exec red", "red"),
        ("/var/run/netns/cni-1", "ip -n cni-1", "ip netns exec cni-1", "cni-1"),
        ("/proc/7/ns/net", "nsenter --net=/proc/7/ns/net ip", "nsenter --net=/proc/7/ns/net", "/proc/7/ns/net"),
        ("/run/netns/a/b", "nsenter --net=/run/netns/a/b ip", "nsenter --net=/run/netns/a/b", "/run/netns/a/b"),
        ("my pod", "ip -n 'my pod'", "ip netns exec 'my pod'", "'my pod'"),
        (
            "/run/it's",
            """nsenter --net='/run/it'"'"'s' ip""",
            """nsenter --net='/run/it'"'"'s'""",
            """'/run/it'"'"'s'""",
        ),
    ],
)
def test_a_namespace_is_spoken_of_by_name_where_it_has_one(namespace: str, ip: str, inside: str, target: str) -> None:
    """A name or a path below /run/netns is `ip -n`, any other path nsenter; both are quoted."""
    pair = Link(at="node", name="veth-a", kind="veth", peer="eth0")
    assert told(LO, FORWARD, pair, namespace=namespace) == [
        f"{ip} link set lo up",
        f"{inside} sysctl -qw net/ipv6/conf/eth0.7/accept_ra=0",
        f"ip link add veth-a type veth peer name eth0 netns {target}",
        "ip link set veth-a up",
    ]


@pytest.mark.parametrize(
    ("namespace", "tc"), [("red", "tc -n red"), ("/proc/7/ns/net", "nsenter --net=/proc/7/ns/net tc")]
)
def test_tc_enters_a_namespace_as_ip_does(namespace: str, tc: str) -> None:
    """By name with -n, by path with nsenter."""
    assert told(TBF, verb="delete", namespace=namespace) == [f"{tc} qdisc del dev eth0 root"]


HOSTILE = "$(x);'\" a"


@pytest.mark.parametrize(
    "thing",
    [
        Link(at="node", name="$(x);'\"a", kind="veth", peer="$(x);'\"a", alias=HOSTILE, master="$(x);'\"a"),
        Link(at="pod", name="$(x);'\"a"),
        Address(at="pod", dev="$(x);'\"a", address=ip_address("10.0.0.2"), prefixlen=32),
        Route(at="node", dst=ip_network("10.0.0.0/8"), dev="$(x);'\"a"),
        Neighbour(at="pod", dev="$(x);'\"a", address=ip_address("10.0.0.2"), mac="02:00:00:00:00:01"),
        Sysctl(at="pod", name="net/ipv4/conf/$(x);'\"a/rp_filter", value="2"),
        Link(at="pod", name="$(x);'\"a", kind="ifb", route_localnet=True),
        Tbf(at="pod", dev="$(x);'\"a", rate=1, burst=1, limit=1),
        Redirect(at="node", dev="$(x);'\"a", to="$(x);'\"a"),
        Fdb(at="node", dev="$(x);'\"a", mac="02:00:00:00:00:01", dst=ip_address("10.0.0.2")),
        Link(
            at="node",
            name="$(x);'\"a",
            kind="vxlan",
            vxlan=Vxlan(vni=7, local=ip_address("10.0.0.1"), port=4789, dev="$(x);'\"a"),
        ),
    ],
    ids=lambda thing: type(thing).__name__,
)
@pytest.mark.parametrize("verb", ["add", "set", "delete"])
def test_what_the_shell_would_act_on_is_quoted(thing: Object, verb: str) -> None:
    """A link may be called `$(x);'"a`: to the shell every command is one command of plain words."""
    for command in told(thing, verb=verb, namespace=f"/run/{HOSTILE}"):
        seen = subprocess.run(["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True)
        assert seen.stderr == ""
        assert seen.stdout.splitlines() == split(command)
        assert any("$(x);'" in word for word in split(command))


@settings(max_examples=60, deadline=None)
@given(alias=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40))
def test_an_alias_is_one_word_whatever_it_says(alias: str) -> None:
    """The word after `alias` is the alias."""
    words = split(told(Link(at="node", name="br0", alias=alias))[0])
    assert words[words.index("alias") + 1] == alias


PODS = Set(table=TABLE, name="pods4", key=("ifname", "ipv4_addr"))
TBF = Tbf(at="pod", dev="eth0", rate=2_500_000, burst=25_000, limit=50_000)
REDIRECT = Redirect(at="node", dev="veth-a", to="ifb-a")
FILTER = (
    "tc filter add dev veth-a ingress protocol all prio 1 handle 800::800 u32 match u32 0 0 "
    "action mirred egress redirect dev ifb-a"
)
TUNNEL = Link(
    at="node",
    name="podnet-vx4",
    kind="vxlan",
    mtu=1450,
    vxlan=Vxlan(vni=7, local=ip_address("192.0.2.1"), port=4789, dev="eth0"),
)
ENTRY = Fdb(at="node", dev="podnet-vx4", mac="02:00:00:00:00:01", dst=ip_address("192.0.2.2"))
KEY = "TMIlyhuy2oSR0UWK7ZtXmZ7Jk5u5bsfuMQqV+n1zMzw="
ENCRYPTED = WireGuard(at="node", dev="wg0", private_key="/a file", public_key=KEY, port=51820)
PEER = WireGuardPeer(
    at="node",
    dev="wg0",
    public_key=KEY,
    endpoint=ip_address("192.0.2.2"),
    port=51820,
    allowed_ips=(ip_network("10.244.2.0/24"), ip_network("fd00:2::/64")),
)
VERBS: list[tuple[Object, str, list[str]]] = [
    (
        Link(at="node", name="br0", kind="bridge", up=False),
        "add",
        ["ip link add br0 type bridge mcast_snooping 0 no_linklocal_learn 1"],
    ),
    (
        Link(at="node", name="br0", kind="bridge", alias="a", up=False),
        "add",
        ["ip link add br0 type bridge mcast_snooping 0 no_linklocal_learn 1", "ip link set br0 alias a"],
    ),
    (
        Link(at="node", name="br0", kind="bridge", mac="02:00:00:00:00:01", mtu=1400, group=5),
        "set",
        ["ip link set br0 address 02:00:00:00:00:01 mtu 1400 group 5", "ip link set br0 up"],
    ),
    (Link(at="node", name="veth-a", kind="veth", group=5, up=False), "set", ["ip link set veth-a group 5 down"]),
    (Link(at="node", name="veth-a", kind="veth", peer="eth0"), "delete", ["ip link del veth-a"]),
    (
        Link(at="pod", name="eth0", kind="veth", mtu=1400),
        "add",
        ["ip -n red link set eth0 mtu 1400", "ip -n red link set eth0 up"],
    ),
    (
        Address(at="node", dev="br0", address=ip_address("fd00::1"), prefixlen=64, prefix_route=False),
        "set",
        ["ip addr replace fd00::1/64 dev br0 nodad noprefixroute"],
    ),
    (
        Address(at="node", dev="br0", address=ip_address("fd00::1"), prefixlen=64, prefix_route=False),
        "delete",
        ["ip addr del fd00::1/64 dev br0"],
    ),
    (
        Route(
            at="pod",
            dst=ip_network("::/0"),
            dev="eth0",
            via=ip_address("fe80::1"),
            onlink=True,
            src=ip_address("fd00::2"),
            protocol=112,
            metric=9,
        ),
        "set",
        ["ip -n red -6 route replace default via fe80::1 dev eth0 proto 112 src fd00::2 metric 9 onlink"],
    ),
    (
        Route(at="pod", dst=ip_network("::/0"), dev="eth0", via=ip_address("fe80::1"), onlink=True),
        "delete",
        ["ip -n red -6 route del default via fe80::1 dev eth0"],
    ),
    (
        Route(at="node", dst=ip_network("10.0.0.0/8"), type="unreachable", metric=9),
        "add",
        ["ip route add unreachable 10.0.0.0/8 metric 9"],
    ),
    (
        Neighbour(at="node", dev="br0", address=ip_address("10.0.0.2"), mac="02:00:00:00:00:01"),
        "set",
        ["ip neigh replace 10.0.0.2 lladdr 02:00:00:00:00:01 dev br0 nud permanent"],
    ),
    (
        Neighbour(at="node", dev="br0", address=ip_address("10.0.0.2"), mac="02:00:00:00:00:01"),
        "delete",
        ["ip neigh del 10.0.0.2 dev br0"],
    ),
    (
        Link(at="pod", name="ifb0", kind="ifb", queues=1, route_localnet=True),
        "add",
        [
            "ip -n red link add ifb0 numtxqueues 1 numrxqueues 1 type ifb",
            "ip netns exec red sysctl -qw net/ipv4/conf/ifb0/route_localnet=1",
            "ip -n red link set ifb0 up",
        ],
    ),
    (
        Link(at="node", name="veth-a", kind="veth", route_localnet=True, up=False),
        "set",
        ["ip link set veth-a down", "sysctl -qw net/ipv4/conf/veth-a/route_localnet=1"],
    ),
    (TBF, "add", ["tc -n red qdisc replace dev eth0 root tbf rate 20000000bit burst 25000b limit 50000b"]),
    (TBF, "set", ["tc -n red qdisc replace dev eth0 root tbf rate 20000000bit burst 25000b limit 50000b"]),
    (TBF, "delete", ["tc -n red qdisc del dev eth0 root"]),
    (REDIRECT, "add", ["tc qdisc add dev veth-a ingress", FILTER]),
    (
        REDIRECT,
        "set",
        ["tc qdisc replace dev veth-a ingress", "tc filter del dev veth-a ingress", FILTER],
    ),
    (REDIRECT, "delete", ["tc qdisc del dev veth-a ingress"]),
    (
        TUNNEL,
        "add",
        [
            (
                "ip link add podnet-vx4 mtu 1450 type vxlan id 7 local 192.0.2.1 dev eth0 dstport 4789 nolearning "
                "noudpcsum"
            ),
            "ip link set podnet-vx4 up",
        ],
    ),
    (
        msgspec.structs.replace(TUNNEL, vxlan=Vxlan(vni=7, local=ip_address("2001:db8::1"), port=8472, dev="eth0")),
        "add",
        [
            "ip link add podnet-vx4 mtu 1450 type vxlan id 7 local 2001:db8::1 dev eth0 dstport 8472 nolearning",
            "ip link set podnet-vx4 up",
        ],
    ),
    (TUNNEL, "set", ["ip link set podnet-vx4 mtu 1450", "ip link set podnet-vx4 up"]),
    (ENTRY, "add", ["bridge fdb add 02:00:00:00:00:01 dev podnet-vx4 dst 192.0.2.2 self permanent"]),
    (ENTRY, "set", ["bridge fdb replace 02:00:00:00:00:01 dev podnet-vx4 dst 192.0.2.2 self permanent"]),
    (ENTRY, "delete", ["bridge fdb del 02:00:00:00:00:01 dev podnet-vx4 dst 192.0.2.2 self"]),
    (
        msgspec.structs.replace(ENTRY, at="pod"),
        "add",
        ["bridge -n red fdb add 02:00:00:00:00:01 dev podnet-vx4 dst 192.0.2.2 self permanent"],
    ),
    (
        Link(at="node", name="wg0", kind="wireguard", mtu=1440, group=7, alias="a", ipv6_autoconf=False),
        "add",
        [
            "ip link add wg0 mtu 1440 group 7 type wireguard",
            "ip link set wg0 alias a addrgenmode none",
            "ip link set wg0 up",
        ],
    ),
    (
        Link(at="node", name="wg0", kind="tun", mtu=1440, group=7, alias="a", ipv6_autoconf=False),
        "add",
        [
            "wireguard-go wg0",
            "wg set wg0 fwmark 0",
            "ip link set wg0 mtu 1440 group 7 alias a addrgenmode none",
            "ip link set wg0 up",
        ],
    ),
    (Link(at="node", name="wg0", kind="tun", mtu=1440), "set", ["ip link set wg0 mtu 1440", "ip link set wg0 up"]),
    (Link(at="node", name="wg0", kind="tun"), "delete", ["ip link del wg0"]),
    (ENCRYPTED, "add", ["wg set wg0 listen-port 51820 private-key '/a file'"]),
    (ENCRYPTED, "set", ["wg set wg0 listen-port 51820 private-key '/a file'"]),
    (ENCRYPTED, "delete", ["wg set wg0 listen-port 0 private-key /dev/null"]),
    (PEER, "add", [f"wg set wg0 peer {KEY} endpoint 192.0.2.2:51820 allowed-ips 10.244.2.0/24,fd00:2::/64"]),
    (
        msgspec.structs.replace(PEER, endpoint=ip_address("2001:db8::2"), allowed_ips=()),
        "set",
        [f"wg set wg0 peer {KEY} endpoint '[2001:db8::2]:51820' allowed-ips ''"],
    ),
    (
        msgspec.structs.replace(PEER, endpoint=None),
        "set",
        [f"wg set wg0 peer {KEY} allowed-ips 10.244.2.0/24,fd00:2::/64"],
    ),
    (PEER, "delete", [f"wg set wg0 peer {KEY} remove"]),
    (msgspec.structs.replace(PEER, at="pod"), "delete", [f"ip netns exec red wg set wg0 peer {KEY} remove"]),
    (Sysctl(at="node", name="net/ipv4/ip_forward", value="1"), "set", ["sysctl -qw net/ipv4/ip_forward=1"]),
    (TABLE, "set", ["nft 'add table inet podnet'"]),
    (Chain(TABLE, "forward"), "flush", ["nft 'flush chain inet podnet forward'"]),
    (
        Element(PODS, ("br0", ip_address("10.0.0.2"))),
        "delete",
        ["""nft 'delete element inet podnet pods4 { "br0" . 10.0.0.2 }'"""],
    ),
]


@pytest.mark.parametrize(("thing", "verb", "commands"), VERBS)
def test_each_object_and_verb_has_its_command(thing: Object, verb: str, commands: list[str]) -> None:
    """The words are ip(8)'s, tc(8)'s and nft(8)'s own."""
    assert told(thing, verb=verb) == commands


@pytest.mark.parametrize(("thing", "verb", "commands"), VERBS)
def test_errors_call_a_step_by_its_first_command(thing: Object, verb: Any, commands: list[str]) -> None:
    """The headline of a step is the command that begins it."""
    assert headline(Step(thing, "r", verb), "red") == commands[0]


def test_a_script_is_valid_and_stops_at_the_first_error() -> None:
    """`sh -n` takes it, `set -e` is first, and a reason shared by several commands stands once."""
    network = a_network("bridge", (4, 6))
    plan = Plan.of(datapath.node_plan([network], FACTS), datapath.attach(network, FACTS, a_lease(network)))
    text = script(plan, "/proc/7/ns/net")
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)
    lines = text.splitlines()
    assert lines[0] == "set -eu"
    comments = [line for line in lines if line.startswith("#")]
    assert all(one != other for one, other in pairwise(comments))
    assert [line for line in lines[1:] if not line.startswith("#")] == [
        line.command for line in explain(plan, "/proc/7/ns/net")
    ]


def test_lines_say_where_they_act_and_why() -> None:
    """Each line has its step's place and reason."""
    plan = Plan((Step(LO, "CNI: a pod reaches itself"), Step(TABLE, "one table")))
    assert [(line.at, line.reason) for line in explain(plan)] == [
        ("pod", "CNI: a pod reaches itself"),
        ("node", "one table"),
    ]
    assert explain(plan)[0].command == "ip -n pod link set lo up"
    assert explain(Plan()) == []
