"""A batch of requests on its way, without a socket: bytes to send, datagrams fed in, refusals and replies out.

All requests go in one datagram, and only the last asks for an acknowledgement: the kernel handles the messages of a
datagram in order, reports every failure whether or not it was asked to, and each answer is queued before the next
message is begun; so the last one's answer says that all others have been given.  ::

    requests  [0] NEWLINK  [1] NEWADDR  [2] NEWROUTE + ACK      one sendmsg
    answers                [1] error -EEXIST   [2] error 0      = done, one refusal, of request 1

A dump ends with NLMSG_DONE instead; the kernel runs one dump per socket at a time, so a transaction has at most one
(it may follow other requests).  In an nftables batch the answer of the last message before NFNL_MSG_BATCH_END counts
(older kernels do not acknowledge the end), and a refused NFNL_MSG_BATCH_BEGIN is the refusal of the whole.

Sources: linux/netlink.h; netlink_rcv_skb(), netlink_dump() and nfnetlink_rcv_batch() of the kernel.
"""

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct

import msgspec

from podnet.errors import DecodeError
from podnet.netlink.attributes import attributes, string
from podnet.netlink.message import (
    HEADER,
    MESSAGES,
    NETLINK_NETFILTER,
    NETLINK_ROUTE,
    NLM_F_ACK,
    NLM_F_DUMP,
    Envelope,
    Message,
    Request,
    envelopes,
    frame,
)

NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE, NLMSG_OVERRUN = 1, 2, 3, 4
NLMSG_MIN_TYPE = 16

NLM_F_DUMP_INTR = 0x10
NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200

NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END = 16, 17

_NLMSGERR_ATTR_MSG, _NLMSGERR_ATTR_OFFS = 1, 2
_NLMSGERR_ATTR_MISS_TYPE, _NLMSGERR_ATTR_MISS_NEST = 5, 6

_ERROR = Struct("=i")
_U32 = Struct("=I")


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """The kernel's no to request `index`: positive `errno`, its own words, and where in the message it saw the fault.

    `offset` counts from the request's struct nlmsghdr (0: not told).  `missing` is the type of an attribute that should
    have been there, `missing_nest` the offset of the nest that lacks it.
    """

    index: int
    errno: int
    extack: str = ""
    offset: int = 0
    missing: int | None = None
    missing_nest: int | None = None


class Transaction:
    """Requests, sent once, and what the kernel answered."""

    def __init__(self, requests: Sequence[Request], sequence: int, *, protocol: int = NETLINK_ROUTE) -> None:
        """Take the `requests` in order; request i goes by the number `sequence` + i (mod 2**32)."""
        if not requests:
            raise ValueError("a transaction needs at least one request")
        self.requests = requests
        self.sequence = sequence
        self.failures: list[Refusal] = []
        self.replies: list[Envelope] = []
        self.interrupted = False  # a dump saw its table change (NLM_F_DUMP_INTR): ask again
        last = len(requests) - 1
        batch = protocol == NETLINK_NETFILTER and requests[0].type == NFNL_MSG_BATCH_BEGIN
        if batch and last and requests[last].type == NFNL_MSG_BATCH_END:
            last -= 1
        self._last = last
        self._fatal = 0 if batch else -1
        self._awaited = {i for i, r in enumerate(requests) if i == last or r.flags & NLM_F_DUMP == NLM_F_DUMP}

    @property
    def done(self) -> bool:
        """Whether every answer has come that will."""
        return not self._awaited

    def request(self) -> bytes:
        """Return the whole batch, to be sent by one call."""
        return b"".join(
            [
                frame(r if i != self._last else r._replace(flags=r.flags | NLM_F_ACK), (self.sequence + i) & 0xFFFFFFFF)
                for i, r in enumerate(self.requests)
            ]
        )

    def feed(self, datagram: bytes) -> None:
        """Take in one received datagram; messages of other sequence numbers are passed over.

        Raise `DecodeError` if it is cut short or is no netlink datagram.
        """
        for envelope in envelopes(datagram):
            index = (envelope.sequence - self.sequence) & 0xFFFFFFFF
            if index < len(self.requests) and self._awaited:
                self._take(index, envelope)

    def _take(self, index: int, envelope: Envelope) -> None:
        if envelope.flags & NLM_F_DUMP_INTR:
            self.interrupted = True
        if envelope.type in {NLMSG_ERROR, NLMSG_DONE}:
            errno, said = _verdict(envelope)
            if errno:
                self.failures.append(_refusal(index, errno, said))
            self._awaited.discard(index)
            if errno and index == self._fatal:
                self._awaited.clear()
        elif envelope.type == NLMSG_OVERRUN:
            self.interrupted = True
        elif envelope.type != NLMSG_NOOP:
            self.replies.append(envelope)


def _verdict(envelope: Envelope) -> tuple[int, bytes]:
    """Return the positive errno (0: none) and the extended acknowledgement's attributes."""
    payload = envelope.payload
    if len(payload) < _ERROR.size:
        if envelope.type == NLMSG_DONE and not payload:
            return 0, b""
        raise DecodeError(f"netlink answer of {len(payload)} bytes, its errno needs {_ERROR.size}")
    errno = -_ERROR.unpack_from(payload)[0]
    if not envelope.flags & NLM_F_ACK_TLVS:
        return errno, b""
    offset = _ERROR.size
    if envelope.type == NLMSG_ERROR:
        if len(payload) < offset + HEADER.size:
            raise DecodeError(f"netlink error of {len(payload)} bytes lacks the header of its request")
        quoted = HEADER.size if envelope.flags & NLM_F_CAPPED else _U32.unpack_from(payload, offset)[0]
        offset += (quoted + 3) & ~3
    return errno, payload[offset:]


def _refusal(index: int, errno: int, said: bytes) -> Refusal:
    found = dict(attributes(said))
    numbers = {t: _U32.unpack(p)[0] for t, p in found.items() if len(p) == _U32.size}
    return Refusal(
        index,
        errno,
        string.decode(found.get(_NLMSGERR_ATTR_MSG, b"")),
        numbers.get(_NLMSGERR_ATTR_OFFS, 0),
        numbers.get(_NLMSGERR_ATTR_MISS_TYPE),
        numbers.get(_NLMSGERR_ATTR_MISS_NEST),
    )


def decode_reply(protocol: int, envelope: Envelope) -> Message:
    """Return the message that `envelope` holds, by the registry; raise `DecodeError` for a type nobody registered."""
    cls = MESSAGES.get((protocol, envelope.type))
    if cls is None:
        raise DecodeError(f"message type {envelope.type} of netlink protocol {protocol} is not known here")
    return cls.decode(envelope.payload)


def chunks(requests: Iterable[Request], limit: int) -> Iterator[list[Request]]:
    """Split `requests` in order into lists of at most `limit` bytes each on the wire (the socket's send buffer).

    A request that alone exceeds the limit is a list of its own, for the kernel to refuse.  Not for an nftables batch:
    its parts would no longer be one.
    """
    chunk: list[Request] = []
    size = 0
    for request in requests:
        length = (HEADER.size + len(request.payload) + 3) & ~3
        if chunk and size + length > limit:
            yield chunk
            chunk, size = [], 0
        chunk.append(request)
        size += length
    if chunk:
        yield chunk
