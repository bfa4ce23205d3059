"""Many pods at once on one node."""

from tests.cluster.api import Api, Object, waited
from tests.cluster.images import PAUSE

MANY = 100
SELECTOR = "app=burst"


def burst(node: str, count: int = MANY) -> list[Object]:
    """Return pods for `node` that only wait."""
    container = {"name": "waits", "image": PAUSE, "imagePullPolicy": "Never"}
    spec = {"nodeName": node, "containers": [container], "terminationGracePeriodSeconds": 0}
    labels = {"app": "burst"}
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"burst-{i}", "labels": labels}, "spec": spec}
        for i in range(count)
    ]


def running(api: Api, count: int = MANY) -> list[Object]:
    """Return the pods of a burst once so many run, else none."""
    pods = [pod for pod in api.listed("Pod", selector=SELECTOR) if pod["status"]["phase"] == "Running"]
    return pods if len(pods) == count else []


def ended(api: Api) -> None:
    """Delete the pods of a burst, and wait until kubelet has ended them."""
    api.delete("Pod", [pod["metadata"]["name"] for pod in api.listed("Pod", selector=SELECTOR)], grace=1)
    waited(lambda: not api.listed("Pod", selector=SELECTOR), "the end of a burst's pods", 180)
