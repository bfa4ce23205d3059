"""How tests follow what an API server tells: on the descriptor, as the daemon does."""

import select
import time
from collections.abc import Callable

from podnet.cluster.kubernetes import KubernetesNodes, KubernetesPods
from tests.cluster_sources.kubernetes.api import PATIENCE

Follow = Callable[..., KubernetesNodes]


def wait_until(source: KubernetesNodes | KubernetesPods, condition: Callable[[], bool]) -> None:
    """Wait on the descriptor until `condition` holds."""
    limit = time.monotonic() + PATIENCE
    while not condition():
        readable, _, _ = select.select([source], [], [], max(0.0, limit - time.monotonic()))
        assert readable, f"nothing happened any more: {source.error}"
        source.changed()
