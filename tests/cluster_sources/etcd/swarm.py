"""Many nodes that join an etcd, each a process that can be killed: forked, so that they begin in a moment.

    python -m tests.cluster_sources.etcd.swarm URL GRACE CIDR...

Told ``start NAME`` on standard input, it forks a node that joins, and told ``kill NAME`` it kills it; those that are
started after ``hold`` wait for ``go``, so that they begin at the same instant.  Each prints ``begin NAME PID``, and
``has NAME PID PREFIX...`` whenever what it has is another.  All end with it.
"""

import os
import random
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections import defaultdict
from collections.abc import Callable
from ipaddress import ip_address, ip_network

from podnet.cluster.etcd import Backoff, Endpoints, EtcdMember, Self, cluster_range
from tests.cluster_sources.etcd.server import PATIENCE

PREFIX = "/podnet/podnet"


class Swarm:
    """The program, run: what its nodes have told."""

    def __init__(self, url: str, grace: int, *cidrs: str) -> None:
        """Start it."""
        argv = [sys.executable, "-m", "tests.cluster_sources.etcd.swarm", url, str(grace), *cidrs]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pids: dict[str, int] = {}
        self.has: dict[str, tuple[str, ...]] = {}
        """What each node that runs has."""
        self.had: dict[str, set[tuple[str, ...]]] = defaultdict(set)
        """Whatever each ever had."""
        self.told = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def say(self, *words: str) -> None:
        """Tell it something."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()

    def start(self, name: str) -> None:
        """Start a node."""
        with self.told:
            self.pids.pop(name, None)
            self.has.pop(name, None)
        self.say("start", name)

    def kill(self, name: str) -> None:
        """Kill a node that has begun."""
        with self.told:
            del self.pids[name]
            self.has.pop(name, None)
        self.say("kill", name)

    def wait_for(self, *names: str, patience: float = 2 * PATIENCE) -> None:
        """Wait until each of these has something."""
        with self.told:
            assert self.told.wait_for(lambda: all(self.has.get(name) for name in names), patience), self.has

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word, name, pid, *prefixes = line.split()
            with self.told:
                if word == "begin":
                    self.pids[name] = int(pid)
                else:
                    self.had[name].add(tuple(prefixes))
                    if self.pids.get(name) == int(pid):  # else of one that is dead by now
                        self.has[name] = tuple(prefixes)
                self.told.notify_all()


def join(name: str, url: str, grace: int, cidrs: list[str]) -> None:
    """Be a node."""
    said = None
    tell("begin", name)
    own = Self(
        name=name, boot="one", addresses=lambda: (ip_address(f"10.99.{int(name[1:]) >> 8}.{int(name[1:]) & 255}"),)
    )
    cluster = cluster_range([ip_network(cidr) for cidr in cidrs], 24, 64, source="swarm")
    endpoints = Endpoints(source="swarm", urls=(url,))
    nodes = EtcdMember(endpoints, PREFIX, cluster, own, grace=grace, down=Backoff(random.random))
    nodes.begin()
    while True:
        select.select([nodes], [], [])
        nodes.changed()
        has = next((node.pod_cidrs for node in nodes.nodes if node.name == name), ())
        if has != said:
            said = has
            tell("has", name, *map(str, has))


def tell(word: str, name: str, *prefixes: str) -> None:
    """Print a line in one piece, since others print as well."""
    os.write(1, f"{' '.join((word, name, str(os.getpid()), *prefixes))}\n".encode())


def main(url: str, grace: str, *cidrs: str) -> None:
    """Do as told until there is no more to hear."""
    children: dict[str, int] = {}
    gate: tuple[int, int] | None = None
    for line in sys.stdin:
        word, *names = line.split()
        if word == "hold":
            gate = os.pipe()
        elif word == "go" and gate is not None:
            os.close(gate[1])
            os.close(gate[0])
            gate = None
        elif word == "kill":
            end(children.pop(names[0]))
        elif word == "start":
            children[names[0]] = os.fork()
            if not children[names[0]]:
                be(names[0], gate, lambda name: join(name, url, int(grace), list(cidrs)))
    for child in children.values():
        end(child)


def be(name: str, gate: tuple[int, int] | None, run: Callable[[str], None]) -> None:
    """Be a node, and never come back."""
    try:
        if gate is not None:
            os.close(gate[1])
            os.read(gate[0], 1)  # until it is closed everywhere else
        run(name)
    except BaseException:  # noqa: BLE001 - it is shown
        traceback.print_exc()
    finally:
        os._exit(1)


def end(child: int) -> None:
    """Kill a child; its number is nobody else's until it is waited for."""
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
