"""What the kernel's edge asks of a pod's namespace."""

from typing import Protocol


class Namespace(Protocol):
    """A pod's namespace, open."""

    @property
    def descriptor(self) -> int:
        """The open file."""

    @property
    def path(self) -> str:
        """The runtime's name for it."""
