"""A cluster's Nodes, podnet's pods on them, and what they told of: values out of the API's objects."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any, NamedTuple

from podnet.errors import NodeNotReady
from podnet.kubectl.kubectl import Kubectl

NAMESPACE = "kube-system"
SELECTOR = "app.kubernetes.io/name=podnet"
DRIFT = "NetworkDrift"
"""The reason of events that tell of what was not as it should be (podnet.cluster.kubernetes.events)."""


class Daemon(NamedTuple):
    """podnet's pod on a node."""

    name: str
    image: str
    state: str
    """As `kubectl get pods` has it: `Running`, or why a container does not (`ImagePullBackOff`, `Error`)."""
    ready: bool
    restarts: int


class ClusterNode(NamedTuple):
    """A Node; `daemon` is None where podnet has no pod on it."""

    name: str
    ready: str
    pod_cidrs: tuple[str, ...]
    daemon: Daemon | None
    drift: str
    """The latest event of something that was not as it should be, with its time, or an empty string."""


def read_cluster(kubectl: Kubectl, namespace: str) -> list[ClusterNode]:
    """Return the Nodes with podnet's pods in `namespace` on them; raise `PodnetError`."""
    nodes = kubectl.get("nodes")["items"]
    pods = kubectl.get("pods", "--namespace", namespace, "--selector", SELECTOR)["items"]
    events = kubectl.get("events", "--namespace", "default", "--field-selector", f"reason={DRIFT}")["items"]
    return cluster(nodes, pods, events)


def cluster(
    nodes: Iterable[dict[str, Any]], pods: Iterable[dict[str, Any]], events: Iterable[dict[str, Any]]
) -> list[ClusterNode]:
    """Return the same of objects of the API, by name."""
    daemons: dict[str, Daemon] = {}
    for pod in sorted(pods, key=_age):  # while one replaces another, the younger
        if name := pod["spec"].get("nodeName"):
            daemons[name] = _daemon(pod)
    drifts: dict[str, str] = {}
    for event in sorted(events, key=lambda event: event.get("lastTimestamp") or ""):
        drifts[event["involvedObject"]["name"]] = f"{event.get('lastTimestamp')} {event['message']}"
    found = []
    for node in nodes:
        name = node["metadata"]["name"]
        cidrs = node["spec"].get("podCIDRs") or ()
        found.append(ClusterNode(name, _ready(node), tuple(cidrs), daemons.get(name), drifts.get(name, "")))
    return sorted(found)


def serving(nodes: Sequence[ClusterNode], name: str) -> Daemon:
    """Return podnet's pod on the node `name`; raise NodeNotReady where there is none that can be asked."""
    node = next((node for node in nodes if node.name == name), None)
    if node is None:
        raise NodeNotReady(f"no Node {name}; there are {', '.join(node.name for node in nodes)}")
    if node.daemon is None:
        raise NodeNotReady(f"node {name}: no podnet runs there; see `kubectl -n {NAMESPACE} describe daemonset podnet`")
    if node.daemon.state != "Running":
        logs = f"`kubectl -n {NAMESPACE} logs {node.daemon.name}`"
        raise NodeNotReady(f"node {name}: podnet's pod {node.daemon.name} is {node.daemon.state}; see {logs}")
    return node.daemon


def home(nodes: Sequence[ClusterNode], address: IPv4Address | IPv6Address) -> ClusterNode | None:
    """Return the node of whose pod CIDRs `address` is."""
    return next((node for node in nodes if any(address in ip_network(cidr) for cidr in node.pod_cidrs)), None)


def _daemon(pod: dict[str, Any]) -> Daemon:
    status = pod["status"]
    containers = status.get("containerStatuses") or ()
    states = [state for one in containers for name, state in one.get("state", {}).items() if name != "running"]
    reasons = [state.get("reason", "Waiting") for state in states]
    if "deletionTimestamp" in pod["metadata"]:
        reasons.insert(0, "Terminating")
    return Daemon(
        name=pod["metadata"]["name"],
        image=pod["spec"]["containers"][0]["image"],
        state=next(iter(reasons), status.get("phase", "Unknown")),
        ready=bool(containers) and all(one.get("ready") for one in containers),
        restarts=sum(one.get("restartCount", 0) for one in containers),
    )


def _age(pod: dict[str, Any]) -> str:
    created: str = pod["metadata"].get("creationTimestamp") or ""
    return created


def _ready(node: dict[str, Any]) -> str:
    """Return `Ready`, or `NotReady` with why."""
    for condition in node.get("status", {}).get("conditions") or ():
        if condition["type"] == "Ready":
            return (
                "Ready" if condition["status"] == "True" else f"NotReady: {condition.get('message', '')}".rstrip(": ")
            )
    return "NotReady"
