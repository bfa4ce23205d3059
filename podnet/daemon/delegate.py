"""Executing another plugin for its addresses (SPEC.md, "Delegated Plugin Execution").

An :class:`Execution` is a value; :func:`execute` carries it out and waits, for whoever can wait.
"""

import os
from typing import NamedTuple

from podnet.cni import Frame
from podnet.model import Lease

SECONDS = 90.0
"""How long a plugin may take: runtimes give a verb two minutes."""
DEFAULT_PATH = "/opt/cni/bin"


class Execution(NamedTuple):
    """A plugin's name, its environment and standard input, and the pod's namespace where the verb has one."""

    plugin: str
    environment: dict[str, str]
    stdin: bytes
    netns: int | None = None


class Executed(NamedTuple):
    """A plugin's exit status and standard output."""

    status: int
    stdout: bytes


def execution_of(frame: Frame, plugin: str, netns: int | None, command: str = "") -> Execution:
    """Return what hands `frame` on to `plugin` as it came; `command` is another verb in place of its own."""
    environment = {**frame.environment, "CNI_COMMAND": command or frame.environment.get("CNI_COMMAND", "")}
    return Execution(plugin, environment, frame.stdin, netns)


def giving_back(lease: Lease) -> Execution:
    """Return the DEL that gives the addresses of `lease` back to the plugin they came from."""
    delegation = lease.terms.delegation
    assert delegation is not None  # noqa: S101 - who owes nothing is not asked
    environment = {
        "CNI_COMMAND": "DEL",
        "CNI_CONTAINERID": lease.attachment.container,
        "CNI_IFNAME": lease.attachment.ifname,
        "CNI_ARGS": delegation.args,
        "CNI_PATH": delegation.path,
    }
    return Execution(delegation.plugin, environment, delegation.configuration.encode())


def execute(execution: Execution) -> Executed:
    """Execute a plugin and wait until it has ended; what keeps it from that is told as a plugin tells its errors."""
    import subprocess  # noqa: PLC0415 - 10 ms that only delegation needs

    folders = (execution.environment.get("CNI_PATH") or DEFAULT_PATH).split(":")
    program = _find(execution.plugin, folders)
    if not program:
        return _refusal(2, f"no such plugin in {', '.join(folders)}; install it there, or correct ipam.type")
    environment = {"PATH": os.environ.get("PATH", os.defpath), **execution.environment}
    if execution.netns is not None and "CNI_NETNS" in environment:
        environment["CNI_NETNS"] = _path_of(environment["CNI_NETNS"], execution.netns)
    try:
        done = subprocess.run(
            [program], input=execution.stdin, env=environment, stdout=subprocess.PIPE, check=False, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return _refusal(11, f"{program} did not end within {SECONDS:.0f} s; ask again, and see what it waits for")
    except (OSError, ValueError) as error:  # ValueError: a variable that no program can be given
        return _refusal(5, f"{program} cannot be executed: {getattr(error, 'strerror', None) or error}")
    return Executed(done.returncode, done.stdout)


def _find(plugin: str, folders: list[str]) -> str:
    """Return the path of `plugin`, empty where it is in none of `folders`, or is no name."""
    if "/" in plugin or plugin in (".", ".."):
        return ""
    paths = (f"{folder}/{plugin}" for folder in folders if folder)
    return next((path for path in paths if os.access(path, os.X_OK) and os.path.isfile(path)), "")  # noqa: PTH113 - a str


def _path_of(path: str, descriptor: int) -> str:
    """Return `path`, or another of the same namespace where in this mount namespace it does not lead there."""
    try:
        if os.path.samestat(os.stat(path), os.fstat(descriptor)):  # noqa: PTH116 - a str
            return path
    except OSError:
        pass
    return f"/proc/{os.getpid()}/fd/{descriptor}"


def _refusal(code: int, text: str) -> Executed:
    import json  # noqa: PLC0415 - only errors need it

    return Executed(1, json.dumps({"cniVersion": "1.0.0", "code": code, "msg": text}).encode())
