"""The service over a kernel and a store in memory: frames in, answers out, whatever happens in between."""

import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from podnet.cni import Frame
from podnet.daemon.service import Answer, Call, Service
from podnet.engine.ports import Namespace
from podnet.errors import StateError
from podnet.kernel.namespace import identity
from podnet.plan import Link
from podnet.testing import FakeNode
from podnet.testing.values import a_network

NETWORK = a_network("ptp", (4, 6))


class Runtime:
    """Calls as a runtime and the shim make them; a pod's namespace is a descriptor of its own that nobody enters."""

    def __init__(self) -> None:
        """Begin with a node that serves one network."""
        self.node = FakeNode(NETWORK)
        self.service = Service(self.node.engine, lambda: NETWORK)
        self.descriptors: dict[str, int] = {}

    def netns(self, container: str) -> int:
        """Return the open namespace of a container: to the kernel in memory each descriptor is another."""
        if container not in self.descriptors:
            number = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            self.descriptors[container] = number
            made = self.node.namespace(container)
            self.node.kernel.know(number, made)
            self.node.namespaces[container] = Namespace(number, identity(number), made.path)
        return self.descriptors[container]

    def call(self, command: str, container: str = "red", **keys: Any) -> Call:
        """Return a call; `keys` go into the configuration."""
        stdin = json.dumps({"cniVersion": "1.0.0", "name": "podnet", "type": "podnet", **keys}).encode()
        environment = {"CNI_COMMAND": command, "CNI_CONTAINERID": container, "CNI_IFNAME": "eth0"}
        netns = None
        if command in {"ADD", "CHECK"}:
            environment["CNI_NETNS"] = f"/run/netns/{container}"
            netns = self.netns(container)
        return Call(Frame(environment, stdin, 0), netns)

    def answer(self, *calls: Call) -> list[Answer]:
        """Answer calls that wait together."""
        return self.service.answer(calls)

    def containers(self) -> list[str]:
        """Return who has a live lease, oldest first."""
        return [lease.attachment.container for lease in self.node.store.live()]


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    """Return a runtime, and close what it opened."""
    one = Runtime()
    yield one
    for descriptor in one.descriptors.values():
        os.close(descriptor)


def told(answer: Answer) -> Any:
    """Return the JSON of an answer."""
    return json.loads(answer.stdout)


def test_an_add_is_answered_with_its_result(runtime: Runtime) -> None:
    """Exit status 0 and the result in the version asked for."""
    (answer,) = runtime.answer(runtime.call("ADD"))
    assert answer.status == 0
    result = told(answer)
    assert result["cniVersion"] == "1.0.0"
    assert [ip["address"] for ip in result["ips"]] == ["10.244.1.2/32", "fd00:10:244:1::2/128"]
    assert result["interfaces"][1]["sandbox"] == "/run/netns/red"
    assert runtime.node.state() == runtime.node.desired()


def test_mixed_verbs_are_answered_in_their_order(runtime: Runtime) -> None:
    """Each call has its own answer in its place, whatever the others come to."""
    (added,) = runtime.answer(runtime.call("ADD", "old"))
    bad = Call(Frame({"CNI_COMMAND": "ADD"}, b"{}", 0))
    answers = runtime.answer(
        runtime.call("ADD", "red"),
        bad,
        runtime.call("VERSION"),
        runtime.call("CHECK", "old", prevResult=told(added)),
        runtime.call("ADD", "blue"),
        runtime.call("DEL", "never"),
        Call(Frame({"CNI_COMMAND": "GC"}, b"{}", 0)),
        runtime.call("ADD", "old"),
    )
    assert [answer.status for answer in answers] == [0, 1, 0, 0, 0, 0, 1, 1]
    assert told(answers[0])["interfaces"][1]["sandbox"] == "/run/netns/red"
    assert told(answers[1])["code"] == 4
    assert "1.1.0" in told(answers[2])["supportedVersions"]
    assert answers[3].stdout == b""
    assert told(answers[4])["interfaces"][1]["sandbox"] == "/run/netns/blue"
    assert answers[5].stdout == b""
    assert told(answers[6])["code"] == 7, "a network without a name"
    assert told(answers[7])["code"] == 111
    assert runtime.containers() == ["old", "red", "blue"]


def test_deletes_go_before_adds_and_each_is_one_commit(runtime: Runtime) -> None:
    """A DEL and the ADD of the same pod that wait together leave the pod attached anew."""
    runtime.answer(runtime.call("ADD", "red"), runtime.call("ADD", "green"))
    commits = runtime.node.store.commits
    answers = runtime.answer(
        runtime.call("ADD", "blue"), runtime.call("DEL", "green"), runtime.call("DEL", "gone"), runtime.call("ADD", "x")
    )
    assert [answer.status for answer in answers] == [0, 0, 0, 0]
    assert runtime.node.store.commits == commits + 2
    assert runtime.containers() == ["red", "blue", "x"]
    runtime.node.engine.reap()
    assert runtime.node.state() == runtime.node.desired()


def test_a_check_that_finds_a_difference_is_answered_with_it(runtime: Runtime) -> None:
    """Code 112, and what was expected and found."""
    (added,) = runtime.answer(runtime.call("ADD"))
    link = next(link for link in runtime.node.kernel.node.links() if link.alias == "podnet:red:eth0")
    runtime.node.kernel.node.set_down(link)
    (answer,) = runtime.answer(runtime.call("CHECK", prevResult=told(added)))
    assert answer.status == 1
    assert told(answer)["code"] == 112
    assert "up expected True, found False" in told(answer)["msg"]


def test_a_refused_add_does_not_fail_those_beside_it(runtime: Runtime) -> None:
    """Its answer has the kernel's error, code 100; the others are attached."""
    runtime.node.kernel.fail_at(
        lambda step: isinstance(step.object, Link) and step.object.alias == "podnet:green:eth0", errno.ENOBUFS
    )
    answers = runtime.answer(*(runtime.call("ADD", name) for name in ("red", "green", "blue")))
    assert [answer.status for answer in answers] == [0, 1, 0]
    assert told(answers[1])["code"] == 100
    assert "ENOBUFS" in told(answers[1])["msg"]
    assert [answer.added is None for answer in answers] == [False, True, False]
    assert runtime.containers() == ["red", "blue"]


UNFORESEEN: dict[str, Callable[[Runtime], Call]] = {
    "ADD": lambda runtime: runtime.call("ADD"),
    "DEL": lambda runtime: runtime.call("DEL"),
    "CHECK": lambda runtime: runtime.call("CHECK", prevResult={"cniVersion": "1.0.0", "ips": []}),
}


@pytest.mark.parametrize("verb", UNFORESEEN)
def test_what_nobody_foresaw_is_answered_with_code_999_and_its_traceback(runtime: Runtime, verb: str) -> None:
    """The service goes on: calls of other verbs in the batch, and later ones, are answered as ever."""
    (added,) = runtime.answer(runtime.call("ADD", "other"))
    call = UNFORESEEN[verb](runtime)
    beside = runtime.call("VERSION")
    method = "reserve" if verb == "ADD" else "find"
    runtime.node.store.fail(method, ZeroDivisionError("a bug"))
    first, second = runtime.answer(call, beside)
    assert (first.status, second.status) == (1, 0)
    assert told(first)["code"] == 999
    assert "ZeroDivisionError: a bug" in told(first)["details"]
    assert "Traceback" in told(first)["details"]
    (again,) = runtime.answer(runtime.call("CHECK", "other", prevResult=told(added)))
    assert again.status == 0


def test_a_store_that_fails_is_told_to_every_call_of_the_batch(runtime: Runtime) -> None:
    """Code 101 for each, and no pod is left half attached."""
    before = runtime.node.state()
    runtime.node.store.fail("commit", StateError("the disk is full"))
    answers = runtime.answer(runtime.call("ADD", "red"), runtime.call("ADD", "blue"))
    assert [told(answer)["code"] for answer in answers] == [101, 101]
    assert runtime.containers() == []
    assert runtime.node.state() == before
    runtime.answer(runtime.call("ADD", "red"), runtime.call("ADD", "blue"))
    runtime.node.store.fail("cut", StateError("the disk is full"))
    answers = runtime.answer(runtime.call("DEL", "red"), runtime.call("DEL", "blue"))
    assert [told(answer)["code"] for answer in answers] == [101, 101]


def test_an_add_without_a_descriptor_is_refused(runtime: Runtime) -> None:
    """The shim opens CNI_NETNS; a shim of another release may not have sent it."""
    call = runtime.call("ADD")
    (answer,) = runtime.answer(call._replace(netns=None))
    assert answer.status == 1
    assert told(answer)["code"] == 4
    assert "without a descriptor" in told(answer)["msg"]


def test_what_is_no_network_namespace_is_refused(runtime: Runtime) -> None:
    """CNI_NETNS may lead anywhere; a file is nothing to put a link into."""
    with Path(__file__).open(encoding="utf-8") as file:
        (answer,) = runtime.answer(runtime.call("ADD")._replace(netns=file.fileno()))
    assert told(answer)["code"] == 4
    assert "/run/netns/red is not a network namespace" in told(answer)["msg"]
    assert runtime.containers() == []


def test_an_add_whose_answer_nobody_heard_is_taken_back(runtime: Runtime) -> None:
    """The others of its batch stay; answers of other verbs have nothing to take back."""
    answers = runtime.answer(
        runtime.call("ADD", "red"), runtime.call("ADD", "blue"), runtime.call("DEL", "x"), runtime.call("VERSION")
    )
    runtime.service.take_back([answers[0], *answers[2:]])
    runtime.node.engine.reap()
    assert runtime.containers() == ["blue"]
    assert runtime.node.state() == runtime.node.desired()
    (again,) = runtime.answer(runtime.call("ADD", "red"))
    assert again.status == 0


def test_the_nodes_default_network_is_asked_for_with_every_batch() -> None:
    """It may change while the daemon serves."""
    asked = []

    def default() -> Any:
        asked.append(1)
        return NETWORK

    service = Service(FakeNode(NETWORK).engine, default)
    version = Call(Frame({"CNI_COMMAND": "VERSION"}, b'{"cniVersion": "1.0.0"}', 0))
    assert service.answer([]) == []
    service.answer([version])
    before = len(asked)
    assert before
    service.answer([version])
    assert len(asked) > before
