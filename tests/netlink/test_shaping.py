"""The token bucket's numbers, against tc(8) and against what the kernel keeps of them."""

from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podnet.netlink.message import NETLINK_ROUTE, Request
from podnet.netlink.rtnl import Qdisc, Tbf
from podnet.netlink.rtnl.qdisc import PSCHED_TICK_NS
from podnet.netlink.rtnl.tc import TC_H_ROOT
from podnet.netlink.transaction import Transaction, decode_reply


class Netns(Protocol):
    """What these tests use of a namespace."""

    def run_transaction(self, *requests: Request) -> Transaction:
        """Send requests there and wait for the answers."""

    def shell(self, script: str) -> str:
        """Run a script there."""

    def json(self, command: str) -> Any:
        """Run a command there and decode its output."""


def test_a_tick_is_the_kernels() -> None:
    """/proc/net/psched says how many nanoseconds a tick is: us per tick times ns per us, as tc computes it."""
    numerator, denominator, _, _ = (int(word, 16) for word in Path("/proc/net/psched").read_text().split())
    assert denominator * 1000 // numerator == PSCHED_TICK_NS


@settings(deadline=None)
@given(st.integers(1, 2**40), st.integers(1, 2**31), st.floats(0, 1))
def test_shaping_holds_or_is_refused(rate: int, burst: int, latency: float) -> None:
    """The options keep rate and burst exactly and room for the latency, or the numbers are refused."""
    try:
        options = Tbf.shaping(rate, burst, latency)
    except ValueError as error:
        assert "tbf" in str(error)  # noqa: PT017 - either outcome is right, each with its own claim
        return
    assert options.parms is not None
    assert (options.rate, options.burst) == (rate, burst)
    assert 0 <= options.parms.limit - burst - rate * latency + 1 <= 1 + rate * latency * 1e-9
    told = min(rate, 2**32 - 1)
    assert 0 <= options.parms.buffer * PSCHED_TICK_NS * told - burst * 10**9 < PSCHED_TICK_NS * told


@pytest.mark.parametrize(("rate", "burst", "latency"), [(0, 1, 1), (1, 0, 1), (1, 1, -1), (2**33, 1500, 1)])
def test_numbers_that_mean_nothing_are_refused(rate: int, burst: int, latency: float) -> None:
    """No rate, no burst, a negative latency, or a queue larger than the kernel's field."""
    with pytest.raises(ValueError, match="tbf"):
        Tbf.shaping(rate, burst, latency)


@pytest.mark.parametrize(
    ("rate", "burst", "limit"), [(0, 1, 1), (1, 0, 1), (1, 1, 0), (1, 2**31, 1), (2**33, 2**32, 1), (2**33, 1, 2**32)]
)
def test_a_limit_is_refused_like_a_latency(rate: int, burst: int, limit: int) -> None:
    """Zero, a burst of more than 274 s, and sizes beyond 32 bits."""
    with pytest.raises(ValueError, match="tbf"):
        Tbf.of(rate, burst, limit)


@settings(deadline=None)
@given(st.integers(1, 2**40), st.integers(1, 2**31), st.integers(1, 2**32 - 1))
def test_the_bucket_is_read_from_the_time_it_takes(rate: int, burst: int, limit: int) -> None:
    """Without TCA_TBF_BURST, which the kernel does not tell, the size is right to a tick's bytes at the rate."""
    try:
        options = Tbf.of(rate, burst, limit)
    except ValueError:
        return
    assert options.size == burst
    told = msgspec.structs.replace(options, burst=None)
    if rate < 2**32:
        assert 0 <= told.size - burst <= 1 + rate * PSCHED_TICK_NS // 10**9
    assert Tbf().size == 0


@pytest.mark.live
@pytest.mark.parametrize("rate", [1, 100_000, 12_345_679, 2**32 + 1, 12_500_000_000])
def test_the_kernel_keeps_rate_and_limit_and_nearly_the_burst(rate: int, netns: Netns) -> None:
    """Rate and limit are told as they were given, the burst to a tick; below 15 MB/s all three are exact."""
    netns.shell("ip link add e0 index 50 type veth peer name p0")
    burst = 200 if rate == 1 else 15_001
    options = Tbf.of(rate, burst, 54_321)
    sent = netns.run_transaction(Qdisc(ifindex=50, parent=TC_H_ROOT, kind="tbf", options=options).replace())
    assert not sent.failures
    found = [decode_reply(NETLINK_ROUTE, e) for e in netns.run_transaction(Qdisc().dump()).replies]
    (kept,) = [q.options for q in found if isinstance(q, Qdisc) and q.ifindex == 50 and isinstance(q.options, Tbf)]
    assert kept.parms is not None
    assert (kept.rate, kept.parms.limit) == (rate, 54_321)
    assert abs(kept.size - burst) <= (0 if rate < 15_000_000 else 1 + rate * PSCHED_TICK_NS // 10**9)


@pytest.mark.live
@pytest.mark.parametrize("rate", [100_000, 1_250_000, 125_000_000, 2**32, 12_500_000_000])
@pytest.mark.parametrize("burst", [1600, 15_000, 4_000_000])
def test_tc_computes_the_same(rate: int, burst: int, netns: Netns) -> None:
    """What tc makes of a rate, a burst and a latency decodes to what `Tbf.shaping` makes of them."""
    netns.shell("ip link add e0 index 50 type veth peer name p0")
    netns.shell(f"tc qdisc add dev e0 root handle 1: tbf rate {rate * 8}bit burst {burst}b latency 50ms")
    found = [decode_reply(NETLINK_ROUTE, e) for e in netns.run_transaction(Qdisc().dump()).replies]
    (theirs,) = [q.options for q in found if isinstance(q, Qdisc) and q.ifindex == 50 and isinstance(q.options, Tbf)]
    ours = Tbf.shaping(rate, burst, 0.05)
    assert theirs.parms is not None
    assert ours.parms is not None
    assert theirs.rate == ours.rate
    assert (theirs.parms.rate, theirs.parms.limit) == (ours.parms.rate, ours.parms.limit)
    netns.run_transaction(Qdisc(ifindex=50, handle=0x10000, parent=TC_H_ROOT, kind="tbf", options=ours).replace())
    again = [decode_reply(NETLINK_ROUTE, e) for e in netns.run_transaction(Qdisc().dump()).replies]
    (kept,) = [q.options for q in again if isinstance(q, Qdisc) and q.ifindex == 50 and isinstance(q.options, Tbf)]
    assert kept == theirs
