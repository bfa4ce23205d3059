"""Carries a sequence out on a machine as a runtime would, and requires agreement at its end.

The runtime knows an attachment as *held* when its ADD succeeded and no DEL did since.  Where it cannot know, because a
plugin or the daemon was killed amid an ADD or a DEL, it says DEL later or leaves it to GC, as lots are drawn; of the
network whose addresses host-local lends it always says DEL: the host-local of cniVersion 1.0.0 knows no GC.
"""

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Sequence as Several
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from podnet.testing.node import Outcome, finish
from podnet.testing.stream import Stream
from podnet.testing.waiting import eventually
from tests.crashes.agreement import CONTAINER_PORT, Held, require_agreement, same
from tests.crashes.machine import Machine, configuration
from tests.crashes.sequence import (
    Alone,
    Ask,
    Check,
    Collect,
    Die,
    Install,
    Kind,
    Moment,
    Restart,
    Sequence,
    Status,
    Step,
    Storm,
    Unheard,
)

TRY_AGAIN, NO_ADDRESS, EXISTS = 11, 110, 111
KINDS: tuple[Kind, ...] = ("podnet", "second", "lent")
Key = tuple[str, Kind]


class Disagreement(Exception):  # noqa: N818 - it names what was found
    """Something is not as it should be; the text has the seed, what was done, and how to do it again."""


class Begun(NamedTuple):
    """A request under way."""

    ask: Ask
    key: Key
    process: "subprocess.Popen[bytes]"

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None


class Ended(NamedTuple):
    """A request and its outcome, None where nobody heard it."""

    ask: Ask
    key: Key
    outcome: Outcome | None


def run(machine: Machine, sequence: Sequence) -> "Counter[str]":
    """Carry `sequence` out; return what was done, counted.  Raise `Disagreement`."""
    runtime = Runtime(machine, sequence)
    try:
        runtime.live()
    except (AssertionError, TimeoutError, RuntimeError, subprocess.TimeoutExpired) as error:
        log = machine.node.daemon.log if machine.node.daemon else []
        lines = [
            f"seed {sequence.seed}: {type(error).__name__}: {error}",
            "what was done:",
            *(f"  {line}" for line in runtime.told),
            "the daemon's last words:",
            *(f"  {line}" for line in log[-20:]),
            f"again: PODNET_SEED={sequence.seed} .venv/bin/pytest tests/crashes -k seed",
        ]
        raise Disagreement("\n".join(lines)) from error
    return runtime.tally


class Runtime:
    """A container runtime: what it was told, and what it makes of it."""

    def __init__(self, machine: Machine, sequence: Sequence) -> None:
        """Begin without pods."""
        self.machine = machine
        self.node = machine.node
        self.sequence = sequence
        self.held: dict[Key, Held] = {}
        self.unknown: set[Key] = set()
        self.tally: Counter[str] = Counter(sequences=1)
        self.told: list[str] = []
        self._pods: dict[int, str] = {}
        self._made: list[str] = []
        self._dice = Random(f"the end of {sequence.seed}")  # noqa: S311 - repeatable, not secret

    def live(self) -> None:
        """Go through the sequence, with the bystanders talking, and to its end."""
        red, blue, *_ = self.machine.bystanders
        with Stream(self.node, red.container, blue.container, blue.addresses[0]) as stream:
            for step in self.sequence.steps:
                self.told.append(str(step))
                self._take(step)
            self._end()
        assert not stream.lost, f"{len(stream.lost)} of {stream.sent} datagrams between bystanders were lost"

    def _take(self, step: Step) -> None:
        match step:
            case Storm():
                self._storm(step)
            case Unheard():
                self._unheard(step.ask)
            case Alone():
                self._alone(step)
            case Check():
                self._check(step.slot)
            case Collect():
                self._collect(step.kind, alone=step.alone)
            case Status():
                self._expect("STATUS", self.machine.cni("STATUS", "", step.kind))
            case Install():
                self._install(step.moment)
            case Restart():
                self._restart(step)
            case Die():
                self._die(step.slot)

    # What happens

    def _storm(self, step: Storm) -> None:
        daemon = self.node.daemon
        assert daemon is not None
        self.machine.monitor.arm()
        if step.gathered:
            os.kill(daemon.pid, signal.SIGSTOP)
        begun = self._begin(step.asks)
        if step.gathered:
            os.kill(daemon.pid, signal.SIGCONT)
        victims: list[Begun] = []
        if step.end:
            self._await(step.moment, begun)
            self.tally[f"{step.end}: daemon" if step.end == "kill -9" else step.end] += 1
            self.tally["amid requests"] += not all(one.done for one in begun)
        if step.end == "kill -9 shim":
            victims = begun[:1]
            victims[0].process.kill()
        elif step.end:
            self.machine.stop(signal.SIGKILL if step.end == "kill -9" else signal.SIGTERM)
        ended = self._finish(begun, victims) if step.waits or not step.end else None
        if step.end in {"kill -9", "SIGTERM"}:
            self._wait_for_plugins(step.asks)
            self.machine.start()
        self._judge(ended or self._finish(begun, victims))

    def _unheard(self, ask: Ask) -> None:
        assert self.node.daemon is not None
        os.kill(self.node.daemon.pid, signal.SIGSTOP)
        begun = self._begin((ask,))
        for one in begun:
            eventually(lambda pid=one.process.pid: _is_waiting(pid), "the shim waits for the daemon")  # type: ignore[misc]
            one.process.kill()
            self.tally["kill -9 shim"] += 1
        os.kill(self.node.daemon.pid, signal.SIGCONT)
        self._judge(self._finish(begun, begun))

    def _alone(self, step: Alone) -> None:
        self.machine.stop()
        self.machine.monitor.arm()
        begun = self._begin(step.asks)
        victims: list[Begun] = []
        if step.moment:
            self._await(step.moment, begun[:1])
            begun[0].process.kill()
            victims = begun[:1]
            self.tally["kill -9: one-shot"] += 1
        ended = self._finish(begun, victims)
        self._wait_for_plugins(step.asks)
        self.machine.start()
        self._judge(ended)

    def _check(self, slot: int) -> None:
        container = self._pods.get(slot, "")
        for kind in KINDS if container else ():
            if (one := self.held.get((container, kind))) is not None:
                self._expect("CHECK", self._checked(one))
            elif (container, kind) not in self.unknown:
                other = next(one for one in self.machine.bystanders if one.kind == kind)
                outcome = self._checked(other._replace(container=container))
                self.tally["operations"] += 1
                assert outcome.status, f"CHECK of {container}, which is not attached to {kind}, finds nothing wrong"

    def _checked(self, one: Held) -> Outcome:
        document = {**configuration(one.kind, one.ports, limited=one.limited), "prevResult": one.result}
        verb = "CHECK"
        return self.machine.cni(verb, one.container, one.kind, document)

    def _collect(self, kind: Kind, *, alone: bool = False) -> None:
        keys = [key for key in self.held if key[1] == kind]
        keys += [(one.container, one.kind) for one in self.machine.bystanders if one.kind == kind]
        valid = [{"containerID": container, "ifname": "eth0"} for container, _ in keys]
        if alone:
            self.machine.stop()
        self._expect(
            "GC", self.machine.cni("GC", "", kind, {**configuration(kind), "cni.dev/valid-attachments": valid})
        )
        if alone:
            self.machine.start()
        self.unknown = {key for key in self.unknown if key[1] != kind}

    def _install(self, moment: Moment | None) -> None:
        self.tally["operations"] += 1
        command = self.machine.install()
        if moment:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.machine.monitor.wait(moment, lambda: process.poll() is not None)
            process.kill()
            process.wait()
            self.tally["kill -9: install"] += 1
        done = subprocess.run(command, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def _restart(self, step: Restart) -> None:
        self.tally["operations"] += 1
        self.machine.stop(signal.SIGKILL if step.kill else signal.SIGTERM)
        self.tally["kill -9: daemon" if step.kill else "SIGTERM"] += 1
        self.machine.monitor.arm()
        begun = self._begin(step.asks)
        if step.moment:
            daemon = self.node.daemon = self.node.launch()
            self.machine.monitor.wait(step.moment, lambda: any("serving" in line for line in daemon.log))
            self.machine.stop(signal.SIGKILL)
            self.tally["kill -9: daemon that starts"] += 1
            self._wait_for_plugins(step.asks)
        self.machine.start()
        self._judge(self._finish(begun, []))

    def _die(self, slot: int) -> None:
        container = self._pods.pop(slot, "")
        if container:
            self._end_namespace(container)
            for kind in KINDS:
                if self.held.pop((container, kind), None) is not None:
                    self.unknown.add((container, kind))

    # What the runtime does

    def _begin(self, asks: Several[Ask]) -> list[Begun]:
        begun: list[Begun] = []
        for ask in asks:
            container = f"nobody{ask.slot}" if ask.way == "unknown" else self._pod(ask.slot)
            if ask.verb == "DEL":  # of what is attached, if anything is
                kinds = [kind for kind in KINDS if (container, kind) in self.held]
                ask = ask._replace(kind=(*kinds, ask.kind)[0])  # noqa: PLW2901 - the same, better informed
            begun += [
                Begun(ask, (container, ask.kind), self.machine.begin(ask, container))
                for _ in range(2 if ask.way == "twice" else 1)
            ]
        self.tally["operations"] += len(begun)
        return begun

    def _pod(self, slot: int) -> str:
        if slot not in self._pods:
            self._pods[slot] = self.node.pod(f"s{self.sequence.seed}-{slot}-{len(self._made)}")
            self._made.append(self._pods[slot])
        return self._pods[slot]

    def _end_namespace(self, container: str) -> None:
        self._made.remove(container)
        self.node.forget_place(container)

    def _await(self, moment: Moment, begun: Several[Begun]) -> None:
        self.machine.monitor.wait(moment, lambda: all(one.done for one in begun))

    def _wait_for_plugins(self, asks: Several[Ask]) -> None:
        """Wait for plugins that outlive who executed them: what they do after a later DEL is nobody's to put right."""
        if any(ask.kind == "lent" for ask in asks):
            eventually(lambda: not self.node.has_process("/host-local"), "host-local has ended")

    @staticmethod
    def _finish(begun: Several[Begun], victims: Several[Begun]) -> list[Ended]:
        ended = []
        for one in begun:
            outcome = finish(one.process)
            unheard = one in victims or (outcome.status and _code(outcome) == TRY_AGAIN)
            ended.append(Ended(one.ask, one.key, None if unheard else outcome))
        return ended

    def _expect(self, verb: str, outcome: Outcome) -> None:
        self.tally["operations"] += 1
        assert outcome.status == 0, f"{verb}: {outcome.stdout.decode()}"

    # What it makes of it

    def _judge(self, ended: Several[Ended]) -> None:
        """Take note of what is held now and what is not known; raise AssertionError for an answer out of place."""
        for one in ended:
            said = "nobody heard" if one.outcome is None else one.outcome.stdout.decode() or "done"
            self.told.append(f"    {one.ask.verb} {one.key[0]} {one.key[1]}: {said}")
            if one.outcome is not None and one.outcome.status:
                self._judge_refusal(one, ended)
        for key in {one.key for one in ended}:
            self._note(key, [one for one in ended if one.key == key])

    def _judge_refusal(self, one: Ended, ended: Several[Ended]) -> None:
        assert one.outcome is not None
        text = f"{one.ask.verb} {one.key}: {one.outcome.stdout.decode()}"
        assert one.ask.verb == "ADD", text
        code, container = _code(one.outcome), one.key[0]
        rivals = [other for other in ended if other is not one]
        attached = any(key[0] == container for key in (*self.held, *self.unknown)) or any(
            rival.key[0] == container for rival in rivals
        )
        if code == EXISTS or one.ask.kind == "lent":
            assert attached or "host port" in text, text
        elif code == NO_ADDRESS and "port" not in text:
            assert one.ask.kind == "second", text
        else:
            taken = {port for held in self.held.values() for port in held.ports}
            taken |= {port for rival in rivals for port in rival.ask.ports} if rivals else set()
            assert "host port" in text, text
            assert self.unknown or taken & set(one.ask.ports), text

    def _note(self, key: Key, ended: Several[Ended]) -> None:
        added = [one for one in ended if one.ask.verb == "ADD" and one.outcome and not one.outcome.status]
        adds = [one for one in ended if one.ask.verb == "ADD"]
        unheard = any(one.outcome is None for one in ended)
        if len(adds) == len(ended):
            assert len(added) <= (key not in self.held), f"{key} was attached twice: {[o.outcome for o in added]}"
            if added:
                (one,) = added
                assert one.outcome is not None
                self.held[key] = Held(*key, one.ask.ports, one.ask.limited, one.outcome.json)
                self.unknown.discard(key)
            elif unheard and key not in self.held:
                self.unknown.add(key)
        else:
            self.held.pop(key, None)
            self.unknown.discard(key)
            if adds or unheard:
                self.unknown.add(key)

    # The end

    def _end(self) -> None:
        self.told.append("the end")
        for container, kind in sorted(self.unknown):
            if kind == "lent" or self._dice.random() < 0.5:
                self._delete(container, kind)
        self._collect("podnet")
        self._collect("second")
        self._agree(list(self.held.values()))
        for one in self.held.values():
            self._expect("CHECK", self._checked(one))
            self.node.exchange("", one.container, one.addresses[0])
            if 7 in one.ports:
                self.node.exchange("outside", one.container, "10.99.0.11", heard=CONTAINER_PORT)
        for container, kind in list(self.held):
            self._delete(container, kind)
        self._agree([])
        for container in list(self._made):
            self._end_namespace(container)

    def _delete(self, container: str, kind: Kind) -> None:
        self._expect("DEL", self.machine.cni("DEL", container, kind))
        self.held.pop((container, kind), None)
        self.unknown.discard((container, kind))

    def _agree(self, held: list[Held]) -> None:
        machine = self.machine
        require_agreement(self.node, machine.datapath, machine.baseline, machine.bystanders, held)
        assert self.node.daemon is not None
        namespaces = [d for d in Path(f"/proc/{self.node.daemon.pid}/fd").iterdir() if str(_link(d)).startswith("net:")]
        same("namespaces that the daemon holds", [str(_link(d)) for d in namespaces][1:], [])


def _link(path: Path) -> Path | str:
    try:
        return path.readlink()
    except FileNotFoundError:
        return ""


def _code(outcome: Outcome) -> Any:
    return outcome.json["code"]


def _is_waiting(pid: int) -> bool:
    """Tell whether the process is the shim, asleep: all that it sleeps for is the daemon's answer."""
    try:
        shim = Path(f"/proc/{pid}/exe").readlink().name == "podnet"
        return shim and Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "S"
    except FileNotFoundError:
        return True  # it has ended: the request was refused before it was sent
