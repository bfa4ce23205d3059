"""The contenders, and what one ADD and one DEL of many pods takes with each.

A contender is a network list, executed as libcni does: name and cniVersion injected into every plugin's configuration,
`runtimeConfig` for the capabilities it declares (portMappings is the empty list that containerd and cri-o pass for a
pod without host ports, bandwidth is there for a pod that is shaped), prevResult handed down the chain, DEL backwards
with the result that ADD left.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.node import POD_CIDR, UPLINK, BenchError, Daemon, Node, Pods, Tools, command
from bench.report import Execution, Round, Verb

REFERENCE_FOLDER = Path("/usr/lib/cni")
BRIDGE = "br0"
_CNI_VERSION = "1.0.0"
_KEPT = ("lo", UPLINK, BRIDGE)
Json = dict[str, object]


class Contender(NamedTuple):
    """A plugin chain to measure: reference plugins by their list, or podnet by its datapath (without `plugins`).

    `asks` names the capabilities that every pod makes use of: the keys of `_ASKED`.
    """

    name: str
    datapath: str = ""
    plugins: tuple[Json, ...] = ()
    asks: tuple[str, ...] = ()


class Loaded(NamedTuple):
    """A contender made ready on a node: the runner's chain file, and podnet's daemon where it is podnet."""

    chain: Path
    daemon: Daemon | None


# "@PORT@" becomes a port of the pod's own in the runner. TCP: a UDP port's end makes plugins clean up conntrack.
_ASKED: Json = {
    "portMappings": [{"hostPort": "@PORT@", "containerPort": 80, "protocol": "tcp"}],
    "bandwidth": {
        "ingressRate": 100_000_000,
        "ingressBurst": 1_000_000,
        "egressRate": 100_000_000,
        "egressBurst": 1_000_000,
    },
}
_PORTMAP: Json = {"type": "portmap", "capabilities": {"portMappings": True}}
_BANDWIDTH: Json = {"type": "bandwidth", "capabilities": {"bandwidth": True}}
PODNET_PTP = Contender("podnet ptp", datapath="ptp")
PODNET_BRIDGE = Contender("podnet bridge", datapath="bridge")
BRIDGE_PORTMAP = Contender(
    "bridge + masquerade + portmap",
    plugins=({"type": "bridge", "bridge": BRIDGE, "isGateway": True, "ipMasq": True}, _PORTMAP),
)
PTP_PORTMAP = Contender("ptp + portmap", plugins=({"type": "ptp"}, _PORTMAP))
PTP = Contender("ptp", plugins=({"type": "ptp"},))
CONTENDERS = (PODNET_PTP, PODNET_BRIDGE, BRIDGE_PORTMAP, PTP_PORTMAP, PTP)

_BOTH = ("portMappings", "bandwidth")
ASKING = (
    Contender("podnet ptp, port and bandwidth", datapath="ptp", asks=_BOTH),
    Contender("podnet bridge, port and bandwidth", datapath="bridge", asks=_BOTH),
    Contender("ptp + portmap + bandwidth", plugins=({"type": "ptp"}, _PORTMAP, _BANDWIDTH), asks=_BOTH),
)
"""Every pod has a host port of its own and is shaped both ways."""
INCREMENTS = (
    PODNET_PTP,
    Contender("podnet ptp, port", datapath="ptp", asks=("portMappings",)),
    Contender("podnet ptp, bandwidth", datapath="ptp", asks=("bandwidth",)),
    ASKING[0],
)
"""What a port costs, what bandwidth costs."""


def load(contender: Contender, node: Node, environment: Sequence[str] = ()) -> Loaded:
    """Make a contender ready on a node: its configuration written, its daemon (if any) serving."""
    if contender.datapath:
        daemon = Daemon(node, contender.datapath, environment)
        document = json.loads(next(iter(daemon.conflists())).read_text())
        folder = node.folder / "opt-cni/bin"
        return Loaded(_write_chain(node, document["name"], document["plugins"], folder, contender.asks), daemon)
    ranges = [[{"subnet": POD_CIDR}]]
    routes = [{"dst": "0.0.0.0/0"}]
    ipam = {"type": "host-local", "dataDir": str(node.folder / "host-local"), "ranges": ranges, "routes": routes}
    plugins = [{**plugin, "ipam": ipam} if index == 0 else plugin for index, plugin in enumerate(contender.plugins)]
    return Loaded(_write_chain(node, "bench", plugins, REFERENCE_FOLDER, contender.asks), None)


def configured(plugin: Json, name: str, asks: Sequence[str]) -> Json:
    """Return a plugin's configuration as a runtime hands it over: of what a pod asks for, what the plugin declares."""
    configuration = {**plugin, "cniVersion": _CNI_VERSION, "name": name}
    capabilities = configuration.pop("capabilities", {})
    declared = capabilities if isinstance(capabilities, dict) else {}
    wanted = {"portMappings": [], **{capability: _ASKED[capability] for capability in asks}}
    if handed := {capability: value for capability, value in wanted.items() if declared.get(capability)}:
        configuration["runtimeConfig"] = handed
    return configuration


def _write_chain(node: Node, name: str, plugins: Sequence[Json], folder: Path, asks: Sequence[str]) -> Path:
    lines = []
    for index, plugin in enumerate(plugins):
        configuration = configured(plugin, name, asks)
        path = node.folder / f"plugin-{index}.json"
        path.write_text(json.dumps(configuration, separators=(",", ":")))
        lines.append(f"{folder / str(plugin['type'])} {path}")
    chain = node.folder / "chain"
    chain.write_text("\n".join(lines))
    return chain


def serve(verb: str, loaded: Loaded, node: Node, pods: Pods, *, width: int, tools: Tools) -> Verb:
    """Execute one verb for all pods, `width` at a time. Raises BenchError with the first plugin's complaint."""
    results, listed, samples = node.folder / "results", node.folder / "pods", node.folder / f"{verb}.samples"
    results.mkdir(exist_ok=True)
    listed.write_text(pods.lines)
    path = f"CNI_PATH={REFERENCE_FOLDER}:{node.folder / 'opt-cni/bin'}"
    node.run("env", path, tools.runner, verb, str(width), listed, loaded.chain, results, samples, *_KEPT)
    return parse_samples(samples.read_text())


def parse_samples(text: str) -> Verb:
    """Read what the runner wrote. Raises BenchError for a line it does not write."""
    executions, cpu, gone, links = [], 0, 0, 0
    for line in text.splitlines():
        match line.split():
            case ["exec", pod, plugin, start, end, "0"]:
                executions.append(Execution(int(pod), int(plugin), int(start), int(end)))
            case ["cpu", took]:
                cpu = int(took)
            case ["gone", after]:
                gone = int(after)
            case ["links", count]:
                links = int(count)
            case _:
                raise BenchError(f"the runner wrote {line!r}")
    return Verb(tuple(executions), cpu, gone, links)


def measure(contender: Contender, folder: Path, pods: Pods, width: int, tools: Tools) -> Round:
    """Serve ADD, then DEL, of all pods on a fresh node; every pod is without a link before and after."""
    with Node(folder.name, folder) as node:
        loaded = load(contender, node)
        daemon = loaded.daemon
        before = daemon.cpu if daemon else 0
        add = serve("ADD", loaded, node, pods, width=width, tools=tools)
        cpu = daemon.cpu - before if daemon else 0
        rss = daemon.rss if daemon else 0
        delete = serve("DEL", loaded, node, pods, width=width, tools=tools)
        if daemon:
            daemon.end()
    return Round(contender.name, len(pods.names), width, add, delete, rss, cpu)


def start_cost(executable: Path, node: Node, tools: Tools, runs: int = 300) -> Verb:
    """Execute a program `runs` times, one at a time, with CNI_COMMAND=VERSION: what starting it costs."""
    (node.folder / "version.json").write_text('{"cniVersion":"1.0.0"}')
    (node.folder / "version-chain").write_text(f"{executable} {node.folder / 'version.json'}")
    (node.folder / "version-pods").write_text("\n".join(["none none"] * runs))
    samples = node.folder / "VERSION.samples"
    files = (node.folder / "version-pods", node.folder / "version-chain", node.folder, samples)
    node.run(tools.runner, "VERSION", "1", *files)
    return parse_samples(samples.read_text())


def reference_version() -> str:
    """Return the reference plugins' version: Debian's package, or what the plugin says of itself."""
    try:
        return command("dpkg-query", "-W", "-f", "${Version}", "containernetworking-plugins")
    except (BenchError, FileNotFoundError):
        return "of unknown version"
