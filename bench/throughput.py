"""From pod to pod on one node: TCP throughput and the round trip of a UDP datagram, over every kind of path.

All paths stand at the same time, each on a node of its own, and are measured in turn, in a new order every round.
"""

import json
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench.node import Node, Pods, Tools, command, wait
from bench.plugins import PODNET_BRIDGE, PODNET_PTP, Contender, load, serve
from bench.report import Throughput, percentile

BARE = "bare veth"
_PORT = "7000"
_SUBNET = "10.244.0.0/20"
_GATEWAY = "10.244.0.1"
_ADDRESSES = ("10.244.0.2", "10.244.0.3")
_RULES = """table inet bench {
  set pods { type ipv4_addr; flags interval; elements = { 10.244.0.0/20 } }
  chain forward {
    type filter hook forward priority filter; policy accept;
    ct state invalid drop
    ct state established,related accept
    ip daddr @pods accept
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    ip saddr @pods ip daddr != @pods masquerade fully-random
  }
}
"""


class Layout(NamedTuple):
    """A path to measure: its name, and what connects two pods on a node and returns the second pod's address."""

    name: str
    connect: Callable[[Node, Pods, Tools], str]


def _bare(_node: Node, pods: Pods, _tools: Tools) -> str:
    """Connect the pods by one veth pair between them: the least that a path can be."""
    one, other = pods.names
    command("ip", "-n", one, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", other)
    for name, address in zip(pods.names, _ADDRESSES, strict=True):
        command("ip", "-n", name, "-batch", "-", text=f"link set eth0 up\naddr add {address}/20 dev eth0\n")
    return _ADDRESSES[1]


def _podnet(contender: Contender) -> Callable[[Node, Pods, Tools], str]:
    """Connect the pods by podnet itself: its daemon, its shim, its ADD."""

    def connect(node: Node, pods: Pods, tools: Tools) -> str:
        serve("ADD", load(contender, node), node, pods, width=1, tools=tools)
        result = json.loads((node.folder / "results" / pods.ids[1]).read_text())
        return str(result["ips"][0]["address"]).partition("/")[0]

    return connect


def _bridge(*, netfilter: bool = False, isolated: bool = False) -> Callable[[Node, Pods, Tools], str]:
    """Connect the pods by a bridge, made with `ip`.

    `netfilter`: bridged packets pass the IP hooks by br_netfilter. `isolated`: they do since the ports may only talk
    to the bridge itself, so the node routes. Both have an ordinary forward chain with conntrack there; without
    either, the bridge is plain: no packet meets a rule.
    """

    def connect(node: Node, pods: Pods, _tools: Tools) -> str:
        _sysctls(node, bridge_nf=netfilter)
        node.run("ip", "link", "add", "br0", "type", "bridge")
        node.run("ip", "-batch", "-", text=f"link set br0 up\naddr add {_GATEWAY}/20 dev br0\n")
        for index, (name, address) in enumerate(zip(pods.names, _ADDRESSES, strict=True)):
            node.run("ip", "link", "add", f"veth{index}", "type", "veth", "peer", "name", "eth0", "netns", name)
            node.run("ip", "link", "set", f"veth{index}", "master", "br0", "up")
            flag = " noprefixroute" if isolated else ""
            text = f"link set eth0 up\naddr add {address}/20 dev eth0{flag}\n"
            command("ip", "-n", name, "-batch", "-", text=f"{text}route add default via {_GATEWAY} dev eth0 onlink\n")
            if isolated:
                node.run("bridge", "link", "set", "dev", f"veth{index}", "isolated", "on")
        if netfilter or isolated:
            node.run("nft", "-f", "-", text=_RULES)
        return _ADDRESSES[1]

    return connect


def _routed(node: Node, pods: Pods, _tools: Tools) -> str:
    """Connect the pods by a routed veth pair each, made with `ip`, with an ordinary forward chain and conntrack."""
    _sysctls(node, bridge_nf=False)
    for index, (name, address) in enumerate(zip(pods.names, _ADDRESSES, strict=True)):
        node.run("ip", "link", "add", f"veth{index}", "type", "veth", "peer", "name", "eth0", "netns", name)
        node.run("ip", "link", "set", f"veth{index}", "up")
        host = json.loads(node.run("ip", "-j", "link", "show", f"veth{index}"))[0]["address"]
        text = f"link set eth0 up\naddr add {address}/32 dev eth0\nroute add default via 169.254.1.1 dev eth0 onlink\n"
        neighbour = f"neigh add 169.254.1.1 lladdr {host} dev eth0 nud permanent\n"
        command("ip", "-n", name, "-batch", "-", text=f"{text}{neighbour}")
        node.run("ip", "route", "add", address, "dev", f"veth{index}")
    node.run("nft", "-f", "-", text=_RULES)
    return _ADDRESSES[1]


def _sysctls(node: Node, *, bridge_nf: bool) -> None:
    """Forward, send no redirects, and have br_netfilter (on by default in new namespaces) do what was asked for.

    Call it before the links are made: they inherit `default`. Where br_netfilter is not loaded its keys are not there.
    """
    wanted = {"net.ipv4.ip_forward": 1}
    wanted |= {f"net.ipv4.conf.{scope}.send_redirects": 0 for scope in ("all", "default")}
    wanted |= {f"net.bridge.bridge-nf-call-{name}": int(bridge_nf) for name in ("iptables", "ip6tables")}
    wanted["net.bridge.bridge-nf-call-arptables"] = 0
    node.run("sysctl", "-q", "-e", "-w", *(f"{name}={value}" for name, value in wanted.items()))


LAYOUTS = (
    Layout(BARE, _bare),
    Layout(PODNET_PTP.name, _podnet(PODNET_PTP)),
    Layout(PODNET_BRIDGE.name, _podnet(PODNET_BRIDGE)),
    Layout("plain bridge", _bridge()),
)
DESIGN_LAYOUTS = (
    Layout(BARE, _bare),
    Layout("routed veths, rules", _routed),
    Layout("plain bridge", _bridge()),
    Layout("bridge, br_netfilter, rules", _bridge(netfilter=True)),
    Layout("bridge, isolated ports, routed, rules", _bridge(isolated=True)),
)


class _Standing(NamedTuple):
    """A path that stands: who asks, in which namespace, and whom."""

    name: str
    client: str
    address: str


def measure(
    layouts: Sequence[Layout], folder: Path, tools: Tools, *, rounds: int, seconds: int, step: Callable[[str], None]
) -> list[Throughput]:
    """Measure every path `rounds` times: one stream and four for `seconds` each, then 20,000 round trips.

    `step` is told each (path, round) before it is measured.
    """
    taken: dict[str, list[tuple[float, float, float, float]]] = {layout.name: [] for layout in layouts}
    with ExitStack() as stack:
        standing = [_stand(layout, index, folder, tools, stack) for index, layout in enumerate(layouts)]
        for turn in range(rounds):
            place = turn % len(standing)
            order = standing[place:] + standing[:place]
            for path in order if turn % 2 == 0 else reversed(order):
                step(f"{path.name}, round {turn + 1}")
                one, four = (_gigabits(path, streams, seconds) for streams in (1, 4))
                trips = [float(line) / 1e3 for line in _inside(path, tools.pingpong, "ask", _PORT, "20000").split()]
                taken[path.name].append((one, four, percentile(trips, 50), percentile(trips, 99)))
    return [_condense(layout.name, taken[layout.name], taken[BARE]) for layout in layouts]


def _stand(layout: Layout, index: int, folder: Path, tools: Tools, stack: ExitStack) -> _Standing:
    """Make the path, and start what answers in its second pod."""
    node = stack.enter_context(Node(f"path{index}", folder / f"path{index}"))
    pods = stack.enter_context(Pods(f"path{index}", 2))
    address = layout.connect(node, pods, tools)
    inside = ("nsenter", f"--net={pods.paths[1]}", "--")
    iperf, echo = node.folder / "iperf3.log", node.folder / "pingpong.log"
    node.start(*inside, "iperf3", "--server", "--forceflush", log=iperf)
    node.start(*inside, tools.pingpong, "serve", _PORT, log=echo)
    wait(lambda: "listening" in iperf.read_text(), f"{layout.name}: iperf3 does not serve")
    wait(lambda: "ready" in echo.read_text(), f"{layout.name}: pingpong does not serve")
    return _Standing(layout.name, pods.names[0], address)


def _inside(path: _Standing, program: str | Path, *argv: str) -> str:
    """Run a client in the first pod. pingpong takes the address as its second argument, iperf3 after --client."""
    words = [argv[0], path.address, *argv[1:]]
    return command("nsenter", f"--net=/run/netns/{path.client}", "--", program, *words)


def _gigabits(path: _Standing, streams: int, seconds: int) -> float:
    """Return the received Gbit/s of TCP in whole seconds (iperf3 takes a fraction for 0, which is without end)."""
    output = _inside(path, "iperf3", "--client", "-J", "-t", str(seconds), "-P", str(streams))
    return float(json.loads(output)["end"]["sum_received"]["bits_per_second"]) / 1e9


def _condense(
    name: str, own: Sequence[tuple[float, float, float, float]], bare: Sequence[tuple[float, float, float, float]]
) -> Throughput:
    """Take the medians; a ratio is the median of the rounds' own ratios, since a round's halves share their noise."""
    one, four, p50, p99 = (statistics.median(column) for column in zip(*own, strict=True))
    ratio_one, ratio_four = (
        statistics.median(mine[column] / least[column] for mine, least in zip(own, bare, strict=True))
        for column in (0, 1)
    )
    return Throughput(name, one, ratio_one, four, ratio_four, p50, p99)
