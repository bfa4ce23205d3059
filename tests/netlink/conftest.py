"""A network namespace of its own for each live test: sockets in it, commands in it, gone when the test ends."""

import ctypes
import importlib.util
import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from podnet.netlink.message import NETLINK_ROUTE, Request
from podnet.netlink.transaction import Transaction

CLONE_NEWNET = 0x40000000
SOL_NETLINK = 270
NETLINK_ADD_MEMBERSHIP = 1
NETLINK_EXT_ACK = 11
NETLINK_GET_STRICT_CHK = 12

_libc = ctypes.CDLL(None, use_errno=True)


def in_thread(function: Callable[[], Any]) -> Any:
    """Run `function` in a thread of its own, whose network namespace ends with it; return or raise what it does."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(function())
        except BaseException as error:  # noqa: BLE001 - handed to the caller, who raises it
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def _check(status: int, what: str) -> None:
    if status < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


class Netns:
    """A network namespace that nothing else knows, held by a descriptor."""

    def __init__(self) -> None:
        def new() -> int:
            _check(_libc.unshare(CLONE_NEWNET), "unshare")
            return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

        self.fd: int = in_thread(new)
        self.path = f"/proc/{os.getpid()}/fd/{self.fd}"
        self._sockets: dict[tuple[int, bool], socket.socket] = {}
        self._sequence = 1000

    def socket(self, protocol: int = NETLINK_ROUTE, *, strict: bool = False) -> socket.socket:
        """Return the netlink socket of `protocol` in this namespace; `strict` sets NETLINK_GET_STRICT_CHK."""
        if (protocol, strict) not in self._sockets:

            def make() -> socket.socket:
                _check(_libc.setns(self.fd, CLONE_NEWNET), "setns")
                sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
                sock.settimeout(10)
                sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
                sock.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, int(strict))
                sock.bind((0, 0))
                return sock

            self._sockets[protocol, strict] = in_thread(make)
        return self._sockets[protocol, strict]

    def join(self, group: int, protocol: int = NETLINK_ROUTE) -> None:
        """Let the socket of `protocol` hear the multicast `group`."""
        self.socket(protocol).setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)

    def run_transaction(self, *requests: Request, protocol: int = NETLINK_ROUTE, strict: bool = False) -> Transaction:
        """Send `requests` as one transaction and feed it until it is done."""
        self._sequence += 1000
        transaction = Transaction(requests, self._sequence, protocol=protocol)
        sock = self.socket(protocol, strict=strict)
        sock.send(transaction.request())
        while not transaction.done:
            transaction.feed(sock.recv(1 << 18))
        return transaction

    def send(self, *requests: Request, protocol: int = NETLINK_ROUTE) -> None:
        """Send `requests`; none may be refused."""
        assert self.run_transaction(*requests, protocol=protocol).failures == []

    def shell(self, script: str) -> str:
        """Run a shell `script` in this namespace and return its output."""
        run = self._run(script)
        assert run.returncode == 0, f"{script}: {run.stderr}"
        return run.stdout

    def takes(self, script: str) -> bool:
        """Say whether a shell `script` succeeds in this namespace."""
        return self._run(script).returncode == 0

    def _run(self, script: str) -> subprocess.CompletedProcess[str]:
        command = ["nsenter", f"--net={self.path}", "sh", "-euc", script]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def json(self, command: str) -> Any:
        """Run an `ip -j`, `bridge -j` or `tc -j` command in this namespace and return what it prints, decoded."""
        return json.loads(self.shell(command) or "[]")

    def close(self) -> None:
        """Let go of the namespace."""
        for sock in self._sockets.values():
            sock.close()
        os.close(self.fd)


@pytest.fixture
def new_netns() -> Iterator[Callable[[], Netns]]:
    """Give a function that makes fresh network namespaces, all gone after the test."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made: list[Netns] = []

    def make() -> Netns:
        made.append(Netns())
        return made[-1]

    yield make
    for netns in made:
        netns.close()


@pytest.fixture
def netns(new_netns: Callable[[], Netns]) -> Netns:
    """Give one fresh network namespace."""
    return new_netns()


class Golden(NamedTuple):
    """A request and the command it stands for: see `test_goldens.py`."""

    name: str
    scene: str
    request: Request
    command: str
    view: str
    bytes: str

    @property
    def before(self) -> str:
        """The commands that make the namespace this golden starts from."""
        return SCENES[self.scene]

    @property
    def shown(self) -> tuple[str, ...]:
        """The commands that show what it has done."""
        return VIEWS[self.view]


_VETH = "ip link add e0 index 50 address 02:00:00:00:00:01 type veth peer name p0 index 51 address 02:00:00:00:00:02"
_QUIET = "ip link set e0 addrgenmode none; ip link set p0 addrgenmode none"
_CARRIER = "timeout 10 sh -c 'until ip -o link show e0 | grep -q \"state UP\"; do :; done'"
_UP = f"{_VETH}; {_QUIET}; ip link set e0 up; ip link set p0 up; {_CARRIER}"
_NET = f"{_UP}; ip addr add 10.0.0.1/24 dev e0; ip addr add fd00::1/64 dev e0 nodad"
_BRIDGE = "ip link add br0 index 60 address 02:00:00:00:00:60 type bridge"
_VXLAN = "ip link add vx0 index 61 address 02:00:00:00:00:61 type vxlan id 42 dstport 4789 local 10.0.0.1 nolearning"
_IFB = "ip link add ifb0 index 62 address 02:00:00:00:00:62 type ifb; ip link set ifb0 up"
SCENES = {
    "empty": ":",
    "veth": _VETH,
    "alias": f"{_VETH}; ip link set e0 alias x",
    "up": _UP,
    "net": _NET,
    "route": f"{_NET}; ip route add 169.254.1.1 dev e0 scope link proto 99",
    "veth and bridge": f"{_VETH}; {_BRIDGE}",
    "port": f"{_VETH}; {_BRIDGE}; ip link set e0 master br0",
    "vxlan": f"{_NET}; {_VXLAN}",
    "vxlan entry": f"{_NET}; {_VXLAN}; bridge fdb add 02:00:00:00:00:07 dev vx0 dst 10.0.0.7 self permanent",
    "clsact": f"{_UP}; {_IFB}; tc qdisc add dev e0 clsact",
}
_ADDRS = ("ip -j -d addr show",)
_ROUTES = ("ip -j -d route show table all", "ip -j -d -6 route show table all")
_QDISCS = ("tc -j -d qdisc show",)
VIEWS = {
    "addrs": _ADDRS,
    "routes": _ROUTES,
    "addrs and routes": _ADDRS + _ROUTES,
    "ports": ("bridge -j -d link show",),
    "fdb": ("bridge -j -d fdb show",),
    "links": ("ip -j -d link show",),
    "conf": ("sysctl net.ipv4.conf.e0",),
    "neighs": ("ip -j -d neigh show nud all", "ip -j -d neigh show proxy"),
    "rules": ("ip -j -d rule show", "ip -j -d -6 rule show"),
    "qdiscs": _QDISCS,
    "filters": (*_QDISCS, "tc -j -d filter show dev e0 ingress", "tc -j -d filter show dev e0 egress"),
}


def _goldens() -> list[Golden]:
    """Return the rows of all tables beside this file, which no package makes importable."""
    rows = []
    for path in sorted(Path(__file__).parent.glob("goldens_*.py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        rows += [Golden(*row) for row in module.ROWS]
    return rows


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that takes a `golden` with every row of the tables."""
    if "golden" in metafunc.fixturenames:
        metafunc.parametrize("golden", _goldens(), ids=lambda golden: golden.name)
