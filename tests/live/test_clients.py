"""Who may speak to the daemon, and that none of those who do can harm the others."""

import json
import os
import signal
import socket
import sys
from collections.abc import Callable

import pytest

from podnet.cni import Frame
from podnet.testing.node import DEFAULT_CONFIGURATION, Node
from podnet.testing.waiting import eventually

pytestmark = pytest.mark.live

AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
CONNECT = """
import socket
client = socket.socket(socket.AF_UNIX)
try:
    client.connect("/run/podnet/podnet.sock")
    client.sendall(b"PNF1")
    print(len(client.recv(1)))
except OSError as error:
    print(type(error).__name__)
"""


def add_frame(container: str) -> bytes:
    """Return the frame of an ADD."""
    environment = {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": container,
        "CNI_IFNAME": "eth0",
        "CNI_NETNS": f"/run/netns/{container}",
    }
    return Frame(environment, json.dumps(DEFAULT_CONFIGURATION).encode()).encode()


def test_only_root_may_speak(node: Node) -> None:
    """Another user cannot reach the socket, and is turned away where somebody opened folder and socket to all."""
    ask = (*AS_NOBODY, sys.executable, "-I", "-S", "-c", CONNECT)
    assert node.run(*ask).split() == ["PermissionError"]
    answer = json.loads(node.run(*AS_NOBODY, "env", "CNI_COMMAND=VERSION", "/opt/cni/bin/podnet", check=False))
    assert answer["code"] == 5
    assert "root" in answer["msg"]
    node.run("chmod", "0777", "/run/podnet", "/run/podnet/podnet.sock")
    assert node.run(*ask).split() in (["0"], ["BrokenPipeError"], ["ConnectionResetError"])
    assert node.cni("VERSION").status == 0


@pytest.mark.parametrize(
    "said",
    [b"", b"GET / HTTP/1.0\r\n\r\n", b"PNF1", os.urandom(1 << 16), add_frame("red")[:-1], b"PNF1" + b"\xff" * 12],
)
def test_a_client_without_a_frame_disturbs_nobody(node: Node, said: bytes) -> None:
    """Silence, garbage and half frames, held open or hung up: others are served, and no descriptor stays open."""
    assert node.daemon is not None
    descriptors = node.root.parent / f"../{node.daemon.pid}/fd"
    assert node.cni("VERSION").status == 0
    before = len(list(descriptors.iterdir()))
    held = [node.connect() for _ in range(3)]
    netns = os.open(f"{node.root}/run/netns/outside", os.O_RDONLY)
    for client in held:
        if said:
            try:
                socket.send_fds(client, [said], [netns, netns])
            except OSError:
                continue  # turned away before all was written
    os.close(netns)
    address = node.attach("blue")
    assert node.exchange("", "blue", address) == "10.99.0.11"
    for client in held:
        client.close()
    eventually(lambda: len(list(descriptors.iterdir())) <= before, "descriptors stay open")
    assert node.cni("DEL", "blue").status == 0


def test_an_add_that_nobody_waits_for_is_undone(node: Node) -> None:
    """The client went away before the answer: address, link and elements go, and the same ADD succeeds after."""
    node.pod("red")
    before = node.state(), node.leases()
    assert node.daemon is not None
    os.kill(node.daemon.pid, signal.SIGSTOP)
    client = node.connect()
    socket.send_fds(client, [add_frame("red")], [node.place("red")])
    client.close()
    waiting = node.begin("VERSION")
    os.kill(node.daemon.pid, signal.SIGCONT)
    assert waiting.wait() == 0
    assert waiting.stdout is not None
    waiting.stdout.close()
    eventually(lambda: node.leases() == before[1], "the lease of an ADD that nobody heard of")
    node.wait_for_links(0)
    assert node.state() == before[0]
    assert node.rows("SELECT count(*) FROM lease") == [[1]], "it was attached, and then undone"
    assert node.cni("ADD", "red").status == 0


def test_a_repeated_add_whose_answer_was_lost_succeeds(serving: Callable[..., Node]) -> None:
    """A runtime that kills the shim and asks again gets a pod: what the first try left is cleared."""
    node = serving()
    node.pod("red")
    for _ in range(5):
        process = node.begin("ADD", "red")
        process.kill()
        process.communicate()
    assert node.cni("DEL", "red").status == 0
    (address,) = node.cni("ADD", "red").addresses
    node.wait_for_links(1)
    assert node.exchange("", "red", address) == "10.99.0.11"
