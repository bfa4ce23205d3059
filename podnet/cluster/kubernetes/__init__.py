"""Kubernetes as the cluster source: Nodes and Pods by the API server, asked as kubeconfig or service account say.

What belongs here: the little of the Kubernetes API that podnet speaks.  ``objects`` and ``decoding`` say what the bytes
mean, ``reflector`` what to ask next and what is known, ``listing`` which nodes that makes: no I/O in any of them.
``kubeconfig``, ``identity``, ``plugin`` and ``service_account`` find the server and who asks, ``client`` asks,
``following`` is the thread that puts them together, of which ``nodes`` and ``pods`` have one each, and ``announcing``
tells the server of this node.  What does not: what follows from nodes and pods.
"""

from podnet.cluster.kubernetes.access import Access
from podnet.cluster.kubernetes.backoff import Backoff
from podnet.cluster.kubernetes.kubeconfig import read_kubeconfig
from podnet.cluster.kubernetes.nodes import KubernetesNodes
from podnet.cluster.kubernetes.pods import KubernetesPods
from podnet.cluster.kubernetes.service_account import in_a_pod, service_account

__all__ = ["Access", "Backoff", "KubernetesNodes", "KubernetesPods", "in_a_pod", "read_kubeconfig", "service_account"]
