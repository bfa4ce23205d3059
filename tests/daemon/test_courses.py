"""Calls for which another plugin gives the addresses: what it is asked, when, and what becomes of its answers."""

import errno
import json
import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from podnet.cni import Frame
from podnet.daemon.courses import Courses, Ended, drive
from podnet.daemon.delegate import Executed, Execution, execute, giving_back
from podnet.daemon.service import Answer, Call
from podnet.plan import Link
from podnet.testing.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.daemon.conftest import Runtime

IPAM = {"type": "host-local", "ranges": [[{"subnet": "10.5.0.0/24"}]], "dataDir": "/run/x"}
GIVEN = {"cniVersion": "1.0.0", "ips": [{"address": "10.5.0.9/24", "gateway": "10.5.0.1"}]}
GOOD = Executed(0, json.dumps(GIVEN).encode())
REFUSED = Executed(1, b'{"cniVersion": "1.0.0", "code": 77, "msg": "none left"}')


def told(answer: Answer) -> Any:
    """Return the JSON of an answer."""
    return json.loads(answer.stdout)


def commands(asked: list[Execution]) -> list[tuple[str, str]]:
    """Return which plugin was asked what."""
    return [(execution.plugin, execution.environment["CNI_COMMAND"]) for execution in asked]


ADD, DEL = ("host-local", "ADD"), ("host-local", "DEL")


def test_an_add_is_made_of_the_plugin_s_addresses(runtime: "Runtime") -> None:
    """It is asked with the runtime's own bytes, environment and namespace."""
    call = runtime.call("ADD", ipam=IPAM)
    assert call.delegates
    asked, answer = runtime.course(call, GOOD)
    assert commands(asked) == [ADD]
    assert asked[0] == Execution("host-local", call.frame.environment, call.frame.stdin, call.netns)
    assert answer.status == 0
    assert [(ip["address"], ip["gateway"]) for ip in told(answer)["ips"]] == [("10.5.0.9/32", "169.254.1.1")]
    (lease,) = runtime.node.store.live()
    assert lease.terms.delegation is not None
    assert runtime.node.state() == runtime.node.desired()
    asked, answer = runtime.course(runtime.call("CHECK", ipam=IPAM, prevResult=told(answer)), Executed(0, b""))
    assert (commands(asked), answer) == ([("host-local", "CHECK")], Answer(0, b""))


@pytest.mark.parametrize(
    ("executed", "code", "message"),
    [
        (REFUSED, 77, "ipam plugin host-local: none left"),
        (Executed(139, b""), 999, "ended with status 139 and said 'nothing'"),
        (Executed(0, b"oops"), 999, "ipam plugin host-local: prevResult is not a result"),
        (Executed(0, b'{"cniVersion": "1.0.0"}'), 999, "gave no address"),
    ],
)
def test_a_plugin_that_fails_is_told_to_delete(runtime: "Runtime", executed: Executed, code: int, message: str) -> None:
    """SPEC.md, "Delegated Plugin Execution": DEL, whatever that says, then the failure in the plugin's words."""
    before = runtime.node.state()
    asked, answer = runtime.course(runtime.call("ADD", ipam=IPAM), executed, Executed(1, b"no"))
    assert commands(asked) == [ADD, DEL]
    assert asked[0].stdin == asked[1].stdin
    assert (answer.status, told(answer)["code"], answer.added) == (1, code, None)
    assert message in told(answer)["msg"]
    assert (runtime.containers(), runtime.node.state()) == ([], before)


def test_addresses_go_back_where_the_kernel_refuses(runtime: "Runtime") -> None:
    """The engine's refusal is the answer, and nothing is owed."""
    runtime.node.kernel.fail_at(lambda step: isinstance(step.object, Link), errno.ENOBUFS)
    asked, answer = runtime.course(runtime.call("ADD", ipam=IPAM), GOOD)
    assert commands(asked) == [ADD, DEL]
    assert told(answer)["code"] == 100
    assert (runtime.containers(), runtime.node.engine.owed) == ([], [])


def test_addresses_go_back_where_something_breaks(runtime: "Runtime") -> None:
    """Code 999 with a traceback, and the DEL all the same."""
    runtime.node.store.fail("reserve", ZeroDivisionError("a bug"))
    asked, answer = runtime.course(runtime.call("ADD", ipam=IPAM), GOOD)
    assert commands(asked) == [ADD, DEL]
    assert told(answer)["code"] == 999


def test_what_the_caller_did_wrong_reaches_no_plugin(runtime: "Runtime") -> None:
    """A bad configuration, or no namespace: nothing is executed."""
    for call in (runtime.call("ADD", ipam=IPAM, mtuu=1), runtime.call("ADD", ipam=IPAM)._replace(netns=None)):
        asked, answer = runtime.course(call)
        assert (asked, answer.status) == ([], 1)


def attached(runtime: "Runtime") -> None:
    """Attach `red` with a plugin's addresses."""
    assert runtime.course(runtime.call("ADD", ipam=IPAM), GOOD)[1].status == 0


def test_del_cuts_the_pod_off_before_its_addresses_go_back(runtime: "Runtime") -> None:
    """When the plugin is asked no packet of the pod's passes; afterwards the lease can be closed."""
    attached(runtime)
    course = runtime.service.course(runtime.call("DEL", ipam=IPAM))
    execution = next(course)
    assert commands([execution]) == [DEL]
    assert [lease.attachment.container for lease in runtime.node.engine.owed] == ["red"]
    with pytest.raises(StopIteration) as end:
        course.send(Executed(0, b""))
    assert end.value.value == Answer(0, b"")
    assert (runtime.node.engine.owed, runtime.node.engine.unreaped) == ([], True)
    runtime.node.engine.reap()
    assert runtime.node.store.pending() == []


def test_a_del_that_the_plugin_refuses_is_to_come_again(runtime: "Runtime") -> None:
    """The pod is cut off, the addresses stay owed; the runtime's next DEL, or the daemon itself, ends it."""
    attached(runtime)
    asked, answer = runtime.course(runtime.call("DEL", ipam=IPAM), REFUSED)
    assert (commands(asked), told(answer)["code"]) == ([DEL], 77)
    assert (runtime.containers(), len(runtime.node.engine.owed)) == ([], 1)
    asked, answer = runtime.course(runtime.call("DEL", ipam=IPAM))
    assert (commands(asked), answer.status) == ([DEL], 0)
    assert runtime.node.engine.owed == []


def test_del_of_what_is_not_known_is_handed_on(runtime: "Runtime") -> None:
    """The plugin may know it; a broken configuration still names the plugin."""
    asked, answer = runtime.course(runtime.call("DEL", "never", ipam=IPAM, mtuu=1))
    assert (commands(asked), answer.status) == ([DEL], 0)


def test_what_is_owed_is_given_back_without_a_runtime(runtime: "Runtime") -> None:
    """By the configuration, the arguments and the path of the ADD, in the lease's name; a refusal leaves it owed."""
    attached(runtime)
    (lease,) = runtime.node.store.live()
    runtime.node.gc()
    (owed,) = runtime.node.engine.owed
    execution = giving_back(owed)
    assert (execution.plugin, execution.netns) == ("host-local", None)
    assert json.loads(execution.stdin)["ipam"] == IPAM
    assert {key: execution.environment[key] for key in ("CNI_COMMAND", "CNI_CONTAINERID", "CNI_IFNAME")} == {
        "CNI_COMMAND": "DEL",
        "CNI_CONTAINERID": "red",
        "CNI_IFNAME": "eth0",
    }
    course = runtime.service.give_back(owed)
    assert next(course) == execution
    with pytest.raises(StopIteration) as end:
        course.send(REFUSED)
    assert (end.value.value.status, runtime.node.engine.owed) == (1, [owed])
    course = runtime.service.give_back(owed)
    next(course)
    with pytest.raises(StopIteration):
        course.send(Executed(0, b""))
    assert runtime.node.engine.owed == []
    assert lease.link == owed.link


def test_gc_and_status_go_to_the_plugin_too(runtime: "Runtime") -> None:
    """GC frees podnet's own first; STATUS of podnet follows the plugin's."""
    attached(runtime)
    keys = {"cniVersion": "1.1.0", "ipam": IPAM}
    asked, answer = runtime.course(runtime.call("GC", **{"cni.dev/valid-attachments": []}, **keys))
    assert (commands(asked), answer.status) == ([("host-local", "GC")], 0)
    assert runtime.containers() == []
    asked, answer = runtime.course(runtime.call("STATUS", **keys))
    assert (commands(asked), answer) == ([("host-local", "STATUS")], Answer(0, b""))
    asked, answer = runtime.course(runtime.call("STATUS", **keys), REFUSED)
    assert told(answer)["code"] == 77
    asked, answer = runtime.course(runtime.call("CHECK", ipam=IPAM, prevResult={"ips": []}), REFUSED)
    assert told(answer)["code"] == 77


def test_version_asks_nobody(runtime: "Runtime") -> None:
    """Whatever stands in the configuration."""
    assert not runtime.call("VERSION", ipam=IPAM).delegates
    assert not runtime.call("ADD").delegates


# Executing

PLUGIN = """#!/bin/sh
echo "{\\"cniVersion\\": \\"1.0.0\\", \\"ips\\": [{\\"address\\": \\"10.5.0.9/24\\"}], \\"stdin\\": $(cat)}"
echo "$CNI_COMMAND $CNI_NETNS" > "$0.said"
[ "$CNI_COMMAND" != FAIL ]
"""


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """Return a folder with a plugin `give`, and what is none."""
    (tmp_path / "give").write_text(PLUGIN)
    (tmp_path / "give").chmod(0o755)
    (tmp_path / "text").write_text("")
    (tmp_path / "folder").mkdir(mode=0o755)
    (tmp_path / "broken").write_bytes(b"\x00\x01")
    (tmp_path / "broken").chmod(0o755)
    return tmp_path


def test_a_plugin_is_found_on_the_path_and_told_all(plugins: Path) -> None:
    """Its standard input is the runtime's; its exit status and output come back; other variables are the runtime's."""
    environment = {"CNI_COMMAND": "ADD", "CNI_PATH": f"/nowhere::{plugins}", "CNI_NETNS": "/run/netns/red"}
    done = execute(Execution("give", environment, b'{"a": 1}'))
    assert (done.status, json.loads(done.stdout)["stdin"]) == (0, {"a": 1})
    assert (plugins / "give.said").read_text() == "ADD /run/netns/red\n"
    assert execute(Execution("give", environment | {"CNI_COMMAND": "FAIL"}, b"{}")).status == 1


def test_a_namespace_out_of_sight_is_named_by_its_descriptor(plugins: Path) -> None:
    """The runtime's path may lead nowhere here; one that leads there is kept."""
    with Path("/proc/self/ns/net").open("rb") as file:
        for path, expected in (
            ("/run/netns/none-of-that-name", f"/proc/{os.getpid()}/fd/{file.fileno()}"),
            (f"/proc/{os.getpid()}/ns/net", f"/proc/{os.getpid()}/ns/net"),
        ):
            environment = {"CNI_COMMAND": "ADD", "CNI_PATH": str(plugins), "CNI_NETNS": path}
            execute(Execution("give", environment, b"{}", file.fileno()))
            assert (plugins / "give.said").read_text() == f"ADD {expected}\n"


@pytest.mark.parametrize(
    ("plugin", "code", "message"),
    [
        ("none", 2, "no such plugin in"),
        ("text", 2, "no such plugin in"),
        ("folder", 2, "no such plugin in"),
        ("../give", 2, "no such plugin in"),
        ("..", 2, "install it there, or correct ipam.type"),
        ("", 2, "no such plugin in"),
        ("broken", 5, "cannot be executed: Exec format error"),
    ],
)
def test_what_cannot_be_executed_is_told_as_plugins_tell_errors(
    plugins: Path, plugin: str, code: int, message: str
) -> None:
    """With a code of the specification and the remedy."""
    done = execute(Execution(plugin, {"CNI_PATH": str(plugins)}, b"{}"))
    assert (done.status, json.loads(done.stdout)["code"]) == (1, code)
    assert message in json.loads(done.stdout)["msg"]


def test_a_plugin_that_does_not_end_is_given_up(plugins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code 11: the runtime may ask again."""
    (plugins / "hangs").write_text("#!/bin/sh\nexec tail -f /dev/null\n")
    (plugins / "hangs").chmod(0o755)
    monkeypatch.setattr("podnet.daemon.delegate.SECONDS", 0.05)
    done = execute(Execution("hangs", {"CNI_PATH": str(plugins)}, b"{}"))
    assert json.loads(done.stdout)["code"] == 11


def delegating(runtime: "Runtime", plugins: Path, command: str, **keys: Any) -> Call:
    """Return a call whose addresses come from `give`."""
    call = runtime.call(command, ipam={"type": "give"}, **keys)
    environment = {**call.frame.environment, "CNI_PATH": str(plugins)}
    return call._replace(frame=Frame(environment, call.frame.stdin, 0))


def test_a_course_is_driven_where_nobody_else_waits(runtime: "Runtime", plugins: Path) -> None:
    """As the one-shot does."""
    answer = drive(runtime.service.course(delegating(runtime, plugins, "ADD")))
    assert [ip["address"] for ip in told(answer)["ips"]] == ["10.5.0.9/32"]
    assert drive(runtime.service.course(delegating(runtime, plugins, "DEL"))).status == 0


@pytest.fixture
def courses() -> Iterator[Courses]:
    """Return what is under way, and end it."""
    made = Courses()
    yield made
    made.close()


def ended(courses: Courses, count: int) -> list[Ended]:
    """Wait for so many courses to come to their end."""
    found: list[Ended] = courses.ended()
    while len(found) < count:
        assert select.select([courses], [], [], PATIENCE)[0], "no course ended"
        found += courses.ended()
    return found


def test_courses_run_beside_each_other_and_wake_the_loop(runtime: "Runtime", plugins: Path, courses: Courses) -> None:
    """Each plugin in a thread of its own; what is decided is decided in the loop's, and nothing is left to read."""
    attached(runtime)
    runtime.node.gc()
    (owed,) = runtime.node.engine.owed
    courses.begin(owed, runtime.service.course(delegating(runtime, plugins, "DEL")))
    courses.begin(owed, runtime.service.course(runtime.call("ADD", ipam=IPAM, mtuu=1)))
    found = ended(courses, 2)
    assert sorted(end.answer.status for end in found) == [0, 1]
    assert not select.select([courses], [], [], 0)[0]
