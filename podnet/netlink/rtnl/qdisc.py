"""Queueing disciplines: RTM_NEWQDISC, RTM_DELQDISC, RTM_GETQDISC (linux/pkt_sched.h, tc(8), tc-tbf(8)).

::

    TCA_TBF_PARMS  struct tc_tbf_qopt
                   rate      cell_log u8 | linklayer u8 | overhead u16 | cell_align s16 | mpu u16 | rate u32   12 bytes
                   peakrate  likewise, unused here                                                             12 bytes
                   limit u32 (bytes) | buffer u32 (ticks) | mtu u32                                            12 bytes
    TCA_TBF_RATE64 u64  bytes/s where the u32 does not hold it
    TCA_TBF_BURST  u32  bytes: exact where `buffer`, a time, is rounded

The 1 KiB table TCA_TBF_RTAB that tc(8) sends too is read by the kernel only if the link layer is not named.
"""

from collections.abc import Mapping
from struct import Struct
from typing import Any, ClassVar, Self

import msgspec

from podnet.errors import DecodeError
from podnet.netlink.attributes import Field, Kind, Layout, u32, u64
from podnet.netlink.message import NETLINK_ROUTE, register
from podnet.netlink.rtnl.object import Options
from podnet.netlink.rtnl.tc import CLSACT_HANDLE, TC_H_CLSACT, TcObject

RTM_NEWQDISC, RTM_DELQDISC, RTM_GETQDISC = 36, 37, 38

TC_LINKLAYER_ETHERNET = 1

PSCHED_TICK_NS = 64  # one tick of the packet scheduler (PSCHED_SHIFT of 6; /proc/net/psched tells the same)

_U32_MAX = 0xFFFFFFFF
_CELL_LOG = 3  # 2047 bytes, tc's default MTU, in at most 256 cells


class TbfParms(msgspec.Struct, frozen=True, gc=False):
    """struct tc_tbf_qopt without a peak rate: `rate` in bytes/s, `limit` in bytes, `buffer` in ticks of 64 ns."""

    rate: int
    limit: int
    buffer: int
    mtu: int = 0
    cell_log: int = _CELL_LOG
    linklayer: int = TC_LINKLAYER_ETHERNET
    overhead: int = 0
    cell_align: int = -1
    mpu: int = 0


_PARMS = Struct("=BBHhHI12xIII")


def _encode_parms(p: TbfParms) -> bytes:
    return _PARMS.pack(p.cell_log, p.linklayer, p.overhead, p.cell_align, p.mpu, p.rate, p.limit, p.buffer, p.mtu)


def _decode_parms(payload: bytes) -> TbfParms:
    if len(payload) < _PARMS.size:
        raise DecodeError(f"struct tc_tbf_qopt of {len(payload)} bytes, not {_PARMS.size}")
    cell_log, linklayer, overhead, cell_align, mpu, rate, limit, buffer, mtu = _PARMS.unpack_from(payload)
    return TbfParms(rate, limit, buffer, mtu, cell_log, linklayer, overhead, cell_align, mpu)


tbf_parms: Kind[TbfParms] = Kind("tbf parms", _encode_parms, _decode_parms)


class Tbf(Options, frozen=True, kw_only=True, gc=False):
    """Options of the token bucket filter; build them with :meth:`Tbf.of`, or with :meth:`Tbf.shaping`."""

    LAYOUT: ClassVar[Layout[Any]] = Layout(
        dict, Field("parms", 1, tbf_parms), Field("burst", 6, u32), Field("rate64", 4, u64)
    )

    parms: TbfParms | None = None
    burst: int | None = None
    rate64: int | None = None

    @classmethod
    def of(cls, rate: int, burst: int, limit: int) -> Self:
        """Return the options of `tbf rate RATE burst BURST limit LIMIT`: bytes/s, bytes, bytes.

        No more than `limit` waits, the rest is dropped.  Raise `ValueError` for what the kernel's fields cannot hold
        or would not pass a packet.
        """
        if rate <= 0 or burst <= 0 or limit <= 0:
            raise ValueError(f"tbf needs numbers above 0: rate {rate}, burst {burst}, limit {limit}")
        told = min(rate, _U32_MAX)
        buffer = -(-burst * 1_000_000_000 // (told * PSCHED_TICK_NS))
        if limit > _U32_MAX or buffer > _U32_MAX or burst > _U32_MAX:
            raise ValueError(f"tbf cannot hold rate {rate} bytes/s, burst {burst} bytes, limit {limit} bytes")
        return cls(parms=TbfParms(told, limit, buffer), burst=burst, rate64=rate if rate > _U32_MAX else None)

    @classmethod
    def shaping(cls, rate: int, burst: int, latency: float) -> Self:
        """Return the options of `tbf rate RATE burst BURST latency LATENCY`: bytes/s, bytes, seconds.

        A packet waits at most `latency`; what would wait longer is dropped.  Raise `ValueError` as :meth:`of` does.
        """
        if latency < 0:
            raise ValueError(f"tbf needs a latency of 0 or above, not {latency}")
        return cls.of(rate, burst, int(rate * latency) + burst)

    @property
    def rate(self) -> int:
        """The rate in bytes/s, from whichever field holds it."""
        return self.rate64 or (self.parms.rate if self.parms else 0)

    @property
    def size(self) -> int:
        """The bucket in bytes: `burst`, or what `buffer` is at the rate, since the kernel tells that alone.

        A tick is a part of a byte below 15 MB/s, and then this is exact.
        """
        if self.burst is not None:
            return self.burst
        return -(-self.parms.buffer * PSCHED_TICK_NS * self.rate // 1_000_000_000) if self.parms else 0


@register(NETLINK_ROUTE, RTM_NEWQDISC, RTM_DELQDISC, RTM_GETQDISC)
class Qdisc(TcObject, frozen=True, kw_only=True, gc=False):
    """A qdisc: `parent` TC_H_ROOT replaces the link's default one.

    A dump gives those of all links, whatever `ifindex` says: the kernel does not filter them.
    """

    NEW: ClassVar[int] = RTM_NEWQDISC
    OPTIONS: ClassVar[Mapping[str, type[Options]]] = {"tbf": Tbf}

    @classmethod
    def clsact(cls, ifindex: int) -> Self:
        """Return the qdisc that holds filters of both directions (`tc qdisc add dev ... clsact`)."""
        return cls(ifindex=ifindex, kind="clsact", handle=CLSACT_HANDLE, parent=TC_H_CLSACT)

    @classmethod
    def ingress(cls, ifindex: int) -> Self:
        """Return the qdisc that holds filters of what arrives (`tc qdisc add dev ... ingress`)."""
        return cls(ifindex=ifindex, kind="ingress", handle=CLSACT_HANDLE, parent=TC_H_CLSACT)
