"""An IPv6 address is a pod's own when ADD is answered, and not some time after."""

import os
from contextlib import ExitStack
from ipaddress import ip_address
from uuid import uuid4

import pytest

from podnet import datapath
from podnet.kernel.namespace import OWN, entered
from podnet.kernel.settling import Settling
from podnet.kernel.socket import NetlinkSocket
from podnet.netlink.message import NETLINK_ROUTE
from podnet.netlink.rtnl import AF_INET6, Route
from podnet.netlink.rtnl.route import RTN_LOCAL
from podnet.testing.namespaces import NodeNamespace
from podnet.testing.values import FACTS, a_lease, a_network

pytestmark = pytest.mark.live

PODS = 40
LOCAL_TABLE = 255


def local_addresses(descriptor: int) -> set[object]:
    """Return the IPv6 addresses that are local in a namespace now, by its routes; asked without another process."""
    home = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with entered(descriptor, home):
            route = NetlinkSocket(NETLINK_ROUTE)
        try:
            listed = route.dump(Route.matching(AF_INET6, table=LOCAL_TABLE).dump())
        finally:
            route.close()
    finally:
        os.close(home)
    routes = (Route.decode(envelope.payload) for envelope in listed)
    return {route.dst for route in routes if route.type == RTN_LOCAL}


@pytest.mark.parametrize("together", [1, 8])
def test_addresses_are_local_when_the_plan_is_applied(together: int) -> None:
    """Of every pod, alone and with others, link-local ones too: the next packet to it is heard."""
    network = a_network("ptp", (4, 6))
    with ExitStack() as stack:
        node = NodeNamespace(f"settle-{uuid4().hex[:6]}", stack)
        with node.inside():
            node.kernel.apply(datapath.node_plan([network], FACTS))
        for first in range(0, PODS, together):
            numbers = range(first, first + together)
            leases = [a_lease(network, f"pod{number}", number + 2) for number in numbers]
            pods = [node.pod(f"{node.name}-{number}") for number in numbers]
            plans = [datapath.attach(network, FACTS, lease) for lease in leases]
            with node.inside():
                refused = node.kernel.apply_together(list(zip(plans, pods, strict=True)))
            found = [local_addresses(pod.descriptor) for pod in pods]
            assert refused == [None] * together
            for lease, local in zip(leases, found, strict=True):
                own = next(a.address for a in lease.addresses if a.address.version == 6)
                assert own in local
                assert sum(str(address).startswith("fe80::") for address in local if address) >= 1


def test_what_never_becomes_local_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ADD goes on after a while: its address is there, if not heard yet."""
    monkeypatch.setattr("podnet.kernel.settling.PATIENCE", 0.01)
    settling = Settling([ip_address("2001:db8::1")])  # type: ignore[list-item] # an IPv6 one
    try:
        settling.wait()
    finally:
        settling.close()
