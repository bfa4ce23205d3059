"""Node to node: how this node reaches the pods of the others.  Pure; the cluster's nodes in, a plan out."""

from podnet.mesh.backend import (
    OVERHEAD,
    Mesh,
    Way,
    Wayfinder,
    between,
    overhead,
    reached_directly,
    sees_pods,
    together,
)
from podnet.mesh.end import vtep_address
from podnet.mesh.vxlan import DEVICES, vtep_link_local, vtep_mac

__all__ = [
    "DEVICES",
    "OVERHEAD",
    "Mesh",
    "Way",
    "Wayfinder",
    "between",
    "overhead",
    "reached_directly",
    "sees_pods",
    "together",
    "vtep_address",
    "vtep_link_local",
    "vtep_mac",
]
