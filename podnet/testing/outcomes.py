"""What becomes of steps sent to the kernel in memory: the faults that a test asks for, and what is told of them."""

from collections.abc import Callable
from typing import NamedTuple

from podnet.plan import Link, Step
from podnet.plan.objects import Place
from podnet.testing.space import Space

Where = int | str | Callable[[Step], bool]


class Crash(BaseException):
    """What :meth:`FakeKernel.crash_at` raises: the process is gone, no handler of errors runs."""


class Refusal(NamedTuple):
    """A step and the errno with which it was refused."""

    step: Step
    errno: int


class Sending(NamedTuple):
    """One plan under way: the pod's space, its links as the plan wants them, and links that could not be made.

    `born` are those that come as a veth's other end, and so with MAC and MTU.
    """

    pod: Space | None
    peers: dict[str, Link]
    born: frozenset[str]
    void: set[tuple[Place, str]]


class Reaped(NamedTuple):
    """Names of links that were ended, and of strangers that were moved out of the doomed group."""

    links: tuple[str, ...]
    strangers: tuple[str, ...]


class Fault(NamedTuple):
    """What happens at a step: `error`, an errno or what is raised; `after` the step took effect, or instead of that."""

    where: Where
    error: int | Crash
    after: bool
