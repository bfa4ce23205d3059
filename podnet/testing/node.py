"""A node that is one: network and mount namespaces of its own, the daemon as its own process, the shim executed.

What is outside of it is a namespace `outside`, one hop away over the uplink `up0`.  Pods are namespaces of
ip-netns(8) below the node's own /run.  All of it ends with the processes that hold it, so nothing can be left behind.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from podnet.kernel.namespace import OWN, entered
from podnet.testing.namespaces import state_of
from podnet.testing.waiting import PATIENCE, Daemon, eventually

RESEND = 0.5
"""Seconds after which a datagram that nobody heard is sent again."""

REPOSITORY = str(Path(__file__).parents[2])

SET_UP = """
mount -t tmpfs node /run
mkdir -p /run/netns /run/upper /run/scratch
for at in etc opt var/lib; do
    mkdir -p /run/upper/$at /run/scratch/$at
    mount -t overlay node -o lowerdir=/$at,upperdir=/run/upper/$at,workdir=/run/scratch/$at /$at
done
rm -rf /etc/cni /etc/podnet /opt/cni /var/lib/podnet
mkdir -p /etc/podnet
ip link set lo up
ip netns add outside
ip link add up0 address 02:00:00:00:00:0a type veth peer name up1 address 02:00:00:00:00:0b netns outside
ip link set up0 addrgenmode none
ip link set up0 up
ip -n outside link set up1 addrgenmode none
ip -n outside link set up1 up
ip -n outside link set lo up
ip addr add 10.99.0.11/24 dev up0
ip addr add fd99::11/64 dev up0 nodad
ip -n outside addr add 10.99.0.1/24 dev up1
ip -n outside addr add fd99::1/64 dev up1 nodad
ip route add default via 10.99.0.1
ip -6 route add default via fd99::1
echo made
exec sleep infinity >/dev/null 2>&1
"""

CIDRS = {4: "10.244.1.0/24", 6: "fd00:10:244:1::/64"}
ADDRESSES = {4: "10.99.0.11", 6: "fd99::11"}
DAEMON = "import sys; from podnet.daemon.run import run; from podnet.errors import PodnetError\ntry: run(%s)\n"
DAEMON += "except PodnetError as error: sys.exit(error.msg)"
ASK = (
    "import json, sqlite3, sys\n"
    "database = sqlite3.connect('file:/var/lib/podnet/podnet.db?mode=ro', uri=True)\n"
    "print(json.dumps(database.execute(sys.argv[1]).fetchall()))"
)
DEFAULT_CONFIGURATION = {"cniVersion": "1.0.0", "name": "podnet", "type": "podnet"}


class Outcome(NamedTuple):
    """What a plugin's execution gave a runtime."""

    status: int
    stdout: bytes

    @property
    def json(self) -> Any:
        """The document on standard output."""
        return json.loads(self.stdout)

    @property
    def addresses(self) -> list[str]:
        """The addresses of a result, without prefix lengths."""
        assert self.status == 0, self.stdout  # noqa: S101 - a test asks
        return [ip["address"].partition("/")[0] for ip in self.json["ips"]]


class Node:
    """A machine with pods; made bare, a daemon runs from :meth:`start` on.  `stack` ends all of it."""

    def __init__(self, stack: ExitStack) -> None:
        """Make the namespaces; raise `RuntimeError` where the kernel does not."""
        self._stack = stack
        self._home = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, self._home)
        self._places: dict[str, int] = {}
        self._process = subprocess.Popen(
            ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-ec", SET_UP],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        stack.callback(self._end_holder)
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        if self._process.stdout.readline() != "made\n":
            raise RuntimeError(self._process.communicate()[1])
        self.pid = self._process.pid
        self.root = Path(f"/proc/{self.pid}/root")
        self.socket_path = f"{self.root}/run/podnet/podnet.sock"
        self.daemon: Daemon | None = None
        self.arguments = ""
        """Of the daemon's run, as written in Python."""
        stack.callback(self._end_daemon)

    def _end_holder(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _end_daemon(self) -> None:
        if self.daemon is not None:
            self.daemon.end(signal.SIGKILL)

    # Commands

    def enter(self, *argv: str, pod: str = "") -> list[str]:
        """Return the command that runs `argv` on the node, or in the namespace of `pod` there."""
        command = ["nsenter", f"--net=/proc/{self.pid}/ns/net", f"--mount=/proc/{self.pid}/ns/mnt", "--"]
        return [*command, *(["ip", "netns", "exec", pod] if pod else []), *argv]

    def run(self, *argv: str, pod: str = "", check: bool = True) -> str:
        """Run a command on the node or in a pod; return what it prints."""
        done = subprocess.run(self.enter(*argv, pod=pod), text=True, capture_output=True, check=False, timeout=PATIENCE)
        if check and done.returncode:
            raise RuntimeError(f"{argv}: {done.stdout}{done.stderr}")
        return done.stdout

    def sh(self, script: str) -> str:
        """Run a script on the node."""
        return self.run("sh", "-euc", script)

    def json(self, *argv: str, pod: str = "") -> Any:
        """Return the JSON that a command prints."""
        return json.loads(self.run(*argv, pod=pod) or "[]")

    @contextmanager
    def background(self, *argv: str) -> "Iterator[subprocess.Popen[str]]":
        """Run a command on the node for the block; it has begun when its first line is printed, and gets SIGKILL."""
        process = subprocess.Popen(
            self.enter(*argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
        )
        try:
            assert process.stdout is not None  # noqa: S101 - it was asked for
            assert process.stdout.readline()  # noqa: S101 - it said nothing, and ended
            yield process
        finally:
            process.kill()
            process.communicate()

    # The daemon

    def configure(self, datapath: str = "ptp", families: Sequence[int] = (4,), more: str = "", peers: str = "") -> None:
        """Write podnet.yaml, with `more` lines, and nodes.yaml, with `peers` besides this node."""
        quoted = [f'"{CIDRS[f]}"' for f in families], [f'"{ADDRESSES[f]}"' for f in families]
        (self.root / "etc/podnet/podnet.yaml").write_text(
            f'node: n1\nuplink: up0\ndatapath: {datapath}\ncluster-cidrs: [10.244.0.0/16, "fd00:10:244::/56"]\n{more}\n'
        )
        self.list_nodes(
            f"nodes:\n  - name: n1\n    addresses: [{', '.join(quoted[1])}]\n"
            f"    pod-cidrs: [{', '.join(quoted[0])}]\n{peers}"
        )

    def list_nodes(self, content: str) -> None:
        """Replace nodes.yaml in one step."""
        new = self.root / "etc/podnet/nodes.yaml.new"
        new.write_text(content)
        new.rename(new.with_suffix(""))

    def launch(self, *before: str) -> Daemon:
        """Start a daemon without waiting for anything, by way of the command `before` if one is given."""
        process = subprocess.Popen(
            self.enter(*before, sys.executable, "-c", DAEMON % self.arguments),
            stderr=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )
        daemon = Daemon(process)
        self._stack.callback(daemon.end, signal.SIGKILL)
        return daemon

    def start(self) -> Daemon:
        """Start the daemon and wait until it serves."""
        self.daemon = self.launch()
        self.daemon.wait_log("serving")
        return self.daemon

    def stop(self, how: int = signal.SIGTERM) -> int:
        """End the daemon; return its exit status."""
        assert self.daemon is not None  # noqa: S101 - it was started
        return self.daemon.end(how)

    def connect(self) -> socket.socket:
        """Return a connection to the daemon's socket."""
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._stack.callback(client.close)
        client.settimeout(PATIENCE)
        client.connect(self.socket_path)
        return client

    # CNI, as a runtime does

    def begin(
        self,
        command: str,
        container: str = "",
        *,
        netns: str | None = None,
        ifname: str = "eth0",
        configuration: "dict[str, Any] | bytes" = b"",
        plugin: str = "/opt/cni/bin/podnet",
        **environment: str | None,
    ) -> "subprocess.Popen[bytes]":
        """Execute the installed shim, or another `plugin`, as a runtime does; None unsets a variable.

        `netns` is a pod's name, the container's own if left out.
        """
        variables: dict[str, str | None] = {
            "PATH": os.environ["PATH"],
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": container,
            "CNI_NETNS": f"/run/netns/{netns or container}",
            "CNI_IFNAME": ifname,
            "CNI_PATH": "/opt/cni/bin",
            **environment,
        }
        document = configuration or DEFAULT_CONFIGURATION
        process = subprocess.Popen(
            self.enter(plugin),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={key: value for key, value in variables.items() if value is not None},
        )
        assert process.stdin is not None  # noqa: S101 - it was asked for
        try:
            process.stdin.write(document if isinstance(document, bytes) else json.dumps(document).encode())
            process.stdin.close()
        except BrokenPipeError:
            pass
        process.stdin = None
        return process

    def cni(self, command: str, container: str = "", **more: Any) -> Outcome:
        """Execute the installed shim as :meth:`begin` does, to its end."""
        return finish(self.begin(command, container, **more))

    def pod(self, name: str) -> str:
        """Make a pod's namespace."""
        self.run("ip", "netns", "add", name)
        return name

    def attach(self, name: str, **more: Any) -> str:
        """Make a pod's namespace, attach it, and return its first address."""
        return self.cni("ADD", self.pod(name), **more).addresses[0]

    # Packets

    def place(self, name: str) -> int:
        """Return a descriptor of the namespace of a pod, of `outside`, or of the node itself (empty)."""
        if name not in self._places:
            path = f"{self.root}/run/netns/{name}" if name else f"/proc/{self.pid}/ns/net"
            self._places[name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._stack.callback(os.close, self._places[name])
        return self._places[name]

    def forget_place(self, name: str) -> None:
        """End a pod's namespace."""
        self._places.pop(name, None)  # closed with the rest; the namespace may live that long
        self.run("ip", "netns", "del", name)

    def open_socket(self, place: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Return a socket in the namespace of :meth:`place`."""
        with entered(self.place(place), self._home):
            made = socket.socket(family, kind, protocol)
        self._stack.callback(made.close)
        made.settimeout(PATIENCE)
        return made

    def udp(self, place: str, address: str = "0.0.0.0", port: int = 0) -> socket.socket:  # noqa: S104 - in a namespace
        """Return a UDP socket in a namespace, bound."""
        made = self.open_socket(place, socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, port))
        return made

    def exchange(self, source: str, target: str, address: str, *, heard: int = 0, size: int = 8) -> str:
        """Send a datagram of `size` bytes from `source` to `address`, have `target` answer; return whom it saw ask.

        It is sent again where it does not arrive, as whoever speaks UDP does.  With `heard` it goes to port 7 of
        `address` and is expected at that port of `target`: a service.
        """
        any_address = "::" if ":" in address else "0.0.0.0"  # noqa: S104 - in a namespace
        server = self.udp(target, any_address if heard else address, heard)
        client = self.udp(source, any_address)
        with server, client:
            client.connect((address, 7 if heard else server.getsockname()[1]))
            server.settimeout(RESEND)
            for _ in range(int(PATIENCE / RESEND)):
                client.send(b"q" * size)
                try:
                    question, asker = server.recvfrom(1 << 16)
                except TimeoutError:
                    continue
                break
            else:
                raise TimeoutError(f"{target or 'the node'} does not hear {source or 'the node'} at {address}")
            server.sendto(question.upper(), asker)
            assert client.recv(1 << 16) == b"Q" * size  # noqa: S101 - a test asks
            return str(asker[0])

    def state(self, place: str = "") -> dict[str, Any]:
        """Return what `ip`, `bridge` and `nft` list of the node, or of a pod."""
        return state_of(f"{self.root}/run/netns/{place}" if place else f"/proc/{self.pid}/ns/net")

    def links(self) -> dict[str, Any]:
        """Return the node's links by name."""
        return {link["ifname"]: link for link in self.json("ip", "-j", "-d", "link")}

    def pod_links(self) -> list[str]:
        """Return the names of the host ends that are there."""
        return sorted(name for name in self.links() if name.startswith("veth-"))

    def rows(self, query: str) -> Any:
        """Return the rows of a query of the node's database, asked on the node: SQLite resolves links in paths."""
        return json.loads(self.run(sys.executable, "-I", "-S", "-c", ASK, query))

    def leases(self) -> Any:
        """Return what the database has of leases and addresses that are not history."""
        return [
            *self.rows("SELECT network, container, ifname, link, cut, hex(addresses) FROM lease WHERE closed IS NULL"),
            *self.rows("SELECT hex(address) FROM address WHERE released IS NULL"),
        ]

    def has_process(self, word: str) -> bool:
        """Tell whether a process on the node has `word` in its command line."""
        mounts = Path(f"/proc/{self.pid}/ns/mnt").readlink()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "ns/mnt").readlink() == mounts and word.encode() in (process / "cmdline").read_bytes():
                    return True
            except OSError:
                continue  # it ended
        return False

    def wait_for_links(self, count: int) -> None:
        """Wait until so many host ends are there, not one more."""
        eventually(lambda: len(self.pod_links()) == count, f"{count} links, found {self.pod_links()}")

    def elements(self, name: str, kind: str = "set") -> list[Any]:
        """Return the elements of a set, or of another `kind` ("map"), of podnet's table."""
        (found,) = [
            entry[kind].get("elem", [])
            for entry in self.json("nft", "-j", "list", kind, "inet", "podnet", name)["nftables"]
            if kind in entry
        ]
        return list(found)


def finish(process: "subprocess.Popen[bytes]") -> Outcome:
    """Wait for an execution that :meth:`Node.begin` began."""
    try:
        stdout, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Outcome(process.returncode, stdout)
