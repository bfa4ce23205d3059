"""In a pod: the API server by the environment, and the pod's service account.

See "Accessing the Kubernetes API from a Pod", Kubernetes documentation.
"""

import os
from collections.abc import Mapping

from podnet.cluster.kubernetes.identity import TokenFile
from podnet.cluster.remote.access import Access, Server
from podnet.errors import NodeNotReady

FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"


def in_a_pod(environment: Mapping[str, str], folder: str = FOLDER) -> bool:
    """Tell whether this is a pod with a service account."""
    return bool(environment.get("KUBERNETES_SERVICE_HOST")) and os.path.exists(f"{folder}/token")  # noqa: PTH110


def service_account(environment: Mapping[str, str], folder: str = FOLDER) -> Access:
    """Return the API server of the cluster that this pod is of, asked by its service account; raise NodeNotReady."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not port.isdecimal():
        raise NodeNotReady(
            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT name no API server: this is no pod of Kubernetes; "
            "name a kubeconfig with --kubeconfig"
        )
    server = Server(source=folder, host=host, port=int(port), ca_file=f"{folder}/ca.crt")
    return Access(server, TokenFile(f"{folder}/token"))
