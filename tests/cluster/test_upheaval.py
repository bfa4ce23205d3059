"""The daemon is killed and upgraded, and its work undone by hand: the packets of pods that run are not disturbed."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.cluster.api import waited
from tests.cluster.cluster import Cluster
from tests.cluster.configuration import PAIRS, on
from tests.cluster.deployment import Deployment
from tests.cluster.node import Node, Sandbox
from tests.cluster.probes import asked
from tests.cluster.stream import Stream
from tests.cluster.workload import HTTP, Pod, Workload, pod, ready_pods

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300), on(PAIRS[0], PAIRS[4], PAIRS[6])]


def neighbours(workload: Workload) -> tuple[Pod, Pod, Pod]:
    """Return a pod, one on the same node, and one on another."""
    first = workload.web[0]
    beside = next(other for other in workload.web[1:] if other.node is first.node)
    away = next(other for other in workload.web if other.node is not first.node)
    return first, beside, away


@contextmanager
def streams(cluster: Cluster, program: Path, workload: Workload) -> Iterator[list[Stream]]:
    """Have streams of every family go to a pod on the same node and to one on another while the block runs."""
    first, beside, away = neighbours(workload)
    with ExitStack() as ends:
        yield [
            ends.enter_context(Stream(cluster, program, first, target, family))
            for target in (beside, away)
            for family in cluster.configuration.families
        ]


def test_killed_daemons_lose_no_packet(
    cluster: Cluster, deployment: Deployment, workload: Workload, stream_program: Path
) -> None:
    """SIGKILL on every node under a thousand datagrams a second and a conversation; then a new pod starts."""
    with streams(cluster, stream_program, workload) as running:
        for node in cluster.nodes:
            deployment.kill(node)
    assert [stream.report.disturbed for stream in running] == [""] * len(running)
    assert min(stream.report.sent for stream in running) > 1000
    name = "after-kill"
    cluster.api.create(pod(name, cluster.nodes[0].name))
    ready_pods(cluster, f"app={name}", 1)
    cluster.api.delete("Pod", [name])


def test_an_upgrade_loses_no_packet(
    cluster: Cluster, deployment: Deployment, workload: Workload, stream_program: Path
) -> None:
    """The DaemonSet is rolled over all nodes; nothing is lost, nothing reset, and every node stays Ready."""
    with streams(cluster, stream_program, workload) as running:
        deployment.roll()
    assert [stream.report.disturbed for stream in running] == [""] * len(running)
    for node in cluster.nodes:
        assert cluster.condition(node.name, "Ready")["status"] == "True"


def test_a_pod_that_is_deleted_while_its_nodes_daemon_is_away_leaves_nothing(
    cluster: Cluster, deployment: Deployment
) -> None:
    """Its DEL waits in the spool, and is carried out when the daemon is back."""
    node = cluster.nodes[0]
    cluster.api.create(pod("short", node.name))
    (short,) = ready_pods(cluster, "app=short", 1)
    address = short.addresses[4]
    elements = ("nft", "list", "set", "inet", "podnet", "pods4")
    assert address in node.host.run(*elements)
    deployment.kill(node)
    cluster.api.delete("Pod", ["short"])
    waited(lambda: address not in node.host.run(*elements), "the pod's elements are gone")


LATEST_MS = 5000
"""By the daemon's own clock, from when it heard; it is some 30 where the machine has time."""
HARM = {
    "conflist": ("rm /etc/cni/net.d/10-podnet.conflist", "test -s /etc/cni/net.d/10-podnet.conflist"),
    "shim": ("rm /opt/cni/bin/podnet", "test -x /opt/cni/bin/podnet"),
    "nft table": ("nft delete table inet podnet", "nft list chain inet podnet postrouting | grep -q masquerade"),
    "route": ("ip route del {address}", "ip route show {address} | grep -q ."),
    "neighbour": ("ip neigh del {address} dev {link}", "ip neigh show {address} dev {link} | grep -q PERMANENT"),
    "link": ("ip link del {link}", "ip route show {address} | grep -q {link}"),
}


@pytest.mark.parametrize("what", HARM)
def test_what_is_deleted_by_hand_is_there_again_and_an_event_says_so(
    cluster: Cluster,
    deployment: Deployment,
    workload: Workload,
    what: str,
) -> None:
    """Of the node, of a pod; the log has it with the time it took, and the Node an event."""
    target = next(pod for pod in workload.web if pod.node is cluster.nodes[-1])
    node, address = target.node, target.addresses[4]
    link = node.host.run("ip", "-o", "route", "show", address).split(" dev ")[1].split()[0]
    harm, repaired = (text.format(address=address, link=link) for text in HARM[what])
    before = deployment.log(node).count("drift:")
    node.host.sh(f"{harm}; for i in $(seq 500); do {{ {repaired}; }} 2>/dev/null && exit 0; sleep 0.01; done; exit 1")
    waited(lambda: deployment.log(node).count("drift:") > before, "the drift is told")
    line = next(line for line in reversed(deployment.log(node).splitlines()) if "drift:" in line)
    took = re.findall(r"put right (\d+) ms later", line)  # where it was heard, and not seen by a look that came first
    assert not took or float(took[-1]) < LATEST_MS, line

    def told() -> bool:
        events = cluster.api.listed("Event")
        messages = [event["message"] for event in events if event["reason"] == "NetworkDrift"]
        return any(line.endswith(message[-40:]) for message in messages)

    waited(told, "the Node's event")


def test_without_the_api_server_pods_go_on_and_a_static_pod_starts(
    cluster: Cluster,
    deployment: Deployment,  # noqa: ARG001 - podnet is there
    workload: Workload,
    stream_program: Path,
) -> None:
    """Nothing is lost while it is away, and an ADD whose data is known is answered; then nodes are Ready again."""
    node = cluster.nodes[0]
    manifest = node.host.root / "etc/kubernetes/manifests/static.json"
    with streams(cluster, stream_program, workload) as running:
        cluster.control.kill_server()
        try:
            manifest.write_text(json.dumps(pod("static")))
            sandbox = waited(lambda: _sandbox(node, f"static-{node.name}"), "the static pod's sandbox")
            status = node.runtime.call("PodSandboxStatus", pod_sandbox_id=sandbox.id)["status"]
            address = status["network"]["ip"]
            waited(lambda: asked(cluster, workload.alone.network, address, HTTP), f"an answer of {address}")
        finally:
            cluster.control.start_server()
    assert [stream.report.disturbed for stream in running] == [""] * len(running)
    manifest.unlink()
    cluster.wait_ready()


def _sandbox(node: Node, name: str) -> Sandbox | None:
    try:
        return node.sandbox("default", name)
    except LookupError:
        return None
