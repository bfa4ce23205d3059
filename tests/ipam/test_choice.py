"""Which address is given, against an oracle that sorts every free address of every range."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podnet.errors import AddressUnavailable
from podnet.ipam import Free, Holder, Pool, choose, match_requested, pool_of
from podnet.model import Range

IPAddress = IPv4Address | IPv6Address
LedgerMaker = Callable[[dict[IPAddress, Any]], Any]
NOW, QUARANTINE = 1000.0, 60.0

fates = st.one_of(
    st.none(),
    st.builds(Holder, st.just("container c (eth0)"), st.booleans()),
    st.floats(NOW - 100, NOW + 5),  # a clock that went back leaves releases in the future
)


held = st.builds(Holder, st.just("container c (eth0)"), st.booleans())
young = st.floats(NOW - 30, NOW)
# Anything; crowded, nothing untouched; and all of it held or released just now, where quarantine decides.
eighteen = st.one_of(
    *(st.lists(fate, min_size=18, max_size=18) for fate in (fates, st.one_of(held, young, st.just(NOW - 70)), young)),
    st.lists(st.one_of(held, young), min_size=18, max_size=18),
)


def pools_from(make_range: Callable[..., Range], *subnets: str) -> list[Pool]:
    """Return the pools of whole subnets."""
    return [pool_of(make_range(subnet)) for subnet in subnets]


def known_of(pools: list[Pool], drawn: list[Any]) -> dict[IPAddress, Any]:
    """Give each address of `pools` its drawn fate."""
    numbers = [(pool, pool.at(i)) for pool in pools for i in range(pool.size)]
    return {
        pool.address(number): Free(number, fate) if isinstance(fate, float) else fate
        for (pool, number), fate in zip(numbers, drawn, strict=False)
        if fate is not None
    }


@settings(deadline=None)
@given(drawn=eighteen)
def test_the_longest_free_address_is_given(
    drawn: list[Any], make_range: Callable[..., Range], dict_ledger: LedgerMaker
) -> None:
    """Range by range: never held, then rested; then whatever was released first anywhere; else an error."""
    pools = pools_from(make_range, "10.0.0.0/29", "10.0.1.0/28")
    ledger = dict_ledger(known_of(pools, drawn))
    ranked: list[tuple[int, int, float, int]] = []
    for order, pool in enumerate(pools):
        usable = ledger.usable(pool.range)
        free = sum(not isinstance(ledger.known.get(a), Holder) for a in usable)
        rest = QUARANTINE * (free / len(usable))
        for address in usable:
            known = ledger.known.get(address)
            if known is None:
                ranked.append((order, 0, 0.0, int(address)))
            elif isinstance(known, Free):
                rested = NOW - known.released >= rest
                ranked.append((order if rested else 99, 1, known.released, int(address)))
    if not ranked:
        with pytest.raises(AddressUnavailable):
            choose(pools, ledger, now=NOW, quarantine=QUARANTINE)
        return
    # Within the last resort ranges are equal, and of two released at once the earlier range's goes first, as sorted.
    choice = choose(pools, ledger, now=NOW, quarantine=QUARANTINE)
    assert choice.address == min(ranked)[3]
    assert choice.address in choice.pool
    assert choice.untouched == (choice.pool.address(choice.address) not in ledger.known)


@settings(deadline=None)
@given(drawn=st.lists(fates, min_size=5, max_size=5), wanted=st.integers(0, 7))
def test_a_requested_address_is_given_unless_held_or_unusable(
    drawn: list[Any], wanted: int, make_range: Callable[..., Range], dict_ledger: LedgerMaker
) -> None:
    """Quarantine does not refuse a request by name; holders, gateway and reserved addresses do."""
    pools = pools_from(make_range, "10.0.0.0/29")
    ledger = dict_ledger(known_of(pools, drawn))
    requested = pools[0].range.subnet[wanted]
    known = ledger.known.get(requested)
    if requested not in ledger.usable(pools[0].range) or isinstance(known, Holder):
        with pytest.raises(AddressUnavailable, match=str(requested)):
            choose(pools, ledger, now=NOW, quarantine=QUARANTINE, requested=requested)
        return
    choice = choose(pools, ledger, now=NOW, quarantine=QUARANTINE, requested=requested)
    assert (choice.address, choice.untouched) == (int(requested), known is None)


def test_a_later_range_without_rest_is_preferred_to_an_earlier_one_at_rest(
    make_range: Callable[..., Range], dict_ledger: LedgerMaker
) -> None:
    """An address in quarantine is not given while another is free, in whichever range that is."""
    pools = pools_from(make_range, "10.0.0.0/30", "10.0.1.0/30")
    resting = {ip_address("10.0.0.2"): Free(int(ip_address("10.0.0.2")), NOW - 1)}
    assert choose(pools, dict_ledger(resting), now=NOW, quarantine=60).address == int(ip_address("10.0.1.2"))


def test_where_everything_rests_the_longest_released_of_any_range_is_given(
    make_range: Callable[..., Range], dict_ledger: LedgerMaker
) -> None:
    """Rather than an error, and whichever range it is in."""
    pools = pools_from(make_range, "10.0.0.0/30", "10.0.1.0/30", "10.0.2.0/30")
    released = {"10.0.0.2": NOW - 2, "10.0.1.2": NOW - 3, "10.0.2.2": NOW - 1}
    resting = {ip_address(a): Free(int(ip_address(a)), at) for a, at in released.items()}
    choice = choose(pools, dict_ledger(resting), now=NOW, quarantine=60)
    assert (choice.address, choice.untouched) == (int(ip_address("10.0.1.2")), False)


def test_exhaustion_tells_range_numbers_and_remedy(make_range: Callable[..., Range], dict_ledger: LedgerMaker) -> None:
    """The error says how many are live, how many await removal, and what to do in either case."""
    pools = pools_from(make_range, "10.0.0.0/29")
    live = {pools[0].address(pools[0].at(i)): Holder(f"c{i}", cut=False) for i in range(5)}
    with pytest.raises(AddressUnavailable) as full:
        choose(pools, dict_ledger(live), now=NOW, quarantine=60)
    assert full.value.msg == (
        "no free address in 10.0.0.0/29 (10.0.0.0 to 10.0.0.7): 5 usable, 5 live, 0 in quarantine until removed; "
        "delete pods, or give the network a larger range or a further range in `ranges`"
    )
    live[ip_address("10.0.0.4")] = Holder("c2", cut=True)
    with pytest.raises(AddressUnavailable, match=r"5 usable, 4 live, 1 in quarantine until removed; .*try again"):
        choose(pools, dict_ledger(live), now=NOW, quarantine=60)


@pytest.mark.parametrize(
    ("requested", "told"),
    [
        ("10.0.0.1", "is the gateway of 10.0.0.0/24"),
        ("10.0.0.77", "is excluded from 10.0.0.0/24"),
        ("10.9.9.9", "is in no range of the network (10.0.0.0/24"),
        ("fd01::1", "is in no range of the network (fd00::/64"),
        ("10.0.0.255", "is in no range"),
    ],
)
def test_a_request_that_no_range_can_give_is_told_why(
    requested: str, told: str, make_range: Callable[..., Range], dict_ledger: LedgerMaker
) -> None:
    """Gateway, excluded, outside, and the broadcast address; by `match_requested` and by `choose` alike."""
    sets = [[pool_of(make_range("10.0.0.0/24", exclude=["10.0.0.64/26"]))], [pool_of(make_range("fd00::/64"))]]
    address = ip_address(requested)
    with pytest.raises(AddressUnavailable) as error:
        match_requested(sets, [address])
    assert error.value.msg.startswith(f"requested address {requested} {told}")
    with pytest.raises(AddressUnavailable):
        choose([*sets[0], *sets[1]], dict_ledger({}), now=NOW, quarantine=60, requested=address)


def test_a_family_without_range_is_told_so(make_range: Callable[..., Range]) -> None:
    """Requesting IPv6 of an IPv4 network."""
    with pytest.raises(AddressUnavailable, match=r"none is of IPv6"):
        match_requested([pools_from(make_range, "10.0.0.0/24")], [ip_address("fd00::9")])


def test_requests_are_matched_to_their_range_sets(make_range: Callable[..., Range]) -> None:
    """In any order, each to the set that has it; a set without request chooses freely; twice the same is once."""
    sets = [pools_from(make_range, "10.0.0.0/24"), pools_from(make_range, "fd00::/64")]
    v4, v6 = ip_address("10.0.0.9"), ip_address("fd00::9")
    assert match_requested(sets, [v6, v4]) == (v4, v6)
    assert match_requested(sets, [v6, v6]) == (None, v6)
    with pytest.raises(AddressUnavailable, match="one of them"):
        match_requested(sets, [v4, ip_address("10.0.0.10")])


def test_who_holds_a_requested_address_is_named(make_range: Callable[..., Range], dict_ledger: LedgerMaker) -> None:
    """With what to do, which differs for a pod that is being removed."""
    pools = pools_from(make_range, "10.0.0.0/29")
    wanted = ip_address("10.0.0.3")
    for cut, remedy in ((False, "delete that container first"), (True, "try again")):
        ledger = dict_ledger({wanted: Holder("container abc (eth0)", cut)})
        with pytest.raises(AddressUnavailable, match=rf"10\.0\.0\.3 is held by container abc \(eth0\); .*{remedy}"):
            choose(pools, ledger, now=NOW, quarantine=60, requested=wanted)
