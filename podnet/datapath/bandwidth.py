"""Bandwidth: a pod's two directions held to a rate at the host's end, where the pod itself cannot lift it.

::

    to the pod      tbf at the root of the host's end: what leaves there is what the pod receives
    from the pod    what arrives at the host's end goes out by an ifb first, at whose root is another tbf, and
                    comes back as if it had just arrived

A qdisc holds back only what leaves a link, hence the ifb, one per limited pod.  A policer on what arrives would do
without, but it drops where a bucket lets wait, and TCP takes each drop for congestion.
"""

from collections.abc import Iterator

from podnet.model import Lease, Rate
from podnet.plan import GROUP_PODS, Link, Redirect, Step, Tbf

LATENCY = 0.025
"""Seconds that a packet waits at most behind a burst; longer queues are dropped (as the bandwidth plugin has it)."""
_U32 = (1 << 32) - 1


def egress_link(lease: Lease) -> str:
    """Return the name of the ifb by which a limited pod's packets go: as the host's end, under another prefix."""
    return lease.link.replace("veth-", "ifb-", 1)


def shaping(lease: Lease) -> Iterator[Step]:
    """Yield what holds the holder of `lease` to its rates, all of it on the node."""
    bandwidth = lease.terms.bandwidth
    if bandwidth.ingress:
        yield Step(_tbf(lease.link, bandwidth.ingress), _reason("receives", bandwidth.ingress))
    if bandwidth.egress:
        name = egress_link(lease)
        yield Step(
            Link(
                at="node",
                name=name,
                kind="ifb",
                queues=1,
                group=GROUP_PODS,
                alias=lease.attachment.alias,
                ipv6_autoconf=False,
            ),
            f"bandwidth: a link that what comes from {lease.link} leaves by, since only leaving can be held back",
        )
        yield Step(_tbf(name, bandwidth.egress), _reason("sends", bandwidth.egress))
        yield Step(Redirect(at="node", dev=lease.link, to=name), "bandwidth: nothing of the pod's goes past the limit")


def _tbf(dev: str, limit: Rate) -> Tbf:
    waiting = min(int(limit.rate * LATENCY) + limit.burst, _U32)
    return Tbf(at="node", dev=dev, rate=limit.rate, burst=limit.burst, limit=waiting)


def _reason(verb: str, limit: Rate) -> str:
    return f"bandwidth: the pod {verb} at most {limit.rate * 8} bits per second, {limit.burst} bytes at once"
