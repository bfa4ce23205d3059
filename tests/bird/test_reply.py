"""What BIRD answers at its control socket: whole, in pieces, and what is no answer of BIRD's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet.bird import Replies, Reply
from podnet.bird import reply as module
from podnet.errors import DecodeError

# As BIRD 2.0.12 has sent them.
CASES = {
    "the welcome": (b"0001 BIRD 2.0.12 ready.\n", Reply(1, ("BIRD 2.0.12 ready.",))),
    "nothing to say": (b"0000 \n", Reply(0, ())),
    "a code alone": (b"0000\n", Reply(0, ())),
    "a table": (
        (b"2002-Name       Proto      Table      State  Since         Info\n"
        b"1002-podnet_own4 Static     master4    up     2026-11-29 18:18:01.994  \n"
        b" podnet.n2.4 BGP        ---        up     2026-11-29 18:18:02.952  Established   \n"
        b"1006-  BGP state:          Established\n"
        b"     Neighbor address: 10.99.0.101\n"
        b" \n"
        b"0000 \n"),
        Reply(
            0,
            (
                "Name       Proto      Table      State  Since         Info",
                "podnet_own4 Static     master4    up     2026-11-29 18:18:01.994  ",
                "podnet.n2.4 BGP        ---        up     2026-11-29 18:18:02.952  Established   ",
                "  BGP state:          Established",
                "    Neighbor address: 10.99.0.101",
                "",
            ),
        ),
    ),
    "read anew": (
        b"0002-Reading configuration from /run/podnet/bird/bird.conf\n0003 Reconfigured\n",
        Reply(3, ("Reading configuration from /run/podnet/bird/bird.conf", "Reconfigured")),
    ),
    "refused": (
        b"0002-Reading configuration from /x/bird.conf\n8002 /x/bird.conf:3:5 syntax error, unexpected '}'\n",
        Reply(
            8002, ("Reading configuration from /x/bird.conf", "/x/bird.conf:3:5 syntax error, unexpected '}'")
        ),
    ),
    "not understood": (b"9001 syntax error, unexpected CF_SYM_UNDEFINED\n", Reply(
        9001, ("syntax error, unexpected CF_SYM_UNDEFINED",)
    )),
    "with lines of the log": (b"+podnet.n2.4: Connected\n0013-x\n+more\n0000 \n", Reply(0, ("x",))),
    "another's letters": (b"1000-caf\xe9\n0000 \xff\n", Reply(0, ("caf�", "�"))),
}  # fmt: skip
TRAILING = b"0001 BIRD"


@pytest.mark.parametrize("case", CASES)
def test_a_reply_is_the_same_however_it_comes(case: str) -> None:
    """Whole, byte by byte, and with the beginning of the next behind it."""
    data, reply = CASES[case]
    assert Replies().feed(data) == [reply]
    slow = Replies()
    pieces = [slow.feed(data[i : i + 1]) for i in range(len(data))]
    assert [*pieces[:-1], pieces[-1]] == [[]] * (len(data) - 1) + [[reply]]
    replies = Replies()
    assert replies.feed(data + TRAILING) == [reply]
    assert replies.feed(b" 2.0.12 ready.\n") == [CASES["the welcome"][1]]


@given(st.lists(st.sampled_from(list(CASES.values()))), st.data())
def test_replies_come_in_order_wherever_they_are_cut(cases: list[tuple[bytes, Reply]], data: st.DataObject) -> None:
    """Several at once, or one in pieces."""
    stream = b"".join(said for said, _ in cases)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    replies = Replies()
    ends = zip([0, *cuts], [*cuts, len(stream)], strict=True)
    assert [one for start, end in ends for one in replies.feed(stream[start:end])] == [reply for _, reply in cases]


LINES = st.sampled_from([b"0000 ", b"1002-x", b" y", b"+z", b"9001 no", b"000", b"", b"00000", b"x", b"-1 x"])


@given(st.lists(st.binary(max_size=40) | st.lists(LINES).map(b"\n".join)))
def test_any_bytes_are_replies_or_a_decode_error(pieces: list[bytes]) -> None:
    """Whatever listens at the socket; and a reply's code has four digits."""
    replies = Replies()
    try:
        found = [one for piece in pieces for one in replies.feed(piece)]
    except DecodeError:
        return
    assert all(0 <= one.code <= 9999 for one in found)


@pytest.mark.parametrize(
    "data",
    [b"HTTP/1.1 400 Bad Request\r\n", b"\n", b"000\n", b"12a4 x\n", b"00001 x\n", b"0000_x\n", "٣٣٣٣ x\n".encode()],
)
def test_what_bird_does_not_say_is_shown(data: bytes) -> None:
    """The error has the line's beginning, and what may be the matter."""
    with pytest.raises(DecodeError, match="is no line of a reply; is the socket another program's") as caught:
        Replies().feed(data)
    assert repr(data.decode().removesuffix("\n")[:80]) in str(caught.value)


@pytest.mark.parametrize("line", [b"1002-more\n", b"x" * 10, b" more\n"])
def test_a_reply_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch, line: bytes) -> None:
    """Of many lines, or of one; what came before it does not count."""
    monkeypatch.setattr(module, "LONGEST", 1000)
    replies = Replies()
    for _ in range(100):
        assert len(replies.feed(b"1002-more\n0000 \n")) == 1
    for _ in range(1000 // len(line)):
        assert replies.feed(line) == []
    with pytest.raises(DecodeError, match="has no end after 10"):
        replies.feed(line)


def test_what_came_with_the_reply_before_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the beginning of one that has no end."""
    monkeypatch.setattr(module, "LONGEST", 1000)
    replies = Replies()
    assert len(replies.feed(b"0000 \n" + b"x" * 900)) == 1
    with pytest.raises(DecodeError, match="has no end after 1100"):
        replies.feed(b"x" * 200)


@pytest.mark.parametrize(
    ("code", "refused"), [(0, False), (3, False), (1002, False), (7999, False), (8000, True), (9001, True)]
)
def test_refusals_are_known_by_their_class(code: int, refused: bool) -> None:
    """8xxx: it could not be done; 9xxx: it was not understood."""
    assert Reply(code, ()).refused == refused


def test_lines_are_one_text_for_an_error() -> None:
    """With what separates them."""
    assert Reply(8002, ("one", "two")).text == "one; two"
