"""Kubernetes as the cluster source: Nodes and Pods by the API server, asked as kubeconfig or service account say.

What belongs here: the little of the Kubernetes API that podnet speaks.  ``objects`` and ``decoding`` say what the bytes
mean, ``listing`` what a Node is in the model: no I/O in any of them.  ``kubeconfig``, ``identity``, ``plugin`` and
``service_account`` find the server and who asks, ``client`` asks, ``feed`` is what ``remote.following`` follows, of
which ``nodes`` and ``pods`` have one each, and ``announcing`` tells the server of this node.  What does not: what
follows from nodes and pods.
"""

from podnet.cluster.kubernetes.kubeconfig import read_kubeconfig
from podnet.cluster.kubernetes.nodes import KubernetesNodes
from podnet.cluster.kubernetes.objects import WIREGUARD_KEY
from podnet.cluster.kubernetes.pods import KubernetesPods
from podnet.cluster.kubernetes.service_account import in_a_pod, service_account
from podnet.cluster.remote.access import Access
from podnet.cluster.remote.backoff import Backoff

__all__ = [
    "WIREGUARD_KEY",
    "Access",
    "Backoff",
    "KubernetesNodes",
    "KubernetesPods",
    "in_a_pod",
    "read_kubeconfig",
    "service_account",
]
