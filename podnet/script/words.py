"""Commands as shell text with variables: a plan is made for a placeholder pod, whose values then become `$names`.

What the engine derives from a lease (MAC addresses, the link-local address) is derived here from the placeholder's in
the same way, so that it is found in the plan; `net-script.sh` has the same derivations in shell.
"""

import re
import shlex
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from podnet.model import Attachment, Lease, PodAddress
from podnet.model.digest import blake2s

NAMESPACE = "/placeholder/of/podnet/netns"
CONTAINER = "placeholder-of-podnet"
LINK = "veth-0placehold"  # no link has this name: 0 is no base32 digit
IFNAME = "eth0"

IPV4, IPV6 = 4, 6


def placeholder(network: str, addresses: Sequence[PodAddress], link: str = LINK, container: str = CONTAINER) -> Lease:
    """Return a lease whose values are recognised in a plan made for it."""
    return Lease(
        attachment=Attachment(network, container, IFNAME),
        addresses=tuple(addresses),
        link=link,
        netns=None,
        netns_path=NAMESPACE,
        boot_id="",
        created=0.0,
    )


class Variable(NamedTuple):
    """A shell variable, and the command that sets it; empty when the frame of the script has set it."""

    name: str
    assignment: str = ""


class Variables:
    """The values of a placeholder lease and the shell variables that stand for them."""

    def __init__(self, lease: Lease | None = None) -> None:
        """Learn the values of `lease`; without one only the namespace is a variable."""
        self._plain = {NAMESPACE: Variable("netns")}
        self._addresses: dict[str, Variable] = {}
        if lease is not None:
            self._learn(lease)
        # Whole addresses only: 10.0.0.2 is not part of 10.0.0.25, nor of a MAC address' or IPv6 address' groups.
        whole = rf"(?<![0-9a-f:.])(?:{_either(self._addresses)})(?![0-9a-f:]|\.[0-9])|" if self._addresses else ""
        self._pattern = re.compile(whole + _either(self._plain))

    def _learn(self, lease: Lease) -> None:
        self._plain[lease.link] = Variable("link")
        self._plain[lease.attachment.container] = Variable("container")
        for index, leased in enumerate(lease.addresses):
            self._addresses[str(leased.address)] = Variable(f"ip_{index}")
        first = next((i for i, a in enumerate(lease.addresses) if a.address.version == IPV4), 0)
        mac = _mac_of(lease.addresses[first].address)
        self._addresses[mac.hex(":")] = Variable("mac", f'mac=$(mac_of "$ip_{first}")')
        port_mac = b"\x02" + blake2s(lease.link.encode(), digest_size=5).digest()
        self._addresses[port_mac.hex(":")] = Variable("port_mac", 'port_mac=$(port_mac_of "$link")')
        eui = bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]
        local = str(IPv6Address(b"\xfe\x80" + bytes(6) + eui))
        self._addresses[local] = Variable("link_local", 'link_local=$(link_local_of "$mac")')

    def assignments(self, body: str) -> list[str]:
        """Return the commands that set the variables that `body` uses, in an order in which they can run."""
        used: list[str] = []
        for variable in reversed(self._addresses.values()):  # those that are set by another come after it
            if variable.assignment and f"${variable.name}" in "\n".join((*used, body)):
                used.insert(0, variable.assignment)
        return used

    def command(self, command: str) -> str:
        """Return `command`, a line of `explain`, with the variables in place and everything else quoted."""
        words = shlex.split(command)
        if words[:2] == ["nsenter", f"--net={NAMESPACE}"]:
            words[:2] = ["in_pod"]
        return " ".join(map(self.word, words))

    def word(self, word: str) -> str:
        """Return one word: quoted as shlex does, or in double quotes where it has variables."""
        if not self._pattern.search(word):
            return shlex.quote(word)
        escaped = re.sub(r'([\\"$`])', r"\\\1", word)
        return f'"{self._replaced(escaped)}"'

    def comment(self, text: str) -> str:
        """Return `text` as a comment."""
        return f"# {self._replaced(text)}"

    def _replaced(self, text: str) -> str:
        return self._pattern.sub(lambda match: self._reference(match, text), text)

    def _reference(self, match: re.Match[str], text: str) -> str:
        variable = self._plain.get(match[0]) or self._addresses[match[0]]
        after = text[match.end() : match.end() + 1]
        return f"${{{variable.name}}}" if after.isalnum() or after == "_" else f"${variable.name}"


def _mac_of(address: IPv4Address | IPv6Address) -> bytes:
    packed = address.packed if address.version == IPV4 else blake2s(address.packed, digest_size=4).digest()
    return b"\x0a\x58" + packed


def _either(values: dict[str, Variable]) -> str:
    return "|".join(map(re.escape, values))
