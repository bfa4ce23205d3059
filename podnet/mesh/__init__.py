"""Node to node: how this node reaches the pods of the others.  Pure; the cluster's nodes in, a plan out."""

from podnet.mesh.backend import between, overhead, reached_directly, sees_pods, unreached
from podnet.mesh.direct import direct
from podnet.mesh.vxlan import DEVICES, OVERHEAD, vtep_address, vtep_link_local, vtep_mac

__all__ = [
    "DEVICES",
    "OVERHEAD",
    "between",
    "direct",
    "overhead",
    "reached_directly",
    "sees_pods",
    "unreached",
    "vtep_address",
    "vtep_link_local",
    "vtep_mac",
]
