"""An attachment: one interface of one container in one network, the unit of every CNI verb."""

from base64 import b32encode
from typing import NamedTuple

import msgspec

from podnet.model.digest import blake2s

DIGITS = 7  # 35 bits: two of 500 pods share a name once in 270,000 nodes; the store then asks for the next attempt


class Attachment(msgspec.Struct, frozen=True, order=True, gc=False):
    """The key of a lease: CNI network name, CNI_CONTAINERID and CNI_IFNAME (CNI SPEC.md, "Attachment")."""

    network: str
    container: str
    ifname: str

    @property
    def alias(self) -> str:
        """The IFLA_IFALIAS that marks the host's link as this attachment's and as ours."""
        return f"podnet:{self.container}:{self.ifname}"


class NamespaceId(NamedTuple):
    """What a network namespace is, whatever path leads to it: device and inode of its nsfs file."""

    device: int
    inode: int


class Namespace(NamedTuple):
    """A pod's namespace: an open `descriptor`, its identity, and the `path` by which the runtime named it."""

    descriptor: int
    id: NamespaceId
    path: str


def link_name(attachment: Attachment, suffix: str = "", attempt: int = 0) -> str:
    """Return the host link's name, ``veth-`` and digits of a hash, at most 15 characters with a 3-character `suffix`.

    A pure function of the attachment, so that ADD needs no read-back; `attempt` draws another where it is taken.
    """
    key = f"{attachment.network}\0{attachment.container}\0{attachment.ifname}\0{attempt}".encode()
    return f"veth-{b32encode(blake2s(key, digest_size=5).digest())[:DIGITS].decode().lower()}{suffix}"
