"""The script's kernel state beside the engine's, on two nodes alike."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from podnet.testing.waiting import equal_soon

pytestmark = pytest.mark.live

NewNode = Callable[..., Any]  # tests/script/conftest.py, Sandbox
PODS = ("red", "blue", "green")
DATAPATHS = pytest.mark.parametrize("datapath", ["ptp", "bridge"])


ENGINE = """
import os, sys
from podnet import oneshot
from podnet.cni import Frame
from podnet.daemon.paths import Paths
folder, *pods = sys.argv[1:]
paths = Paths(config=folder + "/podnet.yaml", database=folder + "/podnet.db", spool=folder + "/spool",
              socket=folder + "/podnet.sock")
for pod in pods:
    path = "/run/netns/" + pod
    environment = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c-" + pod, "CNI_IFNAME": "eth0", "CNI_NETNS": path}
    stdin = b'{"cniVersion": "1.0.0", "name": "podnet", "type": "podnet"}'
    answer = oneshot.serve(Frame(environment, stdin, 0), os.open(path, os.O_RDONLY), paths)
    assert answer.status == 0, answer
"""


def by_engine(new_node: NewNode, datapath: str, families: str) -> Any:
    """Return a node on which the engine has added the pods."""
    node = new_node(*PODS)
    node.settings(datapath, families)
    result = node.run(sys.executable, "-c", ENGINE, str(node.folder), *PODS)
    assert result.returncode == 0, result.stderr
    return node


@DATAPATHS
@pytest.mark.parametrize("families", ["4", "6", "46"])
def test_the_nft_form_gives_the_engines_kernel_state(new_node: NewNode, datapath: str, families: str) -> None:
    """On the node and in every pod all is equal but handles and drawn indexes: names, addresses, routes, rules."""
    engine = by_engine(new_node, datapath, families)
    node = new_node(*PODS)
    node.add(node.script(config=node.settings(datapath, families)), *PODS)
    equal_soon(node.state, engine.state)
    assert node.ruleset() == engine.ruleset()
    assert sum("@own" in entry for entry in node.ruleset()) == len(families)
    for pod in PODS:
        equal_soon(lambda: node.state(pod), lambda: engine.state(pod))  # noqa: B023 - called at once


@DATAPATHS
def test_the_iptables_form_gives_the_engines_links_addresses_and_routes(new_node: NewNode, datapath: str) -> None:
    """All but the rules is equal on the node and in every pod."""
    engine = by_engine(new_node, datapath, "46")
    node = new_node(*PODS)
    node.add(node.script("--iptables", config=node.settings(datapath, "46")), *PODS)
    equal_soon(node.state, engine.state)
    for pod in PODS:
        equal_soon(lambda: node.state(pod), lambda: engine.state(pod))  # noqa: B023 - called at once
