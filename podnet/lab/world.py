"""Making and unmaking a lab: `up`, `add_node`, `down`, `status`.

`down` works from what it finds (names that begin with the lab's prefix, processes in those namespaces, the
lab's folder) and not from what `up` says it did, so that it clears a half-made or killed lab as well.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from podnet.errors import IOFailure, PodnetError
from podnet.lab import etcd, machine, namespaces, nodes, pods, record, routes, wiring
from podnet.lab.topology import ROUTER_NAME, LabNode, Topology, node_list, node_settings, valid_name

Report = Callable[[str, int, int], None]  # what is being done, how many are done, of how many
PATIENCE = 2.0  # seconds that processes get to end by themselves


def quietly(_what: str, _done: int, _of: int) -> None:
    """Report nothing."""


def up(lab: Topology, report: Report = quietly) -> record.Record:
    """Make `lab` and return its record; what was made is unmade if anything fails."""
    _refuse_without_root()
    place = record.folder(lab.name)
    own = "" if lab.name == "lab" else f" --name {lab.name}"
    with machine.locked():
        if place.exists() or namespaces.named(_prefix(lab.name)):
            raise IOFailure(f"lab {lab.name!r} is there already: `podnet lab down{own}` first, or another --name")
        machine.prepare()
        place.mkdir(mode=0o700)
    try:
        record.write(lab, {}, ready=False)
        if lab.source == "nodes.yaml":
            (place / "etc-podnet").mkdir()
            (place / "etc-podnet/podnet.yaml").write_text(node_settings(lab))
        _make_namespaces((lab.lan_namespace, lab.outside_namespace), report)
        return _populate(lab, lab.nodes, {}, report, wiring.wire)
    except BaseException as error:
        try:
            down(lab.name)
        except PodnetError as second:
            error.add_note(f"and what had been made could not be taken away: {second}")
        raise


def add_node(name: str, number_of_pods: int, report: Report = quietly) -> LabNode:
    """Add a node to lab `name`: into nodes.yaml, onto the LAN, with daemon and pods; return it."""
    _refuse_without_root()
    recorded = record.read(name)
    lab = recorded.topology.grown(number_of_pods)
    added = lab.nodes[-1]
    record.write(lab, recorded.pods, ready=False)
    made = _populate(lab, [added], dict(recorded.pods), report, lambda it: wiring.join(it, [added]))
    return made.topology.nodes[-1]


def _populate(
    lab: Topology,
    made: Sequence[LabNode],
    addresses: dict[str, tuple[str, ...]],
    report: Report,
    wire: Callable[[Topology], None],
) -> record.Record:
    """Make `made` nodes of `lab` and their pods, and record them with the `addresses` that others have."""
    names = [lab.namespace(n) for n in made] + [lab.namespace(n, p) for n in made for p in n.pods]
    _make_namespaces(names, report)
    wire(lab)
    router = [ROUTER_NAME] if lab.backend == "bgp" and made == lab.nodes else []
    nodes.make(lab, [*router, *(n.name for n in made)])
    if lab.source == "nodes.yaml":
        keys = nodes.keys(lab) if lab.backend == "wireguard" else {}
        record.write_whole(record.folder(lab.name) / "etc-podnet/nodes.yaml", node_list(lab, keys).encode())
    elif made == lab.nodes:
        etcd.start(lab)
    report("daemons", 0, len(made))
    for name in router:
        nodes.start(lab, name)
    daemons = [(n, nodes.start(lab, n.name)) for n in made]
    for done, daemon in enumerate(daemons, 1):
        nodes.wait_ready(lab, [daemon])
        report("daemons", done, len(made))
    if lab.source == "etcd":
        lab = etcd.claimed(lab)
        made = [node for node in lab.nodes if node.name in {n.name for n in made}]
    if lab.backend == "bgp":
        routes.wait(lab, report)
    all_pods = pods.of(made)
    for done, (pod, given) in enumerate(pods.attach(lab, all_pods), 1):
        addresses[pod.name] = given
        report("pods", done, len(all_pods))
    record.write(lab, addresses, ready=True)
    return record.read(lab.name)


def _make_namespaces(names: Sequence[str], report: Report) -> None:
    for done, name in enumerate(names, 1):
        namespaces.create(name)
        report("namespaces", done, len(names))


def down(name: str, report: Report = quietly) -> bool:
    """Take away everything of lab `name`; return whether there was anything."""
    _refuse_without_root()
    if not valid_name(name):
        return False  # no lab has such a name, and it must not become part of a path
    place = record.folder(name)
    names = namespaces.named(_prefix(name))
    found = bool(names) or place.exists()
    wanted = namespaces.identities(names)
    _end(wanted)
    for done, namespace in enumerate(names, 1):
        namespaces.delete(namespace)
        report("namespaces", done, len(names))
    _end(wanted)  # a process that a killed `up` had begun may have entered in between; from now on none can
    if found or machine.RUN.exists():
        with machine.locked():
            shutil.rmtree(place, ignore_errors=True)
            machine.release()
    return found


def _end(wanted: frozenset[tuple[int, int]]) -> None:
    """End all processes in the network namespaces `wanted`: politely first, and for good after a while."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        left = namespaces.members(wanted)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + PATIENCE
        while left and time.monotonic() < deadline:
            time.sleep(0.005)
            left = namespaces.members(wanted)
        if not left:
            return
    raise IOFailure(f"processes {', '.join(map(str, left))} in the lab's namespaces do not end, even killed")


def _prefix(name: str) -> str:
    return f"podnet-{name}-"


def _refuse_without_root() -> None:
    if os.geteuid() != 0:
        raise IOFailure("a lab makes namespaces, so it needs root: run it with sudo")


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How one node is: its daemon's process id (None: it does not run), memory in KiB, its addresses and pods."""

    name: str
    namespace: str
    daemon: int | None
    ready: bool
    rss_kib: int | None
    addresses: tuple[str, ...]
    pod_cidrs: tuple[str, ...]
    pods: dict[str, tuple[str, ...]]


def status(name: str) -> list[NodeStatus]:
    """Return how each node of lab `name` is."""
    recorded = record.read(name)
    lab = recorded.topology
    rows = []
    for node in lab.nodes:
        pid = record.pid(lab, node.name)
        rows.append(NodeStatus(
            name=node.name,
            namespace=lab.namespace(node),
            daemon=pid,
            ready=pid is not None and nodes.ready(lab, node),
            rss_kib=None if pid is None else rss(pid),
            addresses=tuple(map(str, node.addresses)),
            pod_cidrs=tuple(map(str, node.pod_cidrs)),
            pods={f"{node.name}-{p}": recorded.pods.get(f"{node.name}-{p}", ()) for p in node.pods},
        ))  # fmt: skip
    return rows


def rss(pid: int) -> int | None:
    """Return the resident memory of a process in KiB (proc(5), VmRSS), or None if it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return None
