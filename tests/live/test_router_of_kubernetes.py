"""`podnet router run` with the nodes of an API server: BIRD has a session for each, as they come and go."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from podnet.testing.node import REPOSITORY, Node
from podnet.testing.waiting import eventually
from tests.cluster_sources.kubernetes.api import Api
from tests.live.test_kubernetes import api, command, put

pytestmark = pytest.mark.live
__all__ = ["api"]

PODNET = ("env", f"PYTHONPATH={REPOSITORY}", sys.executable, "-m", "podnet.cli")
ROUTER = """
bgp:
  mode: reflectors
  routers:
    - {name: core, addresses: [10.99.0.11], role: reflector}
"""


def neighbours(node: Node) -> dict[str, str]:
    """Return name and address of those that the router is to speak to."""
    try:
        told = node.run(*PODNET, "router", "status", "--json", check=False)
        return {one["neighbour"]: one["address"] for one in json.loads(told)}
    except json.JSONDecodeError:  # BIRD is not there yet
        return {}


@contextmanager
def router(node: Node) -> Iterator[None]:
    """Run a router on the node for the block, and end its BIRD."""
    words = ("sh", "-c", 'exec "$@" 2>&1', "sh", *PODNET, "router", "run")
    try:
        with node.background(*words, "--name", "core", "--kubeconfig", "/etc/podnet/kubeconfig"):
            yield
    finally:  # not before podnet has ended, which would start it again
        node.sh("kill $(cat /run/podnet/bird/bird.pid)")


def test_a_router_speaks_to_the_nodes_that_the_api_server_tells(bare: Node, api: Api) -> None:
    """A Node that comes is a neighbour, one that moves is one elsewhere, one that goes is none; forwarding is on."""
    bare.configure(more=ROUTER)
    (bare.root / "etc/podnet/nodes.yaml").unlink()
    put(api, 1, 2)
    with router(bare):
        eventually(lambda: neighbours(bare) == {"n1": "10.99.0.11", "n2": "10.99.0.12"}, "two neighbours")
        assert bare.sh("cat /proc/sys/net/ipv4/ip_forward") == "1\n"
        put(api, 3)
        put(api, 2, at=22)
        api.delete("n1")
        eventually(lambda: neighbours(bare) == {"n2": "10.99.0.22", "n3": "10.99.0.13"}, "n1 gone, n2 moved, n3 come")
        assert "rr client" in bare.sh("cat /run/podnet/bird/bird.conf")


def test_a_router_that_podnet_yaml_does_not_name_is_told_so(bare: Node, api: Api) -> None:
    """The error names the file, what it has, and both ways out."""
    del api
    bare.configure(more=ROUTER)
    with pytest.raises(Exception, match="core"):
        command(bare, "router", "run", "--name", "other", "--kubeconfig", "/etc/podnet/kubeconfig")
