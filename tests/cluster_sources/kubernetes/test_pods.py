"""KubernetesPods beside an API server: which pods of a node are known, by which uid, and what trouble does to that."""

import random
from collections.abc import Callable, Iterator

import pytest

from podnet.cluster.kubernetes import Backoff, KubernetesPods, read_kubeconfig
from podnet.model import KubernetesPod
from tests.cluster_sources.kubernetes.api import PATIENCE, Api
from tests.cluster_sources.kubernetes.following import wait_until

Follow = Callable[..., KubernetesPods]
STATIC = "5f2b0c1d6e7f8091a2b3c4d5e6f70819"


@pytest.fixture
def follow(api: Api, write_kubeconfig: Callable[..., str]) -> Iterator[Follow]:
    """Give a function that follows the Pods of a node, n1 if no other is named."""
    made: list[KubernetesPods] = []

    def begin(node: str = "n1") -> KubernetesPods:
        access = read_kubeconfig(write_kubeconfig({"server": f"http://127.0.0.1:{api.address[1]}"}))
        made.append(KubernetesPods(access, node, down=Backoff(random.random)))
        return made[-1]

    yield begin
    for pods in made:
        pods.close()


def a_pod(name: str, uid: str = "") -> KubernetesPod:
    """Return a pod as a runtime names it."""
    return KubernetesPod("default", name, uid)


def test_the_pods_of_one_node_are_asked_for_and_no_others(api: Api, follow: Follow) -> None:
    """By a field selector that list and watch have; those of other nodes are not even sent."""
    mine = api.put_pod("web", ip="10.244.1.9", **{"other/x": "y"})
    theirs = api.put_pod("web2", "n2")
    pods = follow()
    wait_until(pods, lambda: len(pods) == 1)
    assert pods.current
    assert pods.find(a_pod("web", mine)) == (("podnet.dev/ip", "10.244.1.9"),)
    assert pods.find(a_pod("web2", theirs)) is None
    api.wait_for(lambda _: api.watches())
    assert {asked.query["fieldSelector"] for asked in api.asked} == {"spec.nodeName=n1"}
    later = api.put_pod("late")
    wait_until(pods, lambda: pods.find(a_pod("late", later)) == ())
    api.delete_pod("web")
    wait_until(pods, lambda: pods.find(a_pod("web", mine)) is None)
    everyone = follow("")
    wait_until(everyone, lambda: len(everyone) == 2)


def test_a_pod_is_known_by_its_uid(api: Api, follow: Follow) -> None:
    """One of the same name with another uid is not it; the name alone counts only where no uid is told."""
    old = api.put_pod("web-0", pool="old")
    pods = follow()
    wait_until(pods, lambda: len(pods) == 1)
    api.delete_pod("web-0")
    new = api.put_pod("web-0", pool="new")
    wait_until(pods, lambda: pods.find(a_pod("web-0", new)) is not None)
    assert pods.find(a_pod("web-0", old)) is None
    assert pods.find(a_pod("web-0")) == (("podnet.dev/pool", "new"),)
    assert len(pods) == 1


def test_a_pod_of_a_file_is_known_by_its_mirror(api: Api, follow: Follow) -> None:
    """The kubelet calls it by the hash of its file; its mirror has a uid of the API server's, and that hash."""
    annotations = {"kubernetes.io/config.mirror": STATIC, "kubernetes.io/config.hash": STATIC}
    api.put_pod("etcd-n1", ip="10.244.1.9", **annotations)
    pods = follow()
    wait_until(pods, lambda: len(pods) == 1)
    assert pods.find(a_pod("etcd-n1", STATIC)) == (("podnet.dev/ip", "10.244.1.9"),)
    api.delete_pod("etcd-n1")
    wait_until(pods, lambda: pods.find(a_pod("etcd-n1", STATIC)) is None)


def test_a_version_that_is_gone_leaves_no_pod_behind(api: Api, follow: Follow) -> None:
    """What went and came while the server forgot is seen when the list is taken anew."""
    first, second = api.put_pod("first"), api.put_pod("second")
    pods = follow()
    wait_until(pods, lambda: len(pods) == 2)
    api.wait_for(lambda _: api.watches())
    api.mute = True
    api.delete_pod("first")
    third = api.put_pod("third")
    api.compact()
    api.mute = False
    api.end_watches()
    wait_until(pods, lambda: pods.find(a_pod("third", third)) is not None)
    assert pods.find(a_pod("first", first)) is None
    assert pods.find(a_pod("second", second)) == ()
    assert pods.error is None


def test_a_server_that_is_away_takes_no_pod_along(api: Api, follow: Follow) -> None:
    """What is known stays known, and that it may be old is told, with since when; then it is current again."""
    uid = api.put_pod("web")
    pods = follow()
    wait_until(pods, lambda: len(pods) == 1)
    api.wait_for(lambda _: api.watches())
    api.down()
    wait_until(pods, lambda: pods.error is not None and "refused" in pods.error.msg)
    assert pods.error is not None
    assert "the pods are not current since 20" in pods.error.msg
    assert not pods.current
    assert pods.find(a_pod("web", uid)) == ()
    api.up()
    wait_until(pods, lambda: pods.current)


def test_who_may_not_see_pods_is_told_what_to_allow(api: Api, follow: Follow) -> None:
    """The remedy is a ClusterRole, and nothing is taken for known meanwhile."""
    api.forbidden = {"/api/v1/pods"}
    pods = follow()
    assert not pods.wait(PATIENCE)
    pods.changed()
    assert pods.error is not None
    assert "403" in pods.error.msg
    assert "list and watch on nodes and pods" in pods.error.msg
    assert not pods.current
    api.forbidden = set()
    wait_until(pods, lambda: pods.current)
