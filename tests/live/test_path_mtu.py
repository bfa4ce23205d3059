"""The MTU of the way out changes while pods run: they get it, old connections go on, and nothing is lost in silence."""

import socket
import threading
from collections.abc import Callable

import pytest

from podnet.testing.node import Node
from podnet.testing.talk import ANY, listener
from podnet.testing.waiting import PATIENCE, eventually

pytestmark = pytest.mark.live

OUTSIDE = {4: "10.99.0.1", 6: "fd99::1"}
CHUNK = b"x" * 65536


class Stream:
    """A TCP connection from a pod to the outside with as much on it as goes through, until it is ended."""

    def __init__(self, node: Node, pod: str, version: int) -> None:
        self._server = listener(node, "tcp", "outside", ANY[version], 0)
        family = socket.AF_INET6 if version == 6 else socket.AF_INET
        self._sender = node.open_socket(pod, family, socket.SOCK_STREAM)
        self._sender.connect((OUTSIDE[version], self._server.getsockname()[1]))
        self._heard, _ = self._server.accept()
        self._heard.settimeout(PATIENCE)
        self.received = 0
        self.error: OSError | None = None
        self._going = True
        self._threads = [threading.Thread(target=work) for work in (self._send, self._receive)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        try:
            while self._going:
                self._sender.sendall(CHUNK)
        except OSError as error:
            self.error = error
        finally:
            self._sender.close()

    def _receive(self) -> None:
        try:
            while data := self._heard.recv(1 << 20):
                self.received += len(data)
        except OSError as error:
            self.error = error

    def goes_on(self) -> None:
        """Wait until another megabyte has arrived."""
        enough = self.received + (1 << 20)
        eventually(lambda: self.received > enough or self.error, "the stream goes on")
        assert self.error is None

    def end(self) -> None:
        """End it; all that was sent arrives."""
        self._going = False
        for thread in self._threads:
            thread.join(PATIENCE)
        self._heard.close()
        assert self.error is None


def mtus(node: Node, pod: str) -> set[int]:
    """Return the MTUs of both ends of a pod's link."""
    (inside,) = node.json("ip", "-j", "link", "show", "eth0", pod=pod)
    alias = f"podnet:{pod}:eth0"
    (host,) = [link["mtu"] for link in node.links().values() if link.get("ifalias") == alias]
    return {inside["mtu"], host}


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("datapath", ["ptp", "bridge"])
def test_the_uplink_changes_its_mtu_under_a_running_stream(
    serving: Callable[..., Node], datapath: str, version: int
) -> None:
    """Narrower, then wider again: both ends of the pod follow, new pods have it, the connection never breaks."""
    node = serving(datapath, (version,))
    node.attach("red")
    stream = Stream(node, "red", version)
    stream.goes_on()
    for mtu in (1400, 1500):
        node.sh(f"ip link set up0 mtu {mtu}; ip -n outside link set up1 mtu {mtu}")
        eventually(lambda: mtus(node, "red") == {mtu}, f"the pod's MTU is {mtu}")  # noqa: B023 - called at once
        assert node.daemon is not None
        node.daemon.wait_log(f"MTU {mtu}")
        stream.goes_on()
        node.attach(f"new{mtu}")
        assert mtus(node, f"new{mtu}") == {mtu}
        headers = 28 if version == 4 else 48
        node.exchange("red", "outside", OUTSIDE[version], size=mtu - headers)
    stream.end()
    assert node.daemon is not None
    assert not [line for line in node.daemon.log if "drift" in line]


def test_a_daemon_that_did_not_run_meanwhile_finds_it_at_its_start(node: Node) -> None:
    """Both ends of pods that run are as wide as the uplink is now."""
    node.attach("red")
    node.stop()
    node.sh("ip link set up0 mtu 1400; ip -n outside link set up1 mtu 1400")
    node.start()
    assert mtus(node, "red") == {1400}
    node.exchange("red", "outside", OUTSIDE[4], size=1400 - 28)


def test_a_machine_without_an_uplink_keeps_what_its_pods_have(bare: Node) -> None:
    """Where routes and addresses tell the uplink and none does for a while, the MTU is what it was."""
    node = bare
    node.configure()
    settings = node.root / "etc/podnet/podnet.yaml"
    settings.write_text(settings.read_text().replace("uplink: up0\n", ""))
    node.start()
    red, blue = node.attach("red"), node.attach("blue")
    node.sh("ip link set up0 mtu 1400; ip -n outside link set up1 mtu 1400")
    eventually(lambda: mtus(node, "red") == {1400}, "the pod's MTU is 1400")
    node.sh("ip route del default; ip addr flush dev up0; ip link add other type bridge")  # heard after the others
    assert node.exchange("red", "blue", blue) == red
    node.attach("green")
    assert mtus(node, "red") == mtus(node, "green") == {1400}
