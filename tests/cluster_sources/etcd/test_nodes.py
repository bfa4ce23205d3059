"""EtcdNodes beside a real etcd: who claims what, what others see of it, and what trouble does to it."""

from collections.abc import Callable

from podnet.cluster.etcd import EtcdNodes
from tests.cluster_sources.etcd.conftest import DUAL
from tests.cluster_sources.etcd.following import names, prefixes, wait_until
from tests.cluster_sources.etcd.server import PATIENCE, Etcd

Join = Callable[..., EtcdNodes]


def test_a_node_that_joins_has_a_prefix_of_each_family(etcd: Etcd, join: Join) -> None:
    """It is claimed under its own key, told with the address and the key of WireGuard, and others see it."""
    one = join("n1", etcd, cluster=DUAL)
    assert one.wait(PATIENCE)
    one.changed()
    own = prefixes(one)
    assert [p.partition("/")[2] for p in own] == ["24", "64"]
    assert etcd.holders() == dict.fromkeys(own, "n1")
    two = join("n2", etcd, cluster=DUAL)
    wait_until(one, lambda: len(prefixes(one, "n2")) == 2)
    wait_until(two, lambda: prefixes(two) == prefixes(one, "n2") and prefixes(two, "n1") == own)
    assert [str(a) for n in one.nodes for a in n.addresses] == ["10.99.0.1", "10.99.0.2"]
    assert names(two) == ["n1", "n2"]
    assert one.error is None
    assert one.remarks == two.remarks == ()
