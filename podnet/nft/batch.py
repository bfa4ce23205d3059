"""Batch: several changes that the kernel makes all at once, or not at all (nfnetlink.c, nfnetlink_rcv_batch).

::

    NFNL_MSG_BATCH_BEGIN   nfgenmsg.resource = subsystem, optional NFNL_BATCH_GENID
    request …
    NFNL_MSG_BATCH_END

Every message carries its own sequence number.  If one is refused the kernel goes on to the end to find the others
that would be, makes no change, and answers an NLMSG_ERROR per refused message: its sequence names the message.  An
error that the commit itself meets is told with the sequence of the begin message.
"""

from collections.abc import Iterable

from podnet.netlink.attributes import attribute, be32
from podnet.netlink.message import Request
from podnet.nft.message import GETGEN, NFGENMSG, NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, NFNL_SUBSYS_NFTABLES

_BATCH_GENID = 1
_ENVELOPE = NFGENMSG.pack(0, 0, NFNL_SUBSYS_NFTABLES)


def batch(requests: Iterable[Request], *, generation: int | None = None) -> tuple[Request, ...]:
    """Return `requests` between begin and end.  Who sends them asks for acknowledgements (netlink.transaction).

    With `generation` (of a ``GETGEN`` before) the kernel refuses the batch with ERESTART if the ruleset has changed
    since.
    """
    begin = _ENVELOPE if generation is None else _ENVELOPE + attribute(_BATCH_GENID, be32.encode(generation))
    return (
        Request(NFNL_MSG_BATCH_BEGIN, 0, begin),
        *requests,
        Request(NFNL_MSG_BATCH_END, 0, _ENVELOPE),
    )


def get_generation() -> Request:
    """Return the question for the ruleset's generation, answered by one `GenerationMessage`."""
    return Request(GETGEN, 0, NFGENMSG.pack(0, 0, 0))
