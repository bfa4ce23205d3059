"""The tree of errors: who is at fault, and what a CNI runtime is told.

::

    PodnetError                     never raised itself
    ├── RequestError                the caller's fault: the request or its configuration must change
    │   ├── IncompatibleVersion     CNI 1
    │   ├── UnsupportedField        CNI 2
    │   ├── UnknownContainer        CNI 3
    │   ├── InvalidEnvironment      CNI 4
    │   ├── DecodingFailure         CNI 6
    │   ├── InvalidConfiguration    CNI 7
    │   ├── AddressUnavailable      CNI 110: the pool is exhausted, or the asked-for address is taken
    │   ├── InterfaceExists         CNI 111
    │   ├── NotAsAdded              CNI 112: CHECK found the kernel different from what ADD made
    │   └── PortTaken               CNI 113: a host port is held by another pod
    ├── EnvironmentFault            this machine's fault
    │   ├── IOFailure               CNI 5
    │   ├── KernelError             CNI 100: the kernel refused a step; carries step, errno, its own text
    │   ├── StateError              CNI 101: the database is damaged, locked or of another version
    │   ├── NodeNotReady            CNI 102: the node's own part cannot be built
    │   └── DelegateFailed          the code of the IPAM plugin that a configuration names, and its words
    ├── Unavailable                 nobody's fault yet
    │   ├── TryAgainLater           CNI 11
    │   ├── NotAvailable            CNI 50: STATUS: an ADD could not be served
    │   └── ConnectivityLimited     CNI 51: STATUS: nor are the pods that are there served as they should be
    └── DecodeError                 bytes that are not the message they should be; an edge translates it

Codes 1 to 99 are the specification's (CNI SPEC.md, "Error"), those from 100 are podnet's own.
Every leaf's message says what is wrong, where, and what to do.
"""

from typing import Any, ClassVar


class PodnetError(Exception):
    """Base of all errors podnet raises on purpose."""

    cni_code: ClassVar[int] = 999

    def __init__(self, msg: str, details: str = "") -> None:
        """Take `msg`, one line that names the thing and the remedy, and optional longer `details`."""
        if type(self) in _ABSTRACT:
            raise TypeError(f"{type(self).__name__} is abstract: raise one of its leaves")
        super().__init__(msg)
        self.msg = msg
        self.details = details


class RequestError(PodnetError):
    """The caller's fault."""


class IncompatibleVersion(RequestError):  # noqa: N818 - CNI's own name for it
    """The configuration's `cniVersion` is none that podnet speaks."""

    cni_code = 1


class UnsupportedField(RequestError):  # noqa: N818
    """A key of the network configuration is unknown or has a value podnet does not support."""

    cni_code = 2


class UnknownContainer(RequestError):  # noqa: N818
    """The container is not known (the runtime need not clean it up)."""

    cni_code = 3


class InvalidEnvironment(RequestError):  # noqa: N818
    """A CNI_* variable is missing or malformed."""

    cni_code = 4


class DecodingFailure(RequestError):  # noqa: N818
    """Standard input is not the JSON it should be."""

    cni_code = 6


class InvalidConfiguration(RequestError):  # noqa: N818
    """The network configuration decodes but cannot be meant."""

    cni_code = 7


class AddressUnavailable(RequestError):  # noqa: N818
    """No address is free, or the asked-for one is taken or out of range."""

    cni_code = 110


class InterfaceExists(RequestError):  # noqa: N818
    """CNI_IFNAME is taken in the pod's namespace by something that is not ours."""

    cni_code = 111


class NotAsAdded(RequestError):  # noqa: N818
    """CHECK: the first fact that differs, what was expected and what was found."""

    cni_code = 112


class PortTaken(RequestError):  # noqa: N818
    """A host port that is asked for leads to another pod already."""

    cni_code = 113


class EnvironmentFault(PodnetError):  # noqa: N818
    """This machine's fault."""


class IOFailure(EnvironmentFault):
    """A file, a socket or a namespace could not be opened, read or written."""

    cni_code = 5


class KernelError(EnvironmentFault):
    """The kernel refused a step of a plan."""

    cni_code = 100

    def __init__(
        self, step: str, errno: int, extack: str = "", hint: str = "", *, at: object = None, done: tuple[Any, ...] = ()
    ) -> None:
        """Name the refused `step` (its `ip` or `nft` line), the positive `errno`, the kernel's own text, the remedy.

        `at` is the object that was refused, `done` the steps of the plan that took effect.
        """
        self.step = step
        self.errno = errno
        self.extack = extack
        self.at = at
        self.done = done
        told = f" ({extack})" if extack else ""
        remedy = f"; {hint}" if hint else ""
        super().__init__(f"{step}: {errno_text(errno)}{told}{remedy}", extack)


class StateError(EnvironmentFault):
    """The database is damaged, locked or of another version."""

    cni_code = 101


class NodeNotReady(EnvironmentFault):
    """The node's own part (forwarding, bridge, tables, routes) cannot be built."""

    cni_code = 102


class DelegateFailed(EnvironmentFault):
    """The plugin that a configuration names as its ``ipam.type`` failed; its own code goes on to the runtime."""

    def __init__(self, msg: str, details: str = "", *, code: int = 999) -> None:
        """Take the plugin's words, and its error's `code`."""
        super().__init__(msg, details)
        self.cni_code = code  # type: ignore[misc] # of the class everywhere else


class Unavailable(PodnetError):  # noqa: N818
    """Not now."""


class TryAgainLater(Unavailable):
    """The runtime should ask again (CNI error 11)."""

    cni_code = 11


class NotAvailable(Unavailable):
    """STATUS: an ADD could not be served now (CNI error 50)."""

    cni_code = 50


class ConnectivityLimited(Unavailable):
    """STATUS: an ADD could not be served, and pods that are there may not be reached (CNI error 51)."""

    cni_code = 51


class DecodeError(PodnetError):
    """Bytes that are not the message they should be: names the message, the attribute and the offset."""

    cni_code = 6


_ABSTRACT = frozenset({PodnetError, RequestError, EnvironmentFault, Unavailable})


def errno_text(number: int) -> str:
    """Return ``EEXIST File exists`` for 17; both words help a search."""
    import errno  # noqa: PLC0415 - only errors need it
    from os import strerror  # noqa: PLC0415

    return f"{errno.errorcode.get(number, number)} {strerror(number)}"
