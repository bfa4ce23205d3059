"""A node to measure on: a network and a mount namespace of its own, pods' namespaces, and podnet's daemon in it.

All of it lives inside the namespaces that `bench/run.py` made, so a benchmark that is killed leaves nothing behind.
"""

import hashlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

SOURCES = Path(__file__).resolve().parent
PODNET = Path(sys.executable).parent / "podnet"
COMPILE = ("cc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic-errors", "-pthread")
UPLINK = "eth0"
POD_CIDR = "10.244.0.0/20"
CLUSTER_CIDR = "10.244.0.0/16"
_NODE_ADDRESS, _UPSTREAM = "10.99.0.11", "10.99.0.1"
_BINDS = {
    "etc-podnet": Path("/etc/podnet"),
    "etc-cni": Path("/etc/cni"),
    "opt-cni": Path("/opt/cni"),
    "var-lib-podnet": Path("/var/lib/podnet"),
    "run-podnet": Path("/run/podnet"),
}
_PATIENCE = 30.0
_LONGEST = 900
_TICKS = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """What keeps the benchmark from measuring: which command or daemon failed, with its own words."""


class Tools(NamedTuple):
    """The bench's own programs."""

    runner: Path
    pingpong: Path
    noop: Path


def command(*argv: str | Path, text: str = "") -> str:
    """Run a command with `text` on its standard input; return its standard output. Raises BenchError."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(words, input=text, capture_output=True, text=True, check=False, timeout=_LONGEST)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{' '.join(words)}: did not end within {_LONGEST} s") from None
    if done.returncode != 0:
        raise BenchError(f"{' '.join(words)}: exit status {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def compile_tools(folder: Path) -> Tools:
    """Compile runner, pingpong and noop (static: no loader's time) into `folder`. Raises BenchError."""
    for name, extra in (("runner", ()), ("pingpong", ()), ("noop", ("-static",))):
        command(*COMPILE, *extra, "-o", folder / name, SOURCES / f"{name}.c")
    return Tools(folder / "runner", folder / "pingpong", folder / "noop")


def prepare_mounts(folder: Path) -> None:
    """Make this (private) mount namespace one in which nodes can be: the folders to mount on, an empty /run.

    /etc, /opt and /var/lib get an overlay, since the folders may not be there and the machine's own stay untouched.
    """
    command("mount", "--make-rprivate", "/")
    command("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for parent in sorted({str(path.parent) for path in _BINDS.values()} - {"/run"}):
        layers = [folder / f"overlay{parent.replace('/', '-')}" / layer for layer in ("upper", "work")]
        for layer in layers:
            layer.mkdir(parents=True)
        options = f"lowerdir={parent},upperdir={layers[0]},workdir={layers[1]}"
        command("mount", "-t", "overlay", "-o", options, "overlay", parent)
    for path in _BINDS.values():
        path.mkdir(exist_ok=True)


class Pods:
    """Network namespaces for `count` pods, made on entering and removed on leaving; never inside a measurement.

    `lines` is what the runner reads: container id (64 hex digits, as containerd's) and path.
    """

    def __init__(self, prefix: str, count: int) -> None:
        self.names = tuple(f"{prefix}-{index:03}" for index in range(count))
        self.ids = tuple(hashlib.sha256(name.encode()).hexdigest() for name in self.names)
        self.paths = tuple(f"/run/netns/{name}" for name in self.names)

    @property
    def lines(self) -> str:
        """Return a line per pod: "CONTAINER-ID NETNS-PATH"."""
        return "\n".join(f"{one} {path}" for one, path in zip(self.ids, self.paths, strict=True))

    def __enter__(self) -> Self:
        command("ip", "-batch", "-", text="".join(f"netns add {name}\n" for name in self.names))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        command("ip", "-batch", "-", text="".join(f"netns del {name}\n" for name in self.names))


class Node:
    """A fresh node: network + mount namespace, an uplink with a default route, own /etc/cni, /opt/cni, /var/lib/podnet.

    Entered: it is there. Left: its processes are ended, its namespaces gone, and the kernel has finished taking
    them down, so that this is not done during the next measurement.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._uplink = f"up-{hashlib.sha256(name.encode()).hexdigest()[:10]}"

    def __enter__(self) -> Self:
        for name in _BINDS:
            (self.folder / name).mkdir(parents=True)
        command("ip", "netns", "add", self.name)
        binds = " && ".join(f"mount --bind {self.folder / name} {path}" for name, path in _BINDS.items())
        holder = subprocess.Popen(
            ["ip", "netns", "exec", self.name, "sh", "-c", f"{binds} && echo ready && exec sleep infinity"],
            stdout=subprocess.PIPE,
        )
        self._processes.append(holder)
        if holder.stdout is None or holder.stdout.readline() != b"ready\n":
            self.__exit__(None, None, None)
            raise BenchError(f"{self.name}: its mounts could not be made")
        self.enter = ("nsenter", "--target", str(holder.pid), "--net", "--mount", "--")
        self._connect(holder.pid)
        return self

    def _connect(self, pid: int) -> None:
        """Give the node an uplink with a default route to the bench's own namespace; switch bridge-nf off in it."""
        command("ip", "link", "add", self._uplink, "type", "veth", "peer", "name", UPLINK, "netns", str(pid))
        command("ip", "link", "set", self._uplink, "up")
        lines = f"link set lo up\nlink set {UPLINK} up\naddr add {_NODE_ADDRESS}/24 dev {UPLINK}\n"
        self.run("ip", "-batch", "-", text=f"{lines}route add default via {_UPSTREAM}\n")

    def run(self, *argv: str | Path, text: str = "") -> str:
        """Run a command on the node; see `command`."""
        return command(*self.enter, *argv, text=text)

    def start(self, *argv: str | Path, log: Path) -> subprocess.Popen[bytes]:
        """Start a process on the node that is ended with it; its output goes to `log`."""
        with log.open("wb") as file:
            process = subprocess.Popen([*self.enter, *map(str, argv)], stdout=file, stderr=file)
        self._processes.append(process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> int:
        """End a process of the node: SIGTERM, SIGKILL when it does not obey; return its exit status."""
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._processes.remove(process)
        return process.returncode

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in reversed(self._processes[:]):
            self.end(process)
            if process.stdout is not None:
                process.stdout.close()
        command("ip", "netns", "del", self.name)
        uplink = Path("/sys/class/net") / self._uplink
        wait(lambda: not uplink.exists(), f"{self.name}: the kernel did not take its namespace down")


class Daemon:
    """podnet's daemon on a node, ready when constructed. `ready` is the ns from fork to an answered VERSION."""

    def __init__(self, node: Node, datapath: str, environment: Sequence[str] = ()) -> None:
        self.node = node
        (node.folder / "etc-podnet/podnet.yaml").write_text(json.dumps(settings(datapath), indent=1))
        nodes = [{"name": "bench", "addresses": [_NODE_ADDRESS], "pod-cidrs": [POD_CIDR]}]
        (node.folder / "etc-podnet/nodes.yaml").write_text(json.dumps({"nodes": nodes}, indent=1))
        self._log = node.folder / "daemon.log"
        argv = [str(PODNET), "node", "run", "--config", "/etc/podnet/podnet.yaml"]
        start = time.monotonic_ns()
        self.process = node.start(*(["env", *environment] if environment else []), *argv, log=self._log)
        wait(self._answers, "podnet's daemon did not become ready", pause=0.0005)
        self.ready = time.monotonic_ns() - start
        wait(lambda: any(self.conflists()), "podnet's daemon installed no configuration")

    def _answers(self) -> bool:
        """Tell whether the daemon answers VERSION. Raises BenchError when it has died."""
        if self.process.poll() is not None:
            raise BenchError(f"podnet's daemon ended by itself:\n{self._log.read_text()[-2000:]}")
        environment, stdin = b"CNI_COMMAND=VERSION\0", b'{"cniVersion":"1.0.0"}'
        frame = struct.pack("=4siII", b"PNF1", 0, len(environment), len(stdin)) + environment + stdin
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self.node.folder / "run-podnet/podnet.sock"))
                connection.sendall(frame)
                return b"supportedVersions" in connection.recv(4096, socket.MSG_WAITALL)
            except OSError:
                return False

    def conflists(self) -> Iterable[Path]:
        """Return the network lists that the daemon installed."""
        return sorted((self.node.folder / "etc-cni/net.d").glob("*.conflist"))

    @property
    def cpu(self) -> int:
        """The CPU time of all its threads, ns (the first figure of Documentation/scheduler/sched-stats.rst)."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(path.read_text().split()[0]) for path in tasks)

    @property
    def modes(self) -> tuple[float, float]:
        """Its CPU time in user mode and in the kernel, seconds, in clock ticks (proc(5), fields 14 and 15)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) / _TICKS, int(fields[12]) / _TICKS

    @property
    def rss(self) -> int:
        """The resident set, KiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))

    def end(self) -> None:
        """End it as an init system does. Raises BenchError when it does not end well."""
        status = self.node.end(self.process)
        if status != 0:
            raise BenchError(f"podnet's daemon ended with status {status}:\n{self._log.read_text()[-2000:]}")


def settings(datapath: str) -> dict[str, object]:
    """Return podnet.yaml of a node that is measured: the datapath named, everything else as it comes."""
    return {"node": "bench", "datapath": datapath, "uplink": UPLINK, "cluster-cidrs": [CLUSTER_CIDR]}


def wait(condition: Callable[[], bool], failure: str, pause: float = 0.005) -> None:
    """Wait until `condition` holds. Raises BenchError(`failure`) when it does not within half a minute."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"{failure} within {_PATIENCE:.0f} s")
        time.sleep(pause)
