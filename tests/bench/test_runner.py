"""The runner executes a chain of plugins as a container runtime does: tested with plugins that tell what they got."""

import json
import subprocess
from pathlib import Path

import pytest

from bench.node import compile_tools
from bench.plugins import parse_samples

# Appends a line about its own execution, then answers with its name and what it was given as prevResult.
PLUGIN = """#!/usr/bin/env python3
import json, os, pathlib, sys, threading, time
given = json.load(sys.stdin)
with open({log!r}, "a") as log:
    words = [os.environ[f"CNI_{{key}}"] for key in ("COMMAND", "CONTAINERID", "NETNS", "IFNAME", "PATH")]
    log.write(json.dumps([{name!r}, *words, given]) + "\\n")
if "meet" in given:  # wait for the other pod's plugin
    folder = pathlib.Path(given["meet"])
    (folder / os.environ["CNI_CONTAINERID"]).touch()
    deadline = time.monotonic() + 30
    while len(list(folder.iterdir())) < 2 and time.monotonic() < deadline:
        threading.Event().wait(0.005)
    given["fail"] = len(list(folder.iterdir())) < 2
if given["fail"]:
    sys.stderr.write("a complaint\\n")
    print('{{"code": 7}}')
    sys.exit(1)
print(json.dumps({{"by": {name!r}, "after": given.get("prevResult")}}))
"""


class Chain:
    """Two recording plugins, two pods, and the runner."""

    def __init__(self, folder: Path, *, fail: bool) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.runner = compile_tools(folder).runner
        lines = []
        for name in ("first", "second"):
            plugin, configuration = folder / name, folder / f"{name}.json"
            plugin.write_text(PLUGIN.format(log=str(self.log), name=name))
            plugin.chmod(0o755)
            configuration.write_text(json.dumps({"type": name, "fail": fail}) + "\n")
            lines.append(f"{plugin} {configuration}")
        (folder / "chain").write_text("\n".join(lines) + "\n")
        (folder / "pods").write_text("c0 /run/netns/p0\nc1 /run/netns/p1")
        (folder / "results").mkdir()

    def run(self, verb: str, width: int = 1, theirs: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Execute one verb; every link of the machine is one to keep, unless it is said to be theirs, the pods'."""
        kept = [path.name for path in Path("/sys/class/net").iterdir() if path.name not in theirs]
        names = [str(self.folder / name) for name in ("pods", "chain", "results", "samples")]
        argv = ["env", "CNI_PATH=/plugins", str(self.runner), verb, str(width), *names, *kept]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)

    @property
    def executions(self) -> list[list[object]]:
        """What the plugins wrote down, in the order of execution."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    """Plugins that succeed."""
    return Chain(tmp_path, fail=False)


def test_add_hands_every_result_down_the_chain(chain: Chain) -> None:
    """The first plugin gets no prevResult, the second the first's answer; the last answer is the pod's result."""
    assert chain.run("ADD").returncode == 0
    plain = {"fail": False}
    for pod in (0, 1):
        first, second = chain.executions[2 * pod : 2 * pod + 2]
        environment = ["ADD", f"c{pod}", f"/run/netns/p{pod}", "eth0", "/plugins"]
        answer = {"by": "first", "after": None}
        assert first == ["first", *environment, {"type": "first", **plain}]
        assert second == ["second", *environment, {"type": "second", **plain, "prevResult": answer}]
        result = json.loads((chain.folder / "results" / f"c{pod}").read_text())
        assert result == {"by": "second", "after": answer}


def test_del_goes_backwards_with_the_result_of_add(chain: Chain) -> None:
    """Every plugin gets the pod's whole result, the last of the chain first."""
    assert chain.run("ADD").returncode == 0
    chain.log.unlink()
    assert chain.run("DEL").returncode == 0
    names = [execution[0] for execution in chain.executions]
    given = [execution[-1] for execution in chain.executions]
    result = {"by": "second", "after": {"by": "first", "after": None}}
    assert names == ["second", "first"] * 2
    assert all(isinstance(one, dict) and one["prevResult"] == result for one in given)


def test_every_pod_has_a_port_of_its_own_in_every_plugin(chain: Chain) -> None:
    """The mark, with its quotes, becomes the pod's number, the same for ADD and DEL, with and without a prevResult."""
    mapping = {"hostPort": "@PORT@", "containerPort": 80}
    for name in ("first", "second"):
        text = json.dumps({"type": name, "runtimeConfig": {"portMappings": [mapping]}, "fail": False})
        (chain.folder / f"{name}.json").write_text(text)
    assert chain.run("ADD").returncode == 0
    assert chain.run("DEL").returncode == 0
    given = [execution[-1] for execution in chain.executions]
    ports = [one["runtimeConfig"]["portMappings"] for one in given if isinstance(one, dict)]
    numbers = (20000, 20000, 20001, 20001) * 2
    assert ports == [[{"hostPort": port, "containerPort": 80}] for port in numbers]
    assert [isinstance(one, dict) and "prevResult" in one for one in given] == [False, True] * 2 + [True] * 4


def test_a_second_port_in_a_configuration_is_refused(chain: Chain) -> None:
    """A pod has one port: nothing is executed, and the plugin is named."""
    (chain.folder / "second.json").write_text('{"ports": ["@PORT@", "@PORT@"], "fail": false}')
    done = chain.run("ADD")
    assert done.returncode == 2
    assert f'{chain.folder / "second"}: a configuration with more than one "@PORT@"' in done.stderr
    assert not chain.log.exists()


def test_links_that_are_not_kept_are_the_pods(chain: Chain) -> None:
    """After ADD the links besides the kept ones are counted: the loopback, when it alone is not one of them."""
    for theirs in ((), ("lo",)):
        assert chain.run("ADD", theirs=theirs).returncode == 0
        assert parse_samples((chain.folder / "samples").read_text()).links == len(theirs)


def test_samples_cover_every_execution(chain: Chain) -> None:
    """Two pods with two plugins are four executions, one after another; CPU was used, and no link had to go."""
    assert chain.run("ADD").returncode == 0
    verb = parse_samples((chain.folder / "samples").read_text())
    assert [(e.pod, e.plugin) for e in verb.executions] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    moments = [moment for e in verb.executions for moment in (e.start, e.end)]
    assert moments == sorted(moments)
    assert verb.cpu > 0
    assert verb.gone == 0


def test_two_at_a_time_are_served_together(chain: Chain) -> None:
    """Each pod's first plugin waits until the other's has begun: one after the other, both would fail."""
    meeting = chain.folder / "meeting"
    meeting.mkdir()
    (chain.folder / "first.json").write_text(json.dumps({"type": "first", "fail": False, "meet": str(meeting)}))
    done = chain.run("ADD", width=2)
    assert done.returncode == 0, done.stderr
    verb = parse_samples((chain.folder / "samples").read_text())
    one, other = sorted(e for e in verb.executions if e.plugin == 0)
    assert max(one.start, other.start) < min(one.end, other.end)


def test_a_failure_ends_the_pods_chain_and_is_told(tmp_path: Path) -> None:
    """The second plugin is not executed; the first's answer and complaint reach standard error; the status is 1."""
    chain = Chain(tmp_path, fail=True)
    done = chain.run("ADD")
    assert done.returncode == 1
    assert [execution[0] for execution in chain.executions] == ["first", "first"]
    assert '"code": 7' in done.stderr
    assert "a complaint" in done.stderr
