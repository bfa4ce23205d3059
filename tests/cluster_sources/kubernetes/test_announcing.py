"""What a node has the API server told of it: its network's condition, and annotations."""

from collections.abc import Callable

from podnet.cluster.kubernetes import read_kubeconfig
from podnet.cluster.kubernetes.client import Client
from podnet.cluster.kubernetes.objects import WIREGUARD_KEY
from podnet.cluster.kubernetes.status import annotate
from podnet.testing.waiting import eventually
from podnet.wireguard.key import to_text
from tests.cluster_sources.kubernetes.api import PATIENCE, Api
from tests.cluster_sources.kubernetes.following import Follow, wait_until

KEY, OTHER_KEY = (to_text(bytes([number]) * 32) for number in (1, 2))


def test_the_nodes_network_is_said_to_be_up(api: Api, follow: Follow) -> None:
    """A True NetworkUnavailable is set False, once pods are served and not before, and again where it comes back."""
    api.put("n1", unavailable=True)
    api.put("n2", unavailable=True)
    nodes = follow()
    assert nodes.wait(PATIENCE)

    def condition(name: str) -> tuple[str, str]:
        found = [c for c in api.node(name)["status"]["conditions"] if c["type"] == "NetworkUnavailable"]
        return found[0]["status"], found[0]["reason"]

    assert condition("n1") == ("True", "NoRoute")
    nodes.serving()
    eventually(lambda: condition("n1") == ("False", "PodnetIsUp"), "the condition")
    api.put("n1", unavailable=True)
    eventually(lambda: condition("n1") == ("False", "PodnetIsUp"), "the condition, again")
    assert condition("n2") == ("True", "NoRoute")
    patches = [asked for asked in api.asked if asked.method == "PATCH"]
    assert {asked.path for asked in patches} == {"/api/v1/nodes/n1/status"}
    assert patches[0].headers["Content-Type"] == "application/strategic-merge-patch+json"


def test_that_it_may_not_say_so_is_a_remark(api: Api, follow: Follow) -> None:
    """The nodes are current all the same."""
    api.put("n1", unavailable=True)
    nodes = follow()
    assert nodes.wait(PATIENCE)
    api.wait_for(lambda _: api.watches())
    api.refusal = 403, {}
    nodes.serving()
    wait_until(nodes, lambda: bool(nodes.remarks))
    assert "403" in nodes.remarks[0]
    assert nodes.error is None
    api.refusal = None
    wait_until(nodes, lambda: not nodes.remarks)


def test_what_others_must_know_of_this_node_is_told(api: Api, follow: Follow) -> None:
    """An annotation that its Node lacks or has otherwise is written, and again where somebody changes it; once else."""
    wanted = {WIREGUARD_KEY: KEY}
    api.put("n1", annotations={"other": "1"})
    api.put("n2", annotations={WIREGUARD_KEY: OTHER_KEY})
    nodes = follow(annotations=wanted)
    assert nodes.wait(PATIENCE)
    wait_until(nodes, lambda: [node.wireguard for node in nodes.nodes] == [KEY, OTHER_KEY])
    assert api.node("n1")["metadata"]["annotations"] == {"other": "1", **wanted}
    api.put("n1", annotations={WIREGUARD_KEY: "mine"})
    eventually(lambda: api.node("n1")["metadata"]["annotations"] == wanted, "the annotation, again")
    patches = [asked for asked in api.asked if asked.method == "PATCH"]
    assert {asked.path for asked in patches} == {"/api/v1/nodes/n1"}
    assert patches[0].headers["Content-Type"] == "application/merge-patch+json"


def test_that_it_may_not_be_told_is_a_remark_with_the_remedy(api: Api, follow: Follow) -> None:
    """Rights that it lacks are named; with them, it is told after all."""
    api.put("n1")
    nodes = follow()
    assert nodes.wait(PATIENCE)
    api.wait_for(lambda _: api.watches())
    api.refusal = 403, {}
    nodes.publish({WIREGUARD_KEY: KEY})
    wait_until(nodes, lambda: bool(nodes.remarks))
    assert f"annotation {WIREGUARD_KEY} of Node n1 cannot be said" in nodes.remarks[0]
    assert "ClusterRole `patch` nodes" in nodes.remarks[0]
    api.refusal = None
    wait_until(nodes, lambda: not nodes.remarks)


def test_annotations_are_set_and_removed(api: Api, write_kubeconfig: Callable[..., str]) -> None:
    """By a merge patch, which leaves those of others."""
    api.put("n1", annotations={"other": "1"})
    client = Client(read_kubeconfig(write_kubeconfig({"server": f"http://127.0.0.1:{api.address[1]}"})))
    annotate(client, "n1", {"podnet.dev/mac": "x"})
    assert api.node("n1")["metadata"]["annotations"] == {"other": "1", "podnet.dev/mac": "x"}
    annotate(client, "n1", {"podnet.dev/mac": None})
    assert api.node("n1")["metadata"]["annotations"] == {"other": "1"}
    assert len(api.asked) == 2
    client.close()
