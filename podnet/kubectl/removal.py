"""podnet off a cluster: the DaemonSet first, then each node cleaned by a pod on it, then what is left of both."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from podnet.errors import NodeNotReady
from podnet.kubectl.kubectl import Kubectl

MANIFEST = Path(__file__).with_name("uninstall.yaml")
"""deploy/uninstall.yaml."""
WAIT = "120s"
NAMED = (
    ("daemonset/podnet-uninstall", "serviceaccount/podnet", "configmap/podnet"),
    ("clusterrolebinding/podnet", "clusterrole/podnet"),
    ("rolebinding/podnet", "role/podnet"),
)


def remove(kubectl: Kubectl, namespace: str) -> Iterator[str]:
    """Remove podnet, whose DaemonSet is in `namespace`, and yield what was done; raise `PodnetError`."""
    found = kubectl.get("daemonset", "--namespace", namespace, "--selector", "app.kubernetes.io/name=podnet")["items"]
    if not found:
        raise NodeNotReady(
            f"no DaemonSet of podnet in {namespace}; --podnet-namespace names another, and where it is deleted already "
            "`kubectl apply -f deploy/uninstall.yaml` cleans the nodes"
        )
    image = found[0]["spec"]["template"]["spec"]["containers"][0]["image"]
    yield kubectl.run("delete", "daemonset/podnet", "--namespace", namespace, "--wait").stdout.strip()
    kubectl.run("wait", "pods", "--namespace", namespace, "--selector", "app.kubernetes.io/name=podnet", "--for=delete",
                f"--timeout={WAIT}")  # fmt: skip
    yield kubectl.run("apply", "--filename", "-", given=manifest(image, namespace)).stdout.strip()
    rollout = ("rollout", "status", "daemonset/podnet-uninstall", "--namespace", namespace, f"--timeout={WAIT}")
    yield kubectl.run(*rollout).stdout.strip().rpartition("\n")[2]
    cluster_wide: Any
    own, cluster_wide, told = NAMED
    for names, where in ((own, namespace), (cluster_wide, ""), (told, "default")):
        place = ("--namespace", where) if where else ()
        yield kubectl.run("delete", "--ignore-not-found", *names, *place).stdout.strip()


def manifest(image: str, namespace: str) -> str:
    """Return deploy/uninstall.yaml with the image that the cluster's nodes have, for `namespace`."""
    import yaml  # noqa: PLC0415 - only this needs it

    document = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
    document["metadata"]["namespace"] = namespace
    spec = document["spec"]["template"]["spec"]
    for container in (*spec["initContainers"], *spec["containers"]):
        container["image"] = image
    written: str = yaml.safe_dump(document, sort_keys=False)
    return written
