"""The service over a kernel and a store in memory: frames in, answers out, whatever happens in between."""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from podnet.cni import Frame
from podnet.daemon.service import Answer, Call, Service
from podnet.errors import StateError
from podnet.model import Network
from podnet.plan import Link
from podnet.testing import FakeNode
from podnet.testing.values import a_network

if TYPE_CHECKING:
    from tests.daemon.conftest import Runtime

NETWORK = a_network("ptp", (4, 6))


def told(answer: Answer) -> Any:
    """Return the JSON of an answer."""
    return json.loads(answer.stdout)


def test_an_add_is_answered_with_its_result(runtime: "Runtime") -> None:
    """Exit status 0 and the result in the version asked for."""
    (answer,) = runtime.answer(runtime.call("ADD"))
    assert answer.status == 0
    result = told(answer)
    assert result["cniVersion"] == "1.0.0"
    assert [ip["address"] for ip in result["ips"]] == ["10.244.1.2/32", "fd00:10:244:1::2/128"]
    assert result["interfaces"][1]["sandbox"] == "/run/netns/red"
    assert runtime.node.state() == runtime.node.desired()


def test_mixed_verbs_are_answered_in_their_order(runtime: "Runtime") -> None:
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
    assert told(answers[6])["code"] == 7
    assert told(answers[7])["code"] == 111
    assert runtime.containers() == ["old", "red", "blue"]


def test_deletes_go_before_adds_and_each_is_one_commit(runtime: "Runtime") -> None:
    """Of different pods that wait together."""
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


def test_calls_of_one_attachment_are_answered_in_their_order(runtime: "Runtime") -> None:
    """DEL and ADD that wait together leave the pod attached, ADD and DEL leave it gone, whatever comes between."""
    runtime.answer(runtime.call("ADD", "red"), runtime.call("ADD", "blue"))
    before = {lease.attachment.container: lease.link for lease in runtime.node.store.live()}
    answers = runtime.answer(
        runtime.call("DEL", "red"),
        runtime.call("ADD", "red"),
        runtime.call("VERSION"),
        runtime.call("ADD", "green"),
        runtime.call("DEL", "green"),
        runtime.call("DEL", "blue"),
        runtime.call("ADD", "blue"),
        runtime.call("DEL", "blue"),
    )
    assert [answer.status for answer in answers] == [0] * 8
    assert runtime.containers() == ["red"]
    (lease,) = runtime.node.store.live()
    assert lease.link != before["red"]
    runtime.node.engine.reap()
    assert runtime.node.state() == runtime.node.desired()


def test_gc_and_status_are_answered(runtime: "Runtime") -> None:
    """GC frees what is not in its list; STATUS is silent on a node that can serve, and tells why it cannot."""
    runtime.answer(runtime.call("ADD", "red"), runtime.call("ADD", "blue"))
    valid = [{"containerID": "blue", "ifname": "eth0"}]
    answers = runtime.answer(
        runtime.call("GC", **{"cni.dev/valid-attachments": valid}), runtime.call("STATUS"), runtime.call("GC")
    )
    assert [(answer.status, answer.stdout) for answer in answers[:2]] == [(0, b""), (0, b"")]
    assert told(answers[2])["code"] == 7
    assert runtime.containers() == ["blue"]
    bare = Service(runtime.node.engine, lambda: Network(name="default"))
    (answer,) = bare.answer([runtime.call("STATUS")])
    assert (answer.status, told(answer)["code"]) == (1, 50)


def test_loopback_is_answered_by_podnet_too(runtime: "Runtime") -> None:
    """ADD sets `lo` up and tells so, or hands on what others made; CHECK looks; DEL leaves the pod's `lo` alone."""
    keys = {"type": "loopback", "name": "cni-loopback"}
    add, check = runtime.call("ADD", **keys), runtime.call("CHECK", prevResult={"cniVersion": "1.0.0"}, **keys)
    first, looked, deleted = runtime.answer(add, check, runtime.call("DEL", **keys))
    assert [answer.status for answer in (first, looked, deleted)] == [0, 0, 0]
    assert told(first)["interfaces"] == [{"name": "lo", "mac": "00:00:00:00:00:00", "sandbox": "/run/netns/red"}]
    assert [ip["address"] for ip in told(first)["ips"]] == ["127.0.0.1/8", "::1/128"]
    assert runtime.node.store.rows == []
    previous = {"cniVersion": "1.0.0", "interfaces": [{"name": "eth0"}]}
    (second,) = runtime.answer(runtime.call("ADD", prevResult=previous, **keys))
    assert told(second)["interfaces"] == [{"name": "eth0"}]
    space = runtime.node.kernel.inside(runtime.node.namespaces["red"])
    lo = space.link("lo")
    assert lo is not None
    space.set_down(lo)
    (looked,) = runtime.answer(check)
    assert told(looked)["code"] == 112


def test_a_result_repeats_what_the_plugins_before_made(runtime: "Runtime") -> None:
    """With podnet's own behind it; CHECK takes that whole as its prevResult."""
    previous = {"cniVersion": "1.0.0", "interfaces": [{"name": "dummy0"}], "ips": [{"address": "192.0.2.9/24"}]}
    (answer,) = runtime.answer(runtime.call("ADD", prevResult=previous))
    assert [interface["name"] for interface in told(answer)["interfaces"]][::2] == ["dummy0", "eth0"]
    assert [ip["address"] for ip in told(answer)["ips"]][:2] == ["192.0.2.9/24", "10.244.1.2/32"]
    assert told(answer)["ips"][1]["interface"] == 2
    (checked,) = runtime.answer(runtime.call("CHECK", prevResult=told(answer)))
    assert checked.status == 0


def test_podnet_gives_addresses_to_another_plugin(runtime: "Runtime") -> None:
    """Its ADD has addresses alone; DEL frees them."""
    keys = {"type": "macvlan", "master": "eth0", "ipam": {"type": "podnet"}}
    (answer,) = runtime.answer(runtime.call("ADD", **keys))
    assert "interfaces" not in told(answer)
    assert [ip["address"] for ip in told(answer)["ips"]] == ["10.244.1.2/24", "fd00:10:244:1::2/64"]
    (checked,) = runtime.answer(runtime.call("CHECK", prevResult=told(answer), **keys))
    assert checked.status == 0
    runtime.answer(runtime.call("DEL", **keys))
    assert runtime.containers() == []


def test_a_check_that_finds_a_difference_is_answered_with_it(runtime: "Runtime") -> None:
    """Code 112, and what was expected and found."""
    (added,) = runtime.answer(runtime.call("ADD"))
    link = next(link for link in runtime.node.kernel.node.links() if link.alias == "podnet:red:eth0")
    runtime.node.kernel.node.set_down(link)
    (answer,) = runtime.answer(runtime.call("CHECK", prevResult=told(added)))
    assert answer.status == 1
    assert told(answer)["code"] == 112
    assert "up expected True, found False" in told(answer)["msg"]


def test_a_refused_add_does_not_fail_those_beside_it(runtime: "Runtime") -> None:
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


UNFORESEEN: dict[str, Callable[["Runtime"], Call]] = {
    "ADD": lambda runtime: runtime.call("ADD"),
    "DEL": lambda runtime: runtime.call("DEL"),
    "CHECK": lambda runtime: runtime.call("CHECK", prevResult={"cniVersion": "1.0.0", "ips": []}),
}


@pytest.mark.parametrize("verb", UNFORESEEN)
def test_what_nobody_foresaw_is_answered_with_code_999_and_its_traceback(runtime: "Runtime", verb: str) -> None:
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


def test_a_store_that_fails_is_told_to_every_call_of_the_batch(runtime: "Runtime") -> None:
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


def test_an_add_without_a_descriptor_is_refused(runtime: "Runtime") -> None:
    """The shim opens CNI_NETNS; a shim of another release may not have sent it."""
    call = runtime.call("ADD")
    (answer,) = runtime.answer(call._replace(netns=None))
    assert answer.status == 1
    assert told(answer)["code"] == 4
    assert "without a descriptor" in told(answer)["msg"]


def test_what_is_no_network_namespace_is_refused(runtime: "Runtime") -> None:
    """CNI_NETNS may lead anywhere; a file is nothing to put a link into."""
    with Path(__file__).open(encoding="utf-8") as file:
        (answer,) = runtime.answer(runtime.call("ADD")._replace(netns=file.fileno()))
    assert told(answer)["code"] == 4
    assert "/run/netns/red is not a network namespace" in told(answer)["msg"]
    assert runtime.containers() == []


def test_an_add_whose_answer_nobody_heard_is_taken_back(runtime: "Runtime") -> None:
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
