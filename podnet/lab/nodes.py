"""Lab nodes: their mount and UTS namespaces, and the daemon in them."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from podnet.errors import IOFailure, NodeNotReady
from podnet.lab import record
from podnet.lab.machine import NODE_FOLDERS
from podnet.lab.namespaces import NAMED
from podnet.lab.topology import ROUTER_NAME, LabNode, Topology, node_settings

READY_WITHIN = 15.0  # seconds; a daemon is ready in a third of one
LOG_LINES = 25


def enter(lab: Topology, node: LabNode | str) -> list[str]:
    """Return the words of nsenter(1) before a command that is to run as if on `node`."""
    name = node if isinstance(node, str) else node.name
    pid = record.pid(lab, name, "node.pid")
    if pid is None:
        raise IOFailure(f"lab node {name} has no process left that holds it: `podnet lab down`, then `podnet lab up`")
    return ["nsenter", f"--net={NAMED / lab.namespace(name)}", f"--mount=/proc/{pid}/ns/mnt",
            f"--uts=/proc/{pid}/ns/uts", "--"]  # fmt: skip


def mount_script(lab: Topology, name: str) -> str:
    """Return the ``sh`` script that makes a fresh mount namespace the node's: paths of its own, its own /sys.

    /run/netns stays the machine's, so that a pod has the same name for a user outside and a runtime on the node.
    The script's process then sleeps, and so holds the namespaces: a bind mount could hold them too, but was at times
    refused with EINVAL in a mount namespace that is not the machine's first (seen on Linux 6.18).
    """
    place = record.folder(lab.name)
    shared = {"etc-podnet"} if lab.source == "nodes.yaml" else set()
    sources = {n: place / (n if n in shared else f"{name}/{n}") for n in NODE_FOLDERS}
    return "\n".join([
        f"hostname {name}",
        "mount -t sysfs sysfs /sys",
        f"mount --rbind {NAMED} {place}/{name}/run/netns",
        *(f"mount --bind {shlex.quote(str(source))} {NODE_FOLDERS[n]}" for n, source in sources.items()),
        f"mount --rbind {place}/{name}/run /run",
        "echo made",
        "exec sleep infinity >/dev/null 2>&1",
    ])  # fmt: skip


def make(lab: Topology, names: Sequence[str]) -> None:
    """Give the nodes `names`, whose network namespaces exist, their folders, mount and UTS namespaces."""
    making = []
    for name in names:
        place = record.folder(lab.name) / name
        for folder in ("etc-cni/net.d", "opt-cni/bin", "run/netns", "run/lock", "var-lib-podnet"):
            (place / folder).mkdir(parents=True)
        if lab.source == "etcd":
            (place / "etc-podnet").mkdir()
            (place / "etc-podnet/podnet.yaml").write_text(node_settings(lab, name))
        command = [
            *("nsenter", f"--net={NAMED / lab.namespace(name)}"),
            *("unshare", "--mount", "--uts", "--propagation", "slave", "sh", "-ec", mount_script(lab, name)),
        ]
        making.append(subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        ))  # fmt: skip
        (place / "node.pid").write_text(f"{making[-1].pid}\n")
    for name, process in zip(names, making, strict=True):
        if process.stdout is None or not process.stdout.readline():
            words = process.communicate()[1].decode(errors="replace").strip()
            raise IOFailure(f"mount namespace of lab node {name}: {words}; a lab needs root and unshare(1)")


def keys(lab: Topology) -> dict[str, str]:
    """Return the public keys of WireGuard of all nodes of `lab` by name, each as its node tells it."""
    found = {}
    for node in lab.nodes:
        words = [*enter(lab, node), *podnet(), "node", "key"]
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd="/", env=environment())
        if done.returncode:
            raise IOFailure(f"lab node {node.name}: podnet node key: {done.stderr.strip()}")
        found[node.name] = done.stdout.strip()
    return found


def start(lab: Topology, name: str) -> subprocess.Popen[bytes]:
    """Start the daemon of the node `name`, or the router; its output goes to daemon.log.  It is not waited for."""
    place = record.folder(lab.name) / name
    with (place / "daemon.log").open("ab") as log:
        process = subprocess.Popen(
            [*enter(lab, name), *podnet(), "router" if name == ROUTER_NAME else "node", "run"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/", env=environment(),
        )  # fmt: skip
    (place / "daemon.pid").write_text(f"{process.pid}\n")
    return process


def podnet() -> list[str]:
    """Return the words that start this very podnet, whatever is first on PATH."""
    return [sys.executable, "-P", "-m", "podnet.cli"]


def environment() -> dict[str, str]:
    """Return the environment for a podnet of the same code as this one, installed or not."""
    source = str(Path(__file__).parents[2])
    paths = [source, *(p for p in os.environ.get("PYTHONPATH", "").split(":") if p and p != source)]
    return {**os.environ, "PYTHONPATH": ":".join(paths)}


def ready(lab: Topology, node: LabNode) -> bool:
    """Tell whether the node's daemon listens, and has put its configuration list, which comes last, into place."""
    place = record.folder(lab.name) / node.name
    return (place / "run/podnet/podnet.sock").exists() and any((place / "etc-cni/net.d").glob("*.conflist"))


def wait_ready(lab: Topology, daemons: Sequence[tuple[LabNode, subprocess.Popen[bytes]]]) -> None:
    """Wait until every daemon is ready; raise `NodeNotReady` with the end of its log where one has not."""
    deadline = time.monotonic() + READY_WITHIN
    for node, process in daemons:
        while not ready(lab, node):
            status = process.poll()
            if status is not None:
                raise NodeNotReady(f"the daemon of lab node {node.name} ended with {status}", log_tail(lab, node))
            if time.monotonic() > deadline:
                raise NodeNotReady(
                    f"the daemon of lab node {node.name} is not ready after {READY_WITHIN:.0f} s", log_tail(lab, node)
                )
            time.sleep(0.005)


def log_tail(lab: Topology, node: LabNode | str) -> str:
    """Return the last lines of the daemon's log, or the router's."""
    path = record.folder(lab.name) / (node if isinstance(node, str) else node.name) / "daemon.log"
    try:
        lines = path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return "(no log)"
    return "\n".join(lines[-LOG_LINES:]) or "(its log is empty)"
