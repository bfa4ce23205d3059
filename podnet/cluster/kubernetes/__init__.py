"""Kubernetes as the cluster source: the Nodes by the API server, asked as kubeconfig or service account say.

What belongs here: the little of the Kubernetes API that podnet speaks.  ``objects`` and ``decoding`` say what the bytes
mean, ``reflector`` what to ask next and what is known, ``listing`` which nodes that makes: no I/O in any of them.
``kubeconfig``, ``identity``, ``plugin`` and ``service_account`` find the server and who asks, ``client`` asks, and
``nodes`` is the thread that puts them together.  What does not: what follows from nodes.
"""

from podnet.cluster.kubernetes.access import Access
from podnet.cluster.kubernetes.kubeconfig import read_kubeconfig
from podnet.cluster.kubernetes.nodes import KubernetesNodes
from podnet.cluster.kubernetes.service_account import in_a_pod, service_account

__all__ = ["Access", "KubernetesNodes", "in_a_pod", "read_kubeconfig", "service_account"]
