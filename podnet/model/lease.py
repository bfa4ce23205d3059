"""A lease: which addresses an attachment holds, and all that is needed to rebuild its plan without the runtime."""

from ipaddress import IPv4Address, IPv6Address

import msgspec

from podnet.model.attachment import Attachment, NamespaceId
from podnet.model.terms import PLAIN, Terms

IPAddress = IPv4Address | IPv6Address


class PodAddress(msgspec.Struct, frozen=True, gc=False):
    """One address of a pod: the address, its subnet's prefix length, and the subnet's gateway."""

    address: IPAddress
    prefixlen: int
    gateway: IPAddress

    @property
    def host_prefixlen(self) -> int:
        """The prefix length that names this address alone: 32 or 128."""
        return self.address.max_prefixlen


class Lease(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An attachment's addresses from ADD to DEL.

    `link` is the host link's name; `netns` the pod's namespace by identity and `netns_path` by the name the runtime
    used; `created` and `released` are Unix times in seconds, `released` None while the lease is live; `terms` what else
    was asked for.
    """

    attachment: Attachment
    addresses: tuple[PodAddress, ...]
    link: str
    netns: NamespaceId | None
    netns_path: str
    boot_id: str
    created: float
    released: float | None = None
    terms: Terms = PLAIN

    @property
    def holder(self) -> str:
        """What errors call whoever holds it: the pod's name where it is known, container and interface."""
        named = f"pod {self.terms.pod}, " if self.terms.pod else ""
        return f"{named}container {self.attachment.container} ({self.attachment.ifname})"
