"""Widths: the MTU of pods that run, when that of the way out of the node has become another.

New pods get the new one in any case.  Those that run get it too, at both ends of their link, instead of learning for
each destination anew, every ten minutes by a lost packet, what the node knows already; and what ADD would make stays
what CHECK compares with.

An end of a veth drops without a word what is wider than its own MTU (is_skb_forwardable, net/core/dev.c): ends that
differ are a hole.  So both are set, one right after the other, or, where the pod's cannot be reached, neither: the pod
goes on with its old MTU, and the node tells it by ICMP what does not fit.  A pod that has made its own end narrower
keeps that.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from podnet.engine.ports import Kernel
from podnet.errors import PodnetError
from podnet.model import Lease
from podnet.plan import Link, Plan, State, Step, satisfies


class Resized(NamedTuple):
    """What was done to both ends of links, and what of the difference is left to do."""

    done: Plan
    left: Plan


def resize(kernel: Kernel, leases: Iterable[Lease], observed: State, difference: Plan) -> Resized:
    """Carry out what `difference` says of the MTUs of host's ends of `leases`, at the pods' ends too."""
    by_link = {lease.link: lease for lease in leases}
    done: list[Step] = []
    left: list[Step] = []
    for step in difference.steps:
        wanted = step.object
        lease = by_link.get(wanted.name) if isinstance(wanted, Link) and step.verb == "set" else None
        found = observed.get(wanted.key) if lease and isinstance(wanted, Link) else None
        if lease is None or not isinstance(wanted, Link) or not isinstance(found, Link) or found.mtu == wanted.mtu:
            left.append(step)
            continue
        done += _set_both(kernel, lease, found, step)
        rest = msgspec.structs.replace(wanted, mtu=0)
        if not satisfies(found, rest):
            left.append(step._replace(object=rest))
    return Resized(Plan(tuple(done)), Plan(tuple(left)))


def _set_both(kernel: Kernel, lease: Lease, found: Link, step: Step) -> tuple[Step, ...]:
    """Give both ends of the link of `lease` the MTU of `step`; return what was done, nothing where neither could be."""
    wanted = step.object
    assert isinstance(wanted, Link)  # noqa: S101 - resize() has looked
    with kernel.namespace_of(lease) as (namespace, _):
        if namespace is None:
            return ()
        pod = Link(at="pod", name=lease.attachment.ifname, mtu=wanted.mtu)
        inside = kernel.observe(Plan((Step(pod, ""),)), namespace).get(pod.key)
        if not isinstance(inside, Link):
            return ()  # it has another name there: whose end it is cannot be told
        host = step._replace(object=Link(at="node", name=found.name, mtu=wanted.mtu, up=found.up))
        end = step._replace(object=msgspec.structs.replace(pod, up=inside.up))
        own_choice = inside.mtu != found.mtu and inside.mtu < wanted.mtu
        steps = (host,) if own_choice else (end, host)
        try:
            kernel.apply(Plan(steps), namespace)
        except PodnetError:
            return ()  # the pod goes just now, or it is told as drift
        return steps
