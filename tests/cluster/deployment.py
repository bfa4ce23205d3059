"""podnet on a cluster: deploy/podnet.yaml as a user applies it, with the image of `make image`."""

import json
from functools import partial
from pathlib import Path

import podnet
from deploy.image.build import REFERENCE, build
from tests.cluster.api import Object, waited
from tests.cluster.cluster import Cluster
from tests.cluster.configuration import Configuration
from tests.cluster.node import Node

MANIFEST = Path(podnet.__file__).parent.parent / "deploy" / "podnet.yaml"
NAMESPACE, SELECTOR = "kube-system", "app.kubernetes.io/name=podnet"
ROLLED = "120s"


def make_podnet_image(folder: Path) -> Path:
    """Make podnet's image, as `make image` does."""
    image = folder / "podnet-image.tar"
    image.write_bytes(build(REFERENCE, 0)[0])
    return image


def settings(configuration: Configuration) -> dict[str, object]:
    """Return podnet.yaml, as far as tests decide."""
    return {"backend": configuration.backend, "datapath": configuration.datapath}


class Deployment:
    """The DaemonSet of a cluster, with a pod on every node."""

    def __init__(self, cluster: Cluster, image: Path) -> None:
        """Deploy it, and wait until every node is Ready."""
        self.cluster = cluster
        for node in cluster.nodes:
            node.load([image])
        cluster.kubectl("apply", "-f", "-", text=MANIFEST.read_text())
        chosen = {"data": {"podnet.yaml": json.dumps(settings(cluster.configuration))}}
        cluster.api.patch("ConfigMap", "podnet", chosen, NAMESPACE)
        self.roll()
        cluster.wait_ready()

    def kill(self, node: Node) -> None:
        """Kill the daemon of a node with SIGKILL, and wait until kubelet has another."""
        before = self._container(node)
        node.host.run("ctr", "--namespace", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", before)
        waited(lambda: self._container(node) not in {"", before}, f"another daemon on {node.name}")

    def roll(self) -> None:
        """Replace every daemon, one node after the other, and wait until that is done."""
        self.cluster.kubectl("-n", NAMESPACE, "rollout", "restart", "daemonset/podnet")
        self.cluster.kubectl("-n", NAMESPACE, "rollout", "status", "daemonset/podnet", f"--timeout={ROLLED}")

    def log(self, node: Node) -> str:
        """Return what a node's daemons logged, one after the other."""
        files = sorted((node.host.root / "var/log/pods").glob(f"{NAMESPACE}_podnet-*/podnet/*.log"))
        return "".join(file.read_text(errors="replace") for file in files)

    def _container(self, node: Node) -> str:
        """Return the running container of a node's daemon, "" where there is none."""
        for pod in filter(partial(_is_on, node.name), self.cluster.api.listed("Pod", NAMESPACE, SELECTOR)):
            for status in pod["status"].get("containerStatuses", ()):
                if "running" in status["state"]:
                    identifier: str = status["containerID"].partition("://")[2]
                    return identifier
        return ""


def _is_on(node: str, pod: Object) -> bool:
    return bool(pod["spec"].get("nodeName") == node)
