"""What podnet writes to the API server about a Node: conditions of its status, and annotations."""

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec

from podnet.cluster.kubernetes.client import Client

REASON = "PodnetIsUp"


def network_is_up(client: Client, name: str) -> None:
    """Set the condition NetworkUnavailable of the Node `name` to False; raise `PodnetError`.

    Cloud providers create Nodes with it True, and with a taint that keeps pods away until the network says otherwise
    (Kubernetes documentation, "Node status").
    """
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {
        "type": "NetworkUnavailable",
        "status": "False",
        "reason": REASON,
        "message": "podnet serves the pods of this node",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    body = msgspec.json.encode({"status": {"conditions": [condition]}})
    client.patch(f"{_path(name)}/status", body, "strategic-merge-patch")  # conditions are merged by their type


def annotate(client: Client, name: str, annotations: Mapping[str, str | None]) -> None:
    """Set annotations of the Node `name`, or remove those that are None; raise `PodnetError`."""
    body = msgspec.json.encode({"metadata": {"annotations": dict(annotations)}})
    client.patch(_path(name), body, "merge-patch")


def _path(name: str) -> str:
    return f"/api/v1/nodes/{quote(name, safe='')}"
