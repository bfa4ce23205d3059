"""WireGuard devices configured and read: the kernel's by generic netlink, those of wireguard-go by its socket.

Which it is tells the kind of the link.  One step is one message or one operation, so that a refusal is of one step.
"""

import errno
import socket
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from podnet.kernel.socket import NetlinkSocket
from podnet.netlink.generic.controller import Family
from podnet.netlink.generic.wireguard import NAME, Device, whole
from podnet.netlink.message import NETLINK_GENERIC, Envelope
from podnet.netlink.rtnl import Link as LinkMessage
from podnet.netlink.transaction import Refusal
from podnet.plan import Step, WireGuard, WireGuardPeer
from podnet.plan.objects import WIREGUARD
from podnet.plan.wireguard import NO_KEY, told
from podnet.wireguard import uapi
from podnet.wireguard.key import from_text

SOCKETS = "/var/run/wireguard"
"""Where programs that serve WireGuard have their sockets, by the names of the links."""
ANSWER_SECONDS = 5.0
_PIECE = 1 << 16


class _Asked(NamedTuple):
    """What a step asks of a device; `step` is that one's index."""

    step: int
    device: Device


def family() -> int:
    """Return the number of the kernel's family, 0 where it has no WireGuard; its module is loaded by the question."""
    generic = NetlinkSocket(NETLINK_GENERIC, brief=True)
    try:
        found = generic.transact([Family.called(NAME).get()])
    finally:
        generic.close()
    replies = [Family.decode(envelope.payload) for envelope in found.replies]
    return next((reply.id for reply in replies if reply.id is not None), 0)


def configure(route: NetlinkSocket, steps: Sequence[Step]) -> list[Refusal]:
    """Carry out `steps`, all of WireGuard, on links that `route` knows; the refusals' indexes are those of `steps`."""
    refused: list[Refusal] = []
    asked: dict[str, list[_Asked]] = {}
    for index, step in enumerate(steps):
        thing = step.object
        assert isinstance(thing, WireGuard | WireGuardPeer)  # noqa: S101 - the encoder gives this channel to these alone
        try:
            key = _private_key(thing) if isinstance(thing, WireGuard) and step.verb != "delete" else NO_KEY
        except OSError as error:
            refused.append(Refusal(index, error.errno or errno.EIO, f"{thing.key}"))
        except ValueError:
            refused.append(Refusal(index, errno.EKEYREJECTED, f"{thing.key}"))
        else:
            asked.setdefault(thing.dev, []).append(_Asked(index, told(thing, step.verb, key)))
    for name, changes in asked.items():
        found = route.transact([LinkMessage(ifname=name).get()])
        for refusal in found.failures:
            refused += [Refusal(change.step, refusal.errno, refusal.extack) for change in changes]
        for reply in found.replies:
            refused += _by_netlink(changes) if _is_kernels(reply) else _by_program(name, changes)
    return sorted(refused, key=lambda refusal: refusal.index)


def answers(name: str) -> bool:
    """Tell whether a program has the socket of the link `name`."""
    try:
        _connected(name).close()
    except OSError:
        return False
    return True


def read(name: str, kind: str) -> Device | None:
    """Return what the device `name`, a link of `kind`, is; None where nothing answers for it."""
    if kind != WIREGUARD:
        try:
            with _connected(name) as program:
                return _asked_of(program, uapi.GET).device
        except OSError:
            return None
    number = family()
    generic = NetlinkSocket(NETLINK_GENERIC)
    try:
        parts = generic.dump(Device(ifname=name).get(number)) if number else []
    finally:
        generic.close()
    return whole(Device.decode(part.payload) for part in parts) if parts else None


def _private_key(thing: WireGuard) -> bytes:
    with open(thing.private_key, encoding="ascii") as file:  # noqa: PTH123 - pathlib costs 10 ms to import
        return from_text(file.read().strip())


def _is_kernels(reply: Envelope) -> bool:
    """Tell whether a link is the kernel's own, else a program serves it."""
    info = LinkMessage.decode(reply.payload, only=("linkinfo",)).linkinfo
    return info is not None and info.kind == WIREGUARD


def _by_netlink(changes: Sequence[_Asked]) -> list[Refusal]:
    number = family()
    generic = NetlinkSocket(NETLINK_GENERIC)
    try:
        failures = generic.transact([change.device.set(number) for change in changes]).failures
    finally:
        generic.close()
    return [Refusal(changes[f.index].step, f.errno, f.extack, f.offset) for f in failures]


def _by_program(name: str, changes: Sequence[_Asked]) -> Iterator[Refusal]:
    """Yield what the program that serves the link `name` refuses; all of it, where it does not answer."""
    left = list(changes)
    try:
        with _connected(name) as program:
            while left:
                answer = _asked_of(program, uapi.setting(left[0].device))
                change = left.pop(0)
                if answer.errno:
                    yield Refusal(change.step, answer.errno)
    except OSError as error:
        said = f"{SOCKETS}/{name}.sock: {error.strerror or error}"
        yield from (Refusal(change.step, error.errno or errno.ETIMEDOUT, said) for change in left)


def _connected(name: str) -> socket.socket:
    program = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        program.settimeout(ANSWER_SECONDS)
        program.connect(f"{SOCKETS}/{name}.sock")
    except OSError:
        program.close()
        raise
    return program


def _asked_of(program: socket.socket, operation: bytes) -> uapi.Answer:
    """Return the answer to one `operation`; raise `ConnectionError` where the program ends before it is whole."""
    program.sendall(operation)
    pieces = [program.recv(_PIECE)]
    while pieces[-1] and not b"".join(pieces[-2:]).endswith(uapi.END):
        pieces.append(program.recv(_PIECE))
    if not pieces[-1]:
        raise ConnectionResetError(errno.ECONNRESET, "it ended amid its answer")
    return uapi.answer(b"".join(pieces))
