"""What pods wish for, from the API server, from the past, or from nobody: what becomes of their ADD."""

import json
from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest

from podnet.cni import Frame
from podnet.daemon.service import Answer, Call
from podnet.daemon.wishing import Annotations, Wishing, pod_of
from podnet.errors import IOFailure, PodnetError
from podnet.model import KubernetesPod, NamedPool
from tests.daemon.conftest import NETWORK

if TYPE_CHECKING:
    from tests.daemon.conftest import Runtime

STATIC = "5f2b0c1d6e7f8091a2b3c4d5e6f70819"
UID = "7d3e0b1c-94a2-4c9f-8f43-1f0b7e3a9a11"
AWAY = IOFailure("GET https://a:1/api/v1/pods: refused (the pods are not current since 2026-11-25)")


class Known:
    """The pods of a node in a dictionary by uid; it is the past as well."""

    def __init__(self) -> None:
        """Begin with none, and the server there."""
        self.error: PodnetError | None = None
        self.pods: dict[str, Annotations] = {}

    def find(self, pod: KubernetesPod) -> Annotations | None:
        """Return what is known."""
        return self.pods.get(pod.uid)


Ask = Callable[..., Answer]


@pytest.fixture
def known(runtime: "Runtime") -> Known:
    """Give what is known of pods to a runtime's service."""
    pods = Known()
    runtime.service.wishing = Wishing(pods, runtime.node.store, 5.0)
    return pods


@pytest.fixture
def add(runtime: "Runtime") -> Ask:
    """Give a function that ADDs a pod of a name and a uid."""

    def ask(name: str, uid: str = UID, **keys: Any) -> Answer:
        call = runtime.call("ADD", name, **keys)
        args = f"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={name};K8S_POD_UID={uid}"
        frame = Frame({**call.frame.environment, "CNI_ARGS": args}, call.frame.stdin, 0)
        (answer,) = runtime.answer(Call(frame, call.netns))
        return answer

    return ask


def told(answer: Answer) -> Any:
    """Return the JSON of an answer."""
    return json.loads(answer.stdout)


def addresses(answer: Answer) -> list[str]:
    """Return the addresses of a result, without their prefix lengths."""
    assert answer.status == 0, answer.stdout
    return [ip["address"].partition("/")[0] for ip in told(answer)["ips"]]


def test_a_pod_gets_the_address_it_asks_for(known: Known, add: Ask) -> None:
    """Of one family, the other one as always; without annotations as if nobody had looked."""
    known.pods = {UID: (("podnet.dev/ip", "10.244.1.99"),), "plain": ()}
    assert addresses(add("web")) == ["10.244.1.99", "fd00:10:244:1::2"]
    assert addresses(add("other", "plain"))[0] == "10.244.1.2"


def test_an_address_that_is_taken_names_its_holder(known: Known, add: Ask) -> None:
    """The second of a Deployment's pods with one address: who asks, by what, who has it, and the remedy."""
    known.pods = {"a": (("podnet.dev/ip", "10.244.1.99"),), "b": (("podnet.dev/ip", "10.244.1.99"),)}
    addresses(add("web-1", "a"))
    answer = told(add("web-2", "b"))
    assert answer["code"] == 110
    assert answer["msg"] == (
        "pod default/web-2: annotation podnet.dev/ip: requested address 10.244.1.99 is held by pod default/web-1, "
        "container web-1 (eth0); request another address, or delete that container first"
    )


def test_an_address_of_no_range_is_refused(known: Known, add: Ask) -> None:
    """Code 110 with pod and annotation; a slip in it is code 7."""
    known.pods = {"a": (("podnet.dev/ip", "10.9.9.9"),), "b": (("podnet.dev/ip", "ten"),)}
    out, slip = told(add("web", "a")), told(add("web", "b"))
    assert (out["code"], slip["code"]) == (110, 7)
    assert out["msg"].startswith("pod default/web: annotation podnet.dev/ip: 10.9.9.9 is not this node's to give")
    assert slip["msg"].startswith("pod default/web: annotation podnet.dev/ip: 'ten' is no IP address")


def test_a_pool_that_is_used_up_says_so(known: Known, add: Ask, runtime: "Runtime") -> None:
    """With the annotation that asked for it; others go on."""
    (own,) = NETWORK.ranges[0]
    last = type(own)(own.subnet, ip_address("10.244.1.250"), ip_address("10.244.1.250"), own.gateway)
    assert runtime.service.wishing is not None
    runtime.service.wishing.pools = {"tiny": NamedPool("tiny", (last,))}
    known.pods = {"a": (("podnet.dev/pool", "tiny"),), "b": (("podnet.dev/pool", "tiny"),), "c": ()}
    assert addresses(add("one", "a"))[0] == "10.244.1.250"
    answer = told(add("two", "b"))
    assert answer["code"] == 110
    assert answer["msg"].startswith("pod default/two: annotation podnet.dev/pool: no free address in 10.244.1.0/24")
    assert addresses(add("three", "c"))


def test_a_pod_that_is_not_known_is_to_be_asked_about_again(known: Known, add: Ask, runtime: "Runtime") -> None:
    """Code 11, with the uid; nothing was attached, and another uid of that name is not it."""
    known.pods = {"another": ()}
    answer = told(add("web"))
    assert answer["code"] == 11
    assert f"pod default/web with uid {UID} on this node within 5 s" in answer["msg"]
    assert runtime.containers() == []


def test_with_the_server_away_those_start_that_can_be_known(known: Known, add: Ask, runtime: "Runtime") -> None:
    """Who is known; who was here before, with the wishes of then; a pod of a file; any other is answered 11."""
    known.pods = {UID: (("podnet.dev/ip", "10.244.1.99"),), "known": ()}
    addresses(add("web"))
    runtime.answer(runtime.call("DEL", "web"))
    runtime.node.engine.reap()
    del known.pods[UID]
    known.error = AWAY
    assert addresses(add("again"))[0] == "10.244.1.99"
    assert addresses(add("kept", "known"))
    assert addresses(add("etcd-n1", STATIC))
    answer = told(add("new", UID.replace("7", "8")))
    assert answer["code"] == 11
    assert "not current since" in answer["msg"]


def test_a_pod_of_a_file_waits_for_its_mirror_while_the_server_is_there(known: Known, add: Ask) -> None:
    """Its annotations are in the mirror; until there is one it is answered 11."""
    assert told(add("etcd-n1", STATIC))["code"] == 11
    known.pods = {STATIC: (("podnet.dev/ip", "10.244.1.98"),)}
    assert addresses(add("etcd-n1", STATIC))[0] == "10.244.1.98"


def test_without_a_daemon_the_past_has_to_do(add: Ask, known: Known, runtime: "Runtime") -> None:
    """The one-shot asks no server: who was here before starts, and a pod of a file."""
    known.pods = {UID: ()}
    addresses(add("web"))
    runtime.service.wishing = Wishing(None, runtime.node.store, 5.0)
    assert addresses(add("web-again"))
    assert addresses(add("etcd-n1", STATIC))
    answer = told(add("new", "never"))
    assert (answer["code"], "no daemon runs" in answer["msg"]) == (11, True)


def test_who_is_no_pod_of_kubernetes_is_served_as_ever(known: Known, runtime: "Runtime") -> None:
    """Without K8S_POD_* in CNI_ARGS there is nothing to look up."""
    assert known.pods == {}
    (answer,) = runtime.answer(runtime.call("ADD"))
    assert addresses(answer)


def test_the_pod_in_cni_args() -> None:
    """Namespace, name and uid; without a name there is none."""
    assert pod_of("IgnoreUnknown=1;K8S_POD_NAMESPACE=a;K8S_POD_NAME=b;K8S_POD_UID=c") == KubernetesPod("a", "b", "c")
    assert pod_of("K8S_POD_NAME=b") == KubernetesPod("", "b")
    assert pod_of("") is None is pod_of("K8S_POD_UID=c")
    assert pod_of("IP=10.0.0.1;K8S_POD_INFRA_CONTAINER_ID=x") is None
