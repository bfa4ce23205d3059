"""A daemon that follows an API server: pods get what they ask for by annotations, and ADD waits only where it must."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from podnet.testing.node import Node
from podnet.testing.waiting import eventually
from tests.cluster_sources.kubernetes.api import Api
from tests.live.test_kubernetes import api as api  # noqa: PLC0414 - a fixture of theirs
from tests.live.test_kubernetes import mesh_routes, put, wait_for_routes

if TYPE_CHECKING:
    import subprocess

pytestmark = pytest.mark.live

UID = "7d3e0b1c-94a2-4c9f-8f43-1f0b7e3a9a11"


def args_of(name: str, uid: str) -> str:
    """Return CNI_ARGS as containerd sends them."""
    return (
        f"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={name};K8S_POD_INFRA_CONTAINER_ID=x;K8S_POD_UID={uid}"
    )


def begin(node: Node, name: str, uid: str) -> "subprocess.Popen[bytes]":
    """Make a pod's namespace and begin its ADD."""
    return node.begin("ADD", node.pod(name), CNI_ARGS=args_of(name, uid))


def add(node: Node, name: str, uid: str, **more: Any) -> Any:
    """Make a pod's namespace and ADD it."""
    return node.cni("ADD", node.pod(name), CNI_ARGS=args_of(name, uid), **more)


def configure(node: Node, text: str) -> None:
    """Write more of podnet.yaml; the nodes' list goes, since Kubernetes tells the nodes."""
    node.configure(more=text)
    (node.root / "etc/podnet/nodes.yaml").unlink()


def test_an_add_ends_its_wait_when_the_watch_brings_its_pod(bare: Node, api: Api) -> None:
    """Meanwhile others are served; it gets the address that the pod asks for, long before its time is over."""
    configure(bare, "pods: {wait: 60}")
    put(api, 1)
    bare.start()
    waiting = begin(bare, "late", UID)
    assert bare.attach("podman").startswith("10.244.1.")
    uid = api.put_pod("early")
    assert add(bare, "early", uid).addresses
    assert waiting.poll() is None
    api.put_pod("late", uid="an-older-one")
    assert add(bare, "early2", api.put_pod("early2")).addresses
    assert waiting.poll() is None, "a pod of the same name with another uid is not it"
    api.put_pod("late", uid=UID, ip="10.244.1.99")
    began = time.monotonic()
    stdout, _ = waiting.communicate(timeout=20)
    assert b'"10.244.1.99/32"' in stdout
    assert time.monotonic() - began < 20
    assert bare.exchange("", "late", "10.244.1.99")


def test_an_add_whose_pod_does_not_come_is_answered_11(bare: Node, api: Api) -> None:
    """In its time, with nothing left; a DEL that came meanwhile has its turn then."""
    configure(bare, "pods: {wait: 0.3}")
    put(api, 1)
    bare.start()
    before = bare.state()
    waiting = begin(bare, "red", UID)
    assert bare.cni("DEL", "red").status == 0
    stdout, _ = waiting.communicate(timeout=20)
    assert b'"code":11' in stdout.replace(b" ", b"")
    assert b"within 0.3 s" in stdout
    eventually(lambda: bare.state() == before, "the node as it was")
    assert bare.leases() == []


def test_with_the_server_away_known_pods_and_pods_of_files_start(bare: Node, api: Api) -> None:
    """Also after a restart of the daemon: who was here has what it asked for then; the one-shot does the same."""
    configure(bare, "pods: {wait: 0.3}")
    put(api, 1)
    uid = api.put_pod("web", ip="10.244.1.77")
    daemon = bare.start()
    assert add(bare, "web", uid).addresses == ["10.244.1.77"]
    api.down()
    daemon.wait_log("pods that are not known wait")
    assert bare.cni("DEL", "web").status == 0
    assert add(bare, "web2", uid).addresses == ["10.244.1.77"]
    bare.cni("DEL", "web2")
    bare.stop()
    assert add(bare, "web3", uid).addresses == ["10.244.1.77"]
    bare.cni("DEL", "web3")
    bare.start()
    assert add(bare, "web4", uid).addresses == ["10.244.1.77"]
    assert add(bare, "etcd-n1", "5f2b0c1d6e7f8091a2b3c4d5e6f70819").addresses
    outcome = add(bare, "new", UID)
    assert outcome.status == 1
    assert b"not current since" in outcome.stdout


def test_a_pool_is_made_known_and_other_nodes_route_it(bare: Node, api: Api) -> None:
    """This node's goes to an annotation of its Node and gives addresses then; another's becomes a route here."""
    configure(bare, "pools: {egress: {n1: [10.250.1.0/28], n2: [10.250.2.0/28]}, fixed: [10.244.1.192/26]}")
    text = (bare.root / "etc/podnet/podnet.yaml").read_text()
    (bare.root / "etc/podnet/podnet.yaml").write_text(text.replace("10.244.0.0/16", "10.240.0.0/12"))
    put(api, 1, 2)
    bare.start()
    eventually(
        lambda: api.node("n1")["metadata"].get("annotations") == {"podnet.dev/pod-cidrs": "10.250.1.0/28"},
        "the annotation",
    )
    outcome = {}
    for name, pool in (("one", "egress"), ("two", "fixed"), ("three", "egress")):
        outcome[name] = add(bare, name, api.put_pod(name, pool=pool)).addresses
    assert outcome == {"one": ["10.250.1.2"], "two": ["10.244.1.192"], "three": ["10.250.1.3"]}
    assert bare.exchange("one", "two", "10.244.1.192") == "10.250.1.2"
    assert mesh_routes(bare) == {"10.244.2.0/24": "10.99.0.12"}
    api.put("n2", ("10.244.2.0/24",), "10.99.0.12", annotations={"podnet.dev/pod-cidrs": "10.250.2.0/28"})
    wait_for_routes(bare, {"10.244.2.0/24": "10.99.0.12", "10.250.2.0/28": "10.99.0.12"})
    api.put("n1", ("10.244.1.0/24",), "10.99.0.11", annotations={})
    eventually(lambda: "podnet.dev/pod-cidrs" in api.node("n1")["metadata"]["annotations"], "the annotation, again")


def test_a_pool_that_is_no_more_is_taken_back(bare: Node, api: Api) -> None:
    """The annotation goes with the pool; annotations of others stay."""
    configure(bare, "")
    api.put(
        "n1", ("10.244.1.0/24",), "10.99.0.11", annotations={"podnet.dev/pod-cidrs": "10.250.1.0/28", "a.dev/b": "c"}
    )
    bare.start()
    eventually(lambda: api.node("n1")["metadata"]["annotations"] == {"a.dev/b": "c"}, "the annotation's end")


def test_pods_need_not_be_asked_for(bare: Node, api: Api) -> None:
    """With `pods: {annotations: false}` there is no watch of Pods, and nobody waits."""
    configure(bare, "pods: {annotations: false, wait: 60}")
    put(api, 1)
    bare.start()
    assert add(bare, "web", UID).addresses
    assert {asked.path for asked in api.asked} <= {"/api/v1/nodes", "/api/v1/nodes/n1/status"}
    assert Path(bare.root / "var/lib/podnet/nodes.json").exists()
