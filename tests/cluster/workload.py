"""What runs on the cluster to be reached: a deployment behind a service, single pods, servers on nodes' networks."""

from functools import partial
from typing import Any, NamedTuple

from tests.cluster.api import Object, waited
from tests.cluster.cluster import Cluster
from tests.cluster.images import AGNHOST
from tests.cluster.node import Node, Sandbox
from tests.cluster.probes import asked

REPLICAS = 12
HTTP, UDP = 8080, 8081
"""Where Kubernetes' netexec serves in a pod."""
NODE_HTTP, NODE_UDP = 18080, 18081
"""Where it serves on a node's own network."""
HOST_PORT, NODE_PORT = 8888, 30080
SERVICE_PORT = 80
CHANCES = 10
"""How often a service is asked for each of its pods: one of twelve is missed once in 20,000 times then."""
BANDWIDTH = {"kubernetes.io/ingress-bandwidth": "20M", "kubernetes.io/egress-bandwidth": "40M"}


class Pod(NamedTuple):
    """A running pod."""

    name: str
    node: Node
    addresses: dict[int, str]
    sandbox: Sandbox

    @property
    def network(self) -> int:
        """Its network's descriptor."""
        return self.node.network(self.sandbox)


def server(http: int = HTTP, udp: int = UDP, **more: Any) -> Object:
    """Return a pod's specification: netexec, which kubelet probes by HTTP and TCP."""
    probe = {"periodSeconds": 1, "timeoutSeconds": 5}
    container = {
        "name": "server",
        "image": AGNHOST,
        "imagePullPolicy": "Never",
        "args": ["netexec", f"--http-port={http}", f"--udp-port={udp}"],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": http}, **probe},
        "livenessProbe": {"tcpSocket": {"port": http}, **probe, "periodSeconds": 5},
        **more.pop("container", {}),
    }
    return {"containers": [container], "terminationGracePeriodSeconds": 0, **more}


def pod(name: str, node: str = "", annotations: dict[str, str] | None = None, **more: Any) -> Object:
    """Return a pod with a server, on `node` where one is named."""
    placed: dict[str, Any] = {"nodeName": node} if node else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}, "annotations": annotations or {}},
        "spec": server(**placed, **more),
    }


def deployment(name: str, replicas: int) -> Object:
    """Return a deployment of servers."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": server()},
        },
    }


def service(app: str, node_port: int | None = None) -> Object:
    """Return a service of every family that the cluster has, with port 80 for HTTP and 53 for datagrams."""
    ports: list[Object] = [
        {"name": "http", "port": SERVICE_PORT, "targetPort": HTTP},
        {"name": "dns", "port": 53, "targetPort": UDP, "protocol": "UDP"},
    ]
    kind = {"type": "ClusterIP"}
    if node_port is not None:
        ports[0]["nodePort"], kind = node_port, {"type": "NodePort"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": app},
        "spec": {"selector": {"app": app}, "ipFamilyPolicy": "PreferDualStack", "ports": ports, **kind},
    }


class Workload:
    """The workload of a cluster's tests, running."""

    def __init__(self, cluster: Cluster) -> None:
        """Create it, and wait until kubelet's probes have found all of it ready."""
        self.cluster = cluster
        api, names = cluster.api, [node.name for node in cluster.nodes]
        api.wait(lambda: api.get("ServiceAccount", "default"), "the default service account")
        port = {"ports": [{"containerPort": HTTP, "hostPort": HOST_PORT}]}
        api.create(
            deployment("web", REPLICAS),
            service("web", NODE_PORT),
            pod("alone", names[0]),
            service("alone"),
            pod("ported", names[0], container=port),
            pod("shaped", names[0], BANDWIDTH),
            *(pod(f"on-{name}", name, http=NODE_HTTP, udp=NODE_UDP, hostNetwork=True) for name in names),
        )
        self.web = self.ready("app=web", REPLICAS)
        (self.alone,), (self.ported,), (self.shaped,) = (
            self.ready(f"app={name}", 1) for name in ("alone", "ported", "shaped")
        )
        self.on_nodes = [self.ready(f"app=on-{name}", 1)[0] for name in names]
        for name, pods in (("web", self.web), ("alone", [self.alone])):
            self._wait_for_proxies(name, {pod.name for pod in pods})

    def _wait_for_proxies(self, name: str, pods: set[str]) -> None:
        """Wait until every node's kube-proxy leads to every pod of a service: it follows the API server in its time."""
        for family in self.cluster.configuration.families:
            address = self.service_address(name, family)
            for node in self.cluster.nodes:
                waited(partial(self._answers, node, address, pods), f"all of {name} at {address} from {node.name}")

    def _answers(self, node: Node, address: str, pods: set[str]) -> bool:
        """Tell whether each of `pods` answers at a service's address: one that is asked by chance does in the end."""
        network = node.host.network
        return pods <= {
            asked(self.cluster, network, address, SERVICE_PORT, "/hostname") for _ in range(CHANCES * len(pods))
        }

    def ready(self, selector: str, count: int) -> list[Pod]:
        """Wait until so many pods are ready, and return them."""
        return ready_pods(self.cluster, selector, count)

    def service_address(self, name: str, family: int) -> str:
        """Return a service's address."""
        found: list[str] = self.cluster.api.get("Service", name)["spec"]["clusterIPs"]
        return next(address for address in found if (":" in address) == (family == 6))


def ready_pods(cluster: Cluster, selector: str, count: int) -> list[Pod]:
    """Wait until so many pods are ready, and return them."""

    def found() -> list[Object]:
        pods = [item for item in cluster.api.listed("Pod", selector=selector) if _is_ready(item)]
        return pods if len(pods) == count else []

    return [as_pod(cluster, item) for item in cluster.api.wait(found, f"{count} pods {selector} ready")]


def as_pod(cluster: Cluster, item: Object) -> Pod:
    """Return a pod as tests speak of it."""
    metadata, node = item["metadata"], cluster.node(item["spec"]["nodeName"])
    addresses = {6 if ":" in ip["ip"] else 4: ip["ip"] for ip in item["status"]["podIPs"]}
    return Pod(metadata["name"], node, addresses, node.sandbox(metadata["namespace"], metadata["name"]))


def _is_ready(item: Object) -> bool:
    conditions = {one["type"]: one["status"] for one in item["status"].get("conditions", ())}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in item["metadata"]
