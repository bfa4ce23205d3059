"""Node to node: how this node reaches the pods of the others.  Pure; the cluster's nodes in, a plan out."""

from podnet.mesh.direct import direct

__all__ = ["direct"]
