"""The port of a tunnel in somebody else's hands, before podnet's daemon has come."""

import sys

import pytest

from podnet.testing.node import Node
from tests.doctor.conftest import PEER, ask

pytestmark = pytest.mark.live

HOLD = (
    "import socket, sys, time; held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    "held.bind(('', int(sys.argv[1]))); print('held', flush=True); time.sleep(3600)"
)


@pytest.mark.parametrize(("backend", "port"), [("vxlan", 4789), ("wireguard", 51820)])
def test_a_program_has_the_port(bare: Node, backend: str, port: int) -> None:
    """It is named with its process, and another port offered; when it has ended nothing is found."""
    bare.configure(more=f"backend: {backend}", peers=PEER)
    with bare.background(sys.executable, "-c", HOLD, str(port)) as holder:
        (found,) = ask(bare, "env").of("tunnel_port")
        assert found["severity"] == "broken"
        assert f"(process {holder.pid})" in found["what"]
        assert f"`{backend}: {{port: …}}`" in found["remedy"]
        (hidden,) = ask(bare).of("tunnel_port")
        assert "no process that is seen" in hidden["what"]
    assert ask(bare).of("tunnel_port") == []


@pytest.mark.parametrize(
    ("options", "said"),
    [("id 28782", "has this cluster's VXLAN identifier"), ("id 7 gbp", "is vx9's, another's device")],
)
def test_another_device_has_the_port(bare: Node, options: str, said: str) -> None:
    """With podnet's identifier, or one of its own and other options; it is named, and the remedy deletes it."""
    bare.configure(more="backend: vxlan", peers=PEER)
    bare.sh(f"ip link add vx9 type vxlan {options} dstport 4789 remote 10.99.0.9 dev up0; ip link set vx9 up")
    (found,) = ask(bare).of("tunnel_port")
    assert (found["severity"], said in found["what"]) == ("broken", True)
    bare.sh(found["remedy"].partition(",")[0])
    assert ask(bare).of("tunnel_port") == []


def test_no_tunnel_no_port(bare: Node) -> None:
    """Where packets go as they are nobody is asked who has it."""
    near = "  - {name: n2, addresses: [10.99.0.1], pod-cidrs: [10.244.2.0/24]}\n"
    bare.configure(more="backend: auto", peers=near)
    with bare.background(sys.executable, "-c", HOLD, "4789"):
        assert ask(bare, "env").of("tunnel_port") == []
