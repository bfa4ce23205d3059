"""What became of streams between pods, in words: who lost what, for how long, and when routes were new."""

from podnet.lab import table
from podnet.lab.convergence import EVERY, Flow, Watched


def a_flow(*lost: float, name: str = "n1-red", sent: int = 1000) -> Flow:
    """Return a stream that lost what was sent at these times."""
    return Flow(source=name, target="n2-red", sent=sent, lost=lost)


def told(*flows: Flow, seconds: float = 5.0, **routes: float) -> list[str]:
    """Return the lines."""
    return table.streams(Watched(flows=list(flows), seconds=seconds, routes=routes)).splitlines()


def losses(first: float, last: float) -> tuple[float, ...]:
    """Return the times of all datagrams from first to last."""
    return tuple(first + EVERY * n for n in range(round((last - first) / EVERY) + 1))


def test_streams_that_lose_nothing_are_one_line() -> None:
    """With what was sent over all of them."""
    assert told(a_flow(), a_flow(name="n2-red", sent=23)) == ["  2 of 2 streams lost none of 1023 datagrams"]


def test_a_gap_is_told_by_what_was_lost_its_length_and_its_end() -> None:
    """A length is of one interval at least; others beside it are counted together."""
    assert told(a_flow(*losses(0.1, 0.595)), a_flow(name="n3-red")) == [
        "  n1-red → n2-red  100 lost in 500 ms, answered again 600 ms after it",
        "  1 of 2 streams lost none of 1000 datagrams",
    ]
    assert told(a_flow(0.25))[0] == "  n1-red → n2-red  1 lost in 5 ms, answered again 255 ms after it"


def test_who_is_not_answered_to_the_end_is_told_since_when() -> None:
    """Or that it was not answered before either, as where something else had been cut."""
    assert told(a_flow(*losses(0.05, 4.995)))[0] == "  n1-red → n2-red  no answer since 50 ms after it"
    assert told(a_flow(*losses(-0.5, 4.995)))[0] == "  n1-red → n2-red  no answer still"


def test_who_was_not_answered_before_is_told_when_it_was_again() -> None:
    """As by `lab heal`."""
    assert told(a_flow(*losses(-0.5, 1.245)))[0] == "  n1-red → n2-red  answered again 1250 ms after it"


def test_when_routes_changed_last_is_told_by_node() -> None:
    """Where the nodes have routes by BGP, and any did change."""
    assert told(a_flow(), n1=0.5123, router=3.0)[-1] == (
        "  routes were as they now are: n1 after 512 ms, router after 3000 ms"
    )  # fmt: skip


def test_a_gap_goes_from_the_first_to_the_last_that_was_lost() -> None:
    """Whatever came between; with none there is none."""
    assert a_flow().gap == 0.0
    assert a_flow(0.1, 0.3).gap == 0.3 - 0.1 + EVERY


def test_a_stream_has_ended_where_the_last_was_lost() -> None:
    """Of those that were sent before the streams ended."""
    assert a_flow(*losses(4.0, 4.995)).ended(5.0)
    assert not a_flow(*losses(4.0, 4.9)).ended(5.0)
    assert not a_flow().ended(5.0)
