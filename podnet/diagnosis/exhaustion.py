"""Addresses: a range that is used up gives a new pod none."""

from collections.abc import Iterable, Iterator

from podnet.diagnosis.finding import Finding
from podnet.ipam import Occupancy

CHECK = "exhaustion"
NEARLY = 0.9
"""The part of a range from which it counts as nearly used up."""


REMEDIES = {
    "kubernetes": (
        "a Node's podCIDR cannot be changed: make it anew with a larger one (kube-controller-manager "
        "--node-cidr-mask-size), give kubelet fewer pods (maxPods), or add `pools` to podnet.yaml"
    ),
    "etcd": (
        "run fewer pods here, or add `pools` to podnet.yaml; a larger part for every node is another "
        "etcd.node-cidr-mask-size-*, see docs/CONFIGURATION.md on another range"
    ),
    "": "give this node a larger range, or a second one, in nodes.yaml: `pod-cidrs`",
}
"""By who tells the nodes, "" for a file."""


def exhaustion(ranges: Iterable[Occupancy], told_by: str) -> Iterator[Finding]:
    """Yield each of the node's `ranges` that is used up, or nearly; `told_by` is who gave them, see `REMEDIES`."""
    for pool in ranges:
        held = pool.live + pool.cut
        evidence = (
            f"{pool.subnet}: {pool.size} usable, {pool.live} of pods, {pool.cut} of pods that are being removed, "
            f"{pool.resting} resting, {pool.ready} ready"
        )
        remedy = REMEDIES[told_by]
        if held >= pool.size:
            what = f"{pool.subnet} is used up: a new pod gets no address (CNI error 110)"
            yield Finding(CHECK, "broken", what, evidence, remedy)
        elif held >= NEARLY * pool.size:
            what = f"{pool.subnet} is nearly used up: {pool.size - held} more pods get an address"
            yield Finding(CHECK, "soon", what, evidence, remedy)
