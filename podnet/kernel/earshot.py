"""What a listening socket is woken for: classic BPF programs that drop the rest in the kernel (linux/filter.h).

podnet's own changes are notified too, ten messages to an ADD; so is all that others do which takes nothing away.
Neither is to cost the daemon anything.  A program sees a notification from its header on::

    0  nlmsg_len u32 | 4 nlmsg_type u16 | 6 nlmsg_flags u16 | 8 nlmsg_seq u32 | 12 nlmsg_pid u32     struct nlmsghdr
    16 struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type u8 …
    16 struct ndmsg: family u8, pad u8 u16 | 20 ifindex s32 | 24 state u16 …
    16 struct nfgenmsg, then NFTA_GEN_ID (be32 at 24) and NFTA_GEN_PROC_PID (be32 at 32) …

nlmsg_pid is the port of the socket that asked for the change, 0 where the kernel did it of itself (of links since 6.2;
before, their changes are all heard).
"""

from collections.abc import Iterable, Sequence
from struct import Struct, pack, unpack
from typing import NamedTuple

from podnet.netlink.message import NLM_F_REPLACE
from podnet.netlink.rtnl.addr import RTM_DELADDR, RTM_NEWADDR
from podnet.netlink.rtnl.link import RTM_DELLINK, RTM_NEWLINK
from podnet.netlink.rtnl.neigh import NUD_PERMANENT, RTM_DELNEIGH, RTM_NEWNEIGH
from podnet.netlink.rtnl.route import RTM_DELROUTE, RTM_NEWROUTE
from podnet.nft.message import NEWGEN

_INSTRUCTION = Struct("=HBBI")  # struct sock_filter: code, jt, jf, k
_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE = 0x20, 0x28, 0x30  # BPF_LD | BPF_W, BPF_H, BPF_B | BPF_ABS
_JUMP_EQUAL, _JUMP_SET = 0x15, 0x45  # BPF_JMP | BPF_JEQ, BPF_JSET | BPF_K
_RETURN = 0x06
_WHOLE, _NOTHING = 0xFFFFFFFF, 0
_TYPE, _FLAGS, _PORT, _DST_LEN, _STATE, _PROCESS = 4, 6, 12, 17, 24, 32


class _Rule(NamedTuple):
    """Messages of a `type` pass: all, those with a bit of `mask` at `at`, or those whose byte at `at` is 0."""

    type: int
    load: int = 0
    at: int = 0
    mask: int = 0


_ROUTE_RULES = (
    _Rule(RTM_NEWLINK),
    _Rule(RTM_DELLINK),
    _Rule(RTM_NEWADDR),
    _Rule(RTM_DELADDR),
    _Rule(RTM_DELROUTE),
    _Rule(RTM_DELNEIGH),
    _Rule(RTM_NEWROUTE, _LOAD_HALF, _FLAGS, NLM_F_REPLACE),  # another took the place of one
    _Rule(RTM_NEWROUTE, _LOAD_BYTE, _DST_LEN),  # a default route: the uplink may be another
    _Rule(RTM_NEWNEIGH, _LOAD_HALF, _STATE, NUD_PERMANENT),  # likewise; learned ones come and go
)


def route_changes(own: Iterable[int]) -> bytes:
    """Return the program for rtnetlink: what goes, is replaced, or concerns links, less what sockets `own` did.

    `own` are the ports (nlmsg_pid) of podnet's sockets.
    """
    program: list[tuple[int, int, int, int]] = [(_LOAD_WORD, 0, 0, _PORT)]
    for port in own:
        program += _unless(_JUMP_EQUAL, _swapped(port, 4), _NOTHING)
    for rule in _ROUTE_RULES:
        passes = [(_RETURN, 0, 0, _WHOLE)]
        if rule.mask:
            passes = [(rule.load, 0, 0, rule.at), *_unless(_JUMP_SET, _swapped(rule.mask, 2), _WHOLE)]
        elif rule.load:
            passes = [(rule.load, 0, 0, rule.at), *_unless(_JUMP_EQUAL, 0, _WHOLE)]
        program += [(_LOAD_HALF, 0, 0, _TYPE), (_JUMP_EQUAL, 0, len(passes), _swapped(rule.type, 2)), *passes]
    return _assembled([*program, (_RETURN, 0, 0, _NOTHING)])


def ruleset_changes(process: int) -> bytes:
    """Return the program for nftables: generations of the ruleset that another than `process` made.

    `process` is the number by which the kernel knows the thread, which is not this PID namespace's.
    """
    return _assembled(
        [
            (_LOAD_HALF, 0, 0, _TYPE),
            (_JUMP_EQUAL, 1, 0, _swapped(NEWGEN, 2)),
            (_RETURN, 0, 0, _NOTHING),
            (_LOAD_WORD, 0, 0, _PROCESS),
            *_unless(_JUMP_EQUAL, process, _NOTHING),
            (_RETURN, 0, 0, _WHOLE),
        ]
    )


def _unless(jump: int, operand: int, verdict: int) -> Sequence[tuple[int, int, int, int]]:
    """Return what ends the program with `verdict` where `jump` is taken."""
    return [(jump, 0, 1, operand), (_RETURN, 0, 0, verdict)]


def _swapped(number: int, size: int) -> int:
    """Return a number of the host's byte order as a program reads it: loads are in network byte order."""
    swapped: int
    if size == 2:  # noqa: PLR2004 - bytes of a half word
        (swapped,) = unpack(">H", pack("=H", number))
    else:
        (swapped,) = unpack(">I", pack("=I", number))
    return swapped


def _assembled(program: Sequence[tuple[int, int, int, int]]) -> bytes:
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in program)
