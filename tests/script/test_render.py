"""The text of net-script.sh: generated from the engine's plans, without anything of the placeholder left."""

import re
import shutil
import subprocess
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

import pytest
from click.testing import CliRunner

from podnet import datapath
from podnet.cli.script import command
from podnet.errors import InvalidConfiguration, IOFailure
from podnet.ipam.ranges import pool_of
from podnet.model import Lease, Network, NodeFacts, PodAddress, Range
from podnet.model.network import Datapath
from podnet.nft import DROP, Chain, Element, Rule, Set, Table
from podnet.nft.statement import Match
from podnet.plan import Plan, Step, explain
from podnet.script import Firewall, iptables, net_script
from podnet.script.words import NAMESPACE, Variables, placeholder

FACTS = NodeFacts(
    name="n1", boot_id="b", uplink="up0", addresses=(ip_address("10.99.0.11"), ip_address("fd99::11")), mtu=1400
)
DATAPATHS = pytest.mark.parametrize("kind", ["ptp", "bridge"])
FIREWALLS = pytest.mark.parametrize("firewall", ["nft", "iptables"])
FAMILIES = pytest.mark.parametrize("families", ["4", "6", "46"])


def pool(text: str) -> Range:
    """Return the whole subnet as a range."""
    subnet: IPv4Network | IPv6Network = ip_network(text)
    return Range(subnet, subnet[1], subnet[-2] if subnet.version == 4 else subnet[-1], subnet[1])


POOLS = {"4": (pool("10.244.1.0/24"),), "6": (pool("fd00:10:244:1::/64"),)}


def network(kind: Datapath, families: str) -> Network:
    """Return a network of `kind`."""
    return Network(name="podnet", datapath=kind, ranges=tuple(POOLS[family] for family in families))


def printed(net: Network, firewall: Firewall = "nft") -> str:
    """Return the script for `net`."""
    return net_script(
        net,
        lambda one: pool_of(one).spans,
        datapath.node_plan([net], FACTS),
        lambda lease: datapath.attach(net, FACTS, lease),
        firewall=firewall,
        origin="a test\nline",
    )


@DATAPATHS
@FAMILIES
@FIREWALLS
@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_shells_accept_it(kind: Datapath, families: str, firewall: Firewall, shell: str) -> None:
    """`sh -n` finds no fault in any form, and no marker of the frame is left."""
    text = printed(network(kind, families), firewall)
    subprocess.run([shell, "-n"], input=text, text=True, check=True)
    assert not re.search(r"@[a-z_]+@|^#@", text, re.MULTILINE)
    assert "placehold" not in text
    assert "\nline" not in text


@DATAPATHS
@FIREWALLS
def test_shellcheck_finds_nothing(kind: Datapath, firewall: Firewall) -> None:
    """The linter of shell scripts has no complaint."""
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    text = printed(network(kind, "46"), firewall)
    done = subprocess.run(["shellcheck", "--shell=sh", "-"], input=text, text=True, capture_output=True, check=False)
    assert done.stdout == ""


@DATAPATHS
@FAMILIES
def test_nothing_of_a_pod_is_left_in_its_commands(kind: Datapath, families: str) -> None:
    """Two placeholder pods give the same text: whatever the engine derives from a lease has become a variable."""
    net = network(kind, families)
    texts = []
    for nth, (link, container) in enumerate((("veth-0aaaaaa", "0-one"), ("veth-1bbbbbb", "1-two"))):
        addresses = [PodAddress(one.subnet[100 + nth], one.subnet.prefixlen, one.gateway) for (one,) in net.ranges]
        lease = placeholder("podnet", addresses, link, container)
        variables = Variables(lease)
        lines = explain(datapath.attach(net, FACTS, lease), NAMESPACE)
        texts.append([(variables.command(line.command), variables.comment(line.reason)) for line in lines])
    assert texts[0] == texts[1]
    assert any("$link" in command for command, _ in texts[0])


@DATAPATHS
def test_the_commands_are_explains(kind: Datapath) -> None:
    """With the variables' values put back, the pod's part is what `podnet explain` prints for that pod."""
    net = network(kind, "46")
    addresses = [PodAddress(one.subnet[7], one.subnet.prefixlen, one.gateway) for (one,) in net.ranges]
    lease = placeholder("podnet", addresses, "veth-abcdefg", "red")
    wanted = [line.command for line in explain(datapath.attach(net, FACTS, lease), NAMESPACE)]
    body = re.search(r"^attach_0_0\(\) \{\n(.*?)^\}", printed(net), re.DOTALL | re.MULTILINE)
    assert body is not None
    say = 'say() { for w; do printf "%s\\0" "$w"; done; echo; }\n'
    prelude = say + (
        f'in_pod() {{ say nsenter "--net={NAMESPACE}" "$@"; }}\n'
        f"link=veth-abcdefg container=red netns={NAMESPACE} ip_0={addresses[0].address} ip_1={addresses[1].address}\n"
        "mac_of() { echo 0a:58:0a:f4:01:07; }\nlink_local_of() { echo fe80::858:aff:fef4:107; }\n"
        f"port_mac_of() {{ echo {datapath.host_mac(net, lease)}; }}\n"
        'ip() { say ip "$@"; }\nnft() { say nft "$@"; }\nbridge() { say bridge "$@"; }\n'
    )
    done = subprocess.run(["dash"], input=prelude + body[1], text=True, capture_output=True, check=True)
    said = [line.split("\0")[:-1] for line in done.stdout.splitlines()]
    split = subprocess.run(
        ["dash"],
        input=say + "\n".join(f"say {line}" for line in wanted),
        text=True,
        capture_output=True,
        check=True,
    )
    assert said == [line.split("\0")[:-1] for line in split.stdout.splitlines()]


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("10.0.0.2", '"$ip_0"'),
        ("10.0.0.2/32", '"$ip_0/32"'),
        ("10.0.0.25", "10.0.0.25"),
        ("110.0.0.2", "110.0.0.2"),
        ("10.0.0.2.5", "10.0.0.2.5"),
        ("x10.0.0.2.", '"x$ip_0."'),
        ("0a:58:0a:00:00:02", '"$mac"'),
        ("0a:58:0a:00:00:02:03", "0a:58:0a:00:00:02:03"),
        ("podnet:c1:eth0", '"podnet:$container:eth0"'),
        ("c1_x", '"${container}_x"'),
        ("net/ipv6/conf/veth-0/x", '"net/ipv6/conf/$link/x"'),
        ('a "veth-0" `$x` \\', r'"a \"$link\" \`\$x\` \\"'),
        ("it's", "'it'\"'\"'s'"),
    ],
)
def test_words_become_variables_whole_or_not_at_all(word: str, text: str) -> None:
    """An address inside a longer one stays, and what the shell would expand is quoted."""
    one = pool("10.0.0.0/24")
    lease = placeholder("n", [PodAddress(one.subnet[2], 24, one.gateway)], "veth-0", "c1")
    assert Variables(lease).word(word) == text


def test_too_many_combinations_and_no_ranges_are_refused() -> None:
    """A script is printed for at most 16 combinations of ranges, and for a network that has addresses."""
    many = tuple(pool(f"10.{number}.0.0/24") for number in range(5))
    with pytest.raises(InvalidConfiguration, match="25 combinations of ranges"):
        printed(Network(name="n", ranges=(many, tuple(pool(f"10.1{number}.0.0/24") for number in range(5)))))
    with pytest.raises(InvalidConfiguration, match="has no ranges"):
        printed(Network(name="n"))


TABLE = Table("inet", "podnet")


@pytest.mark.parametrize(
    "made",
    [
        Rule.new(Chain(TABLE, "forward"), Match("ip saddr", ip_address("1.2.3.4")), DROP),
        Element(Set(table=TABLE, name="other4", key=("ipv4_addr",)), (ip_address("10.0.0.1"),)),
    ],
    ids=["rule", "element"],
)
def test_what_iptables_cannot_say_is_refused(made: Rule | Element) -> None:
    """A rule or set that the table of translations lacks is an error that names it, never left out."""
    with pytest.raises(InvalidConfiguration, match="no iptables rule is known for"):
        list(iptables.node(Plan((Step(made, "why"),))))


@DATAPATHS
def test_host_ports_are_in_the_nft_form_alone_and_loopback_is_kept_in_both(kind: Datapath) -> None:
    """No pod of the script has a host port, so iptables has no chain for them; 127.0.0.0/8 is shut either way."""
    nft, ipt = printed(network(kind, "46")), printed(network(kind, "46"), "iptables")
    assert "add rule inet podnet dstnat fib daddr type local jump hostport" in nft
    assert 'iifname != "lo" ip daddr 127.0.0.0/8 drop' in nft
    assert "-A PODNET-PREROUTING ! -i lo -d 127.0.0.0/8 -j DROP" in ipt
    assert not re.findall(r"hostport|dstnat|DNAT(?! -j PODNET-HAIRPIN)|OUTPUT", ipt)
    assert re.findall(r"route_localnet=\d", nft) == re.findall(r"route_localnet=\d", ipt)


def test_a_bridge_s_ports_are_in_the_nft_form_alone_and_the_other_says_so() -> None:
    """Iptables has no chain that sees a port; who reads that script is told what it lacks."""
    nft, ipt = printed(network("bridge", "46")), printed(network("bridge", "46"), "iptables")
    assert "add element bridge podnet ports4" in nft
    assert "add rule bridge podnet prerouting drop" in nft
    assert "bridge podnet" not in ipt
    assert f"# {iptables.PORTS_MISSING}" in ipt
    assert iptables.PORTS_MISSING not in printed(network("ptp", "46"), "iptables")


@DATAPATHS
@pytest.mark.parametrize(("families", "lacks"), [("4", "ip6tables"), ("6", "iptables")])
def test_a_family_in_which_no_pod_has_an_address_is_shut_in_both_forms(
    kind: Datapath, families: str, lacks: str
) -> None:
    """A pod that gives itself an address of the other family sends nothing with it."""
    version = "6" if families == "4" else "4"
    assert f"iifgroup 28782 meta nfproto ipv{version} drop" in printed(network(kind, families))
    ipt = printed(network(kind, families), "iptables")
    block = ipt[ipt.index(f"    {lacks}-restore") :]
    block = block[: block.index("COMMIT")]
    assert "-A PODNET-PREROUTING -m devgroup --src-group 28782 -j DROP" in block


def test_an_element_of_an_unknown_set_is_refused() -> None:
    """So is a pod's element of such a set."""
    other = Element(Set(table=TABLE, name="other4", key=("ipv4_addr",)), (ip_address("10.0.0.1"),))
    with pytest.raises(InvalidConfiguration, match="other4"):
        iptables.elements(other)


def test_a_plan_without_rules_has_no_nft_and_a_span_of_ipv6_ends_at_32_bits() -> None:
    """The numbers that the shell counts in stay below 2**32, whatever the range."""
    net = Network(name="n", ranges=((pool("fd00::/48"),),))
    text = net_script(net, lambda _: [(2**127 + 5, 2**127 + 2**80)], Plan(), lambda _: Plan(), database="/d")
    assert "'0 8000:0:0:0:0:0 5 4294967295'" in text
    assert "nft -f" not in text
    assert "database=${PODNET_DATABASE:-/d}" in text


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., str]:
    """Return a writer of a node's settings; it returns their path."""

    def write(listed: str = "n1") -> str:
        nodes = f"nodes:\n  - name: {listed}\n    addresses: [10.99.0.11]\n    pod-cidrs: [10.244.1.0/24]\n"
        (tmp_path / "nodes.yaml").write_text(nodes)
        path = tmp_path / "podnet.yaml"
        path.write_text("node: n1\nuplink: lo\nnodes: nodes.yaml\n")
        return str(path)

    return write


def test_the_command_prints_a_script_for_this_node(settings: Callable[..., str], tmp_path: Path) -> None:
    """The settings decide; --datapath, --iptables and --conf go over them."""
    config = settings()
    text = CliRunner().invoke(command, ["--config", config], catch_exceptions=False).output
    assert f"# Pod network 'podnet': ptp, 10.244.1.0/24, by ip and nft, configured by {config}." in text
    conf = tmp_path / "x.conf"
    conf.write_text('{"cniVersion": "1.0.0", "name": "other", "type": "podnet", "ipam": {"subnet": "10.9.0.0/24"}}')
    words = ["--config", config, "--datapath", "bridge", "--iptables", "--conf", str(conf)]
    text = CliRunner().invoke(command, words, catch_exceptions=False).output
    assert "# Pod network 'other': bridge, 10.9.0.0/24, by ip and iptables" in text


def test_the_command_says_what_is_missing(settings: Callable[..., str], tmp_path: Path) -> None:
    """A node that is not listed has no addresses to give; a configuration that is not there cannot be read."""
    with pytest.raises(InvalidConfiguration, match=r"pod-cidrs in nodes\.yaml"):
        CliRunner().invoke(command, ["--config", settings("n2")], catch_exceptions=False)
    words = ["--config", settings(), "--conf", str(tmp_path / "absent")]
    with pytest.raises(IOFailure, match="name a readable file with --conf"):
        CliRunner().invoke(command, words, catch_exceptions=False)


def test_a_lease_is_what_the_plans_are_made_for() -> None:
    """The placeholder is a lease like any other, so the engine's own functions take it."""
    assert isinstance(placeholder("n", []), Lease)
