"""A runtime in front of a service over a kernel and a store in memory."""

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from podnet.cni import Frame
from podnet.daemon.delegate import Executed, Execution
from podnet.daemon.service import Answer, Call, Course, Service
from podnet.engine.ports import Namespace
from podnet.kernel.namespace import identity
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

    def call(self, command: str, container: str = "red", /, **keys: Any) -> Call:
        """Return a call; `keys` go into the configuration."""
        stdin = json.dumps(
            {
                "cniVersion": "1.0.0" if command not in {"GC", "STATUS"} else "1.1.0",
                "name": "podnet",
                "type": "podnet",
                **keys,
            }
        ).encode()
        environment = {"CNI_COMMAND": command, "CNI_CONTAINERID": container, "CNI_IFNAME": "eth0"}
        netns = None
        if command == "GC":
            del environment["CNI_CONTAINERID"], environment["CNI_IFNAME"]
        if command in {"ADD", "CHECK"}:
            environment["CNI_NETNS"] = f"/run/netns/{container}"
            netns = self.netns(container)
        return Call(Frame(environment, stdin, 0), netns)

    def answer(self, *calls: Call) -> list[Answer]:
        """Answer calls that wait together."""
        return self.service.answer(calls)

    def course(self, call: Call, *executed: Executed) -> tuple[list[Execution], Answer]:
        """Answer a call for which another plugin is needed that says `executed`; return what was asked of it too."""
        return taken(self.service.course(call), executed)

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


def taken(course: Course, executed: Sequence[Executed]) -> tuple[list[Execution], Answer]:
    """Take a course to its end, its plugin saying `executed` one after the other and then nothing, in success."""
    asked: list[Execution] = []
    said = iter(executed)
    try:
        asked.append(next(course))
        while True:
            asked.append(course.send(next(said, Executed(0, b""))))
    except StopIteration as end:
        answer: Answer = end.value
    assert next(said, None) is None, "the plugin was asked less often than was expected"
    return asked, answer
