"""What the tests of BGP share: labs of it, and what is asked of the BIRDs in them."""

import json
import shlex
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.lab.conftest import PODNET

if TYPE_CHECKING:
    from tests.lab.conftest import Machine

CONTROL = "/run/podnet/bird/bird.ctl"
LAB = "/run/podnet-lab/lab"
CONF = "/run/podnet/bird/bird.conf"
NODES = ("n1", "n2", "n3", "n4", "n5")
PATIENCE = "timeout 30 sh -ec"
"""How a shell waits for what is to come true."""


def up(machine: "Machine", *options: str, nodes: int = 5) -> None:
    """Make a lab of BGP, a pod on each node."""
    machine.podnet("lab", "up", "--backend", "bgp", "--nodes", str(nodes), "--pods", "1", *options)


def sessions(machine: "Machine", where: str) -> dict[str, dict[str, Any]]:
    """Return what `podnet router status` tells at a place of the lab, by neighbour and family."""
    told = machine.run(
        *PODNET, "lab", "exec", where, "--", "podnet", "router", "status", "--json", check=False
    )  # fmt: skip
    return {f"{one['neighbour']} {one['family']}": one for one in json.loads(told.stdout)}


CLOCK = 0.5
"""Seconds by which BIRD may tell one moment differently: it works it out anew each time, from two clocks."""


def since(machine: "Machine", where: str) -> dict[str, float]:
    """Return by neighbour and family when each session came to the state that it is in, to within `CLOCK`."""
    return {name: moment(one) for name, one in sessions(machine, where).items()}


def moment(session: dict[str, Any]) -> float:
    """Return when a session came to the state that it is in, in Unix seconds."""
    return datetime.fromisoformat(session["since"]).timestamp()


def bird(machine: "Machine", where: str, command: str) -> str:
    """Return what a BIRD answers to a command."""
    return machine.on(where, f"birdc -s {CONTROL} {shlex.quote(command)}")


def pid(machine: "Machine", where: str) -> str:
    """Return the process of podnet's BIRD at a place of the lab."""
    return machine.on(where, "cat /run/podnet/bird/bird.pid").strip()


def wait(machine: "Machine", where: str, condition: str) -> None:
    """Wait until a shell's condition holds at a place of the lab."""
    machine.on(where, f"{PATIENCE} {shlex.quote(f'until {condition}; do sleep 0.05; done')}")


def established(neighbour: str, version: int = 4) -> str:
    """Return the shell's condition that the session with `neighbour` stands."""
    name = f"'podnet.{neighbour}.{version}'"
    return f'birdc -s {CONTROL} "show protocols {name}" | grep -q Established'


def watch(machine: "Machine", *command: str, seconds: float = 4.0) -> list[dict[str, Any]]:
    """Have a command run while pods of all nodes send to each other; return what came of their streams."""
    document = json.loads(machine.podnet("lab", "watch", "--seconds", str(seconds), "--json", *command).stdout)
    assert len(document["flows"]) > 1
    assert all(flow["sent"] > 100 for flow in document["flows"])
    flows: list[dict[str, Any]] = document["flows"]
    return flows


def hurt(flows: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Return source and target of the streams that lost something."""
    return {(flow["source"], flow["target"]) for flow in flows if flow["lost"]}


def of(flows: set[tuple[str, str]], node: str) -> set[tuple[str, str]]:
    """Return those of the streams that do not begin or end on `node`."""
    return {pair for pair in flows if not any(end.startswith(f"{node}-") for end in pair)}


def set_podnet_yaml(machine: "Machine", old: str, new: str) -> None:
    """Change the settings that all nodes and the router share; their daemons see it when they are restarted."""
    path = f"{LAB}/etc-podnet/podnet.yaml"
    text = machine.run("cat", path).stdout
    assert old in text
    machine.run("sh", "-c", f"printf %s {shlex.quote(text.replace(old, new))} > {path}")


def restart(machine: "Machine", *places: str) -> None:
    """End the daemons at places of the lab, all at once, and start them anew."""
    old = {where: machine.run("cat", f"{LAB}/{where}/daemon.pid").stdout.strip() for where in places}
    machine.run("kill", *old.values(), check=False)
    for where, process in old.items():
        role = "router" if where == "router" else "node"
        machine.run("sh", "-ec", f"timeout 20 sh -c 'while test -e /proc/{process}/exe; do sleep 0.02; done'")
        words = shlex.join([*PODNET, role, "run"])
        machine.on(where, f"setsid {words} >>/run/daemon.log 2>&1 </dev/null & echo $! >/run/daemon.pid")
        machine.run("cp", f"{LAB}/{where}/run/daemon.pid", f"{LAB}/{where}/daemon.pid")
