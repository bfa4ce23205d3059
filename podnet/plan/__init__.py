"""The plan: desired state as a value.  What to do is decided above, how to say it to the kernel is decided here.

A :class:`Plan` is a tuple of steps; :func:`diff` compares it with what is observed, :func:`inverse` takes it back,
:func:`encode` turns it into netlink batches and :func:`explain` into `ip`, `bridge`, `tc` and `nft` commands.  All are
pure, and all walk the same steps: a golden test ties each step's text to its bytes.
"""

from podnet.plan import decode
from podnet.plan.diff import State, diff, key_of, place_of, satisfies, state_of
from podnet.plan.encode import Batch, encode
from podnet.plan.explain import Line, explain, headline, script
from podnet.plan.heard import Heard
from podnet.plan.objects import (
    GROUP_DOOMED,
    GROUP_MESH,
    GROUP_PODS,
    PROTOCOL,
    Address,
    Fdb,
    Link,
    Neighbour,
    Redirect,
    Route,
    Sysctl,
    Tbf,
    Vxlan,
    WireGuard,
    WireGuardPeer,
)
from podnet.plan.plan import NftObject, Object, Plan, Step, inverse, merged
from podnet.plan.tables import NODES, REMOTE, TABLE

__all__ = [
    "GROUP_DOOMED",
    "GROUP_MESH",
    "GROUP_PODS",
    "NODES",
    "PROTOCOL",
    "REMOTE",
    "TABLE",
    "Address",
    "Batch",
    "Fdb",
    "Heard",
    "Line",
    "Link",
    "Neighbour",
    "NftObject",
    "Object",
    "Plan",
    "Redirect",
    "Route",
    "State",
    "Step",
    "Sysctl",
    "Tbf",
    "Vxlan",
    "WireGuard",
    "WireGuardPeer",
    "decode",
    "diff",
    "encode",
    "explain",
    "headline",
    "inverse",
    "key_of",
    "merged",
    "place_of",
    "satisfies",
    "script",
    "state_of",
]
