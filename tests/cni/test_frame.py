"""The frame between shim and daemon, and the answer: their bytes, in whole and in pieces."""

import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet.cni import Answer, AnswerReader, Frame, FrameReader, encode_answer
from podnet.cni.frame import ANSWER_LIMIT, ENVIRONMENT_LIMIT, STDIN_LIMIT
from podnet.errors import DecodeError, DecodingFailure, InvalidEnvironment

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="=\0"), min_size=1)
VALUES = st.binary().map(lambda raw: raw.replace(b"\0", b"").decode("utf-8", "surrogateescape"))
FRAMES = st.builds(Frame, st.dictionaries(NAMES, VALUES, max_size=5), st.binary(), st.integers(0, 4095))


def header(errno: int, environment: int, stdin: int) -> bytes:
    """Return a frame's header, written out."""
    return b"PNF1" + b"".join(n.to_bytes(4, sys.byteorder, signed=n < 0) for n in (errno, environment, stdin))


def test_a_frame_has_the_bytes_that_the_shim_writes() -> None:
    """The header is 16 bytes in host order, then the variables, each with its NUL, then standard input."""
    frame = Frame({"CNI_COMMAND": "DEL", "CNI_ARGS": ""}, b"{}", 2)
    variables = b"CNI_COMMAND=DEL\0CNI_ARGS=\0"
    assert frame.encode() == header(2, len(variables), 2) + variables + b"{}"


@given(FRAMES)
def test_a_frame_survives_the_wire(frame: Frame) -> None:
    """What is encoded is read back equal, whatever the bytes of its values are."""
    assert FrameReader().feed(frame.encode()) == frame


@given(FRAMES, st.data())
def test_a_frame_may_come_in_any_pieces(frame: Frame, data: st.DataObject) -> None:
    """The reader returns None until the last byte, and the frame with it."""
    raw = frame.encode()
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1), max_size=8)))
    reader = FrameReader()
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert [reader.feed(piece) for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    assert reader.feed(pieces[-1]) == frame


def test_the_first_of_two_variables_counts() -> None:
    """As getenv(3) has it."""
    variables = b"CNI_IFNAME=a\0CNI_IFNAME=b\0"
    frame = FrameReader().feed(header(0, len(variables), 0) + variables)
    assert frame == Frame({"CNI_IFNAME": "a"}, b"")


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"GET / HTTP/1.1\r\n", "magic"),
        (b"G", "magic"),
        (b"PNF2" + bytes(12), "magic"),
        (header(-1, 0, 0), "netns_errno at offset 4 is -1"),
        (header(4096, 0, 0), "netns_errno at offset 4 is 4096"),
        (header(0, ENVIRONMENT_LIMIT + 1, 0), "environment_length at offset 8"),
        (header(0, 0, STDIN_LIMIT + 1), "stdin_length at offset 12"),
        (header(0, 0, 1) + b"{}", "1 bytes follow"),
        (header(0, 3, 0) + b"A=B", "does not end in NUL"),
        (header(0, 4, 0) + b"A=B\0" + b"x", "1 bytes follow"),
        (header(0, 2, 0) + b"A\0", "not KEY=VALUE"),
        (header(0, 3, 0) + b"=B\0", "not KEY=VALUE"),
        (header(0, 5, 0) + b"A=B\0\0", "not KEY=VALUE"),
    ],
)
def test_bytes_that_are_no_frame_are_named(raw: bytes, told: str) -> None:
    """Each fault is a DecodeError that says which field, where."""
    with pytest.raises(DecodeError, match=told):
        FrameReader().feed(raw)


def test_a_wrong_magic_is_told_at_once_in_pieces_too() -> None:
    """A peer that speaks another protocol is not waited for."""
    reader = FrameReader()
    assert reader.feed(b"PN") is None
    with pytest.raises(DecodeError, match="magic"):
        reader.feed(b"X")


@given(FRAMES, st.data())
def test_a_stream_that_ends_inside_a_frame_is_an_error(frame: Frame, data: st.DataObject) -> None:
    """An empty feed is the end of the stream; the error says how far it came."""
    raw = frame.encode()
    reader = FrameReader()
    length = data.draw(st.integers(0, len(raw) - 1))
    if length:
        assert reader.feed(raw[:length]) is None
    with pytest.raises(DecodeError, match=f"ended after {length} "):
        reader.feed(b"")


@given(st.binary(), st.integers(0, 40))
def test_any_bytes_are_a_frame_or_a_decode_error(noise: bytes, stdin: int) -> None:
    """The decoder raises nothing else."""
    for raw in (noise, header(0, max(0, len(noise) - stdin), stdin) + noise):
        try:
            frame = FrameReader().feed(raw)
        except DecodeError:
            continue
        assert frame is None or isinstance(frame, Frame)


@pytest.mark.parametrize(
    "environment", [{"": "x"}, {"A=B": "x"}, {"A\0": "x"}, {"A": "x\0B=y"}], ids=["empty", "equals", "nul", "nul-value"]
)
def test_a_variable_that_would_become_another_is_refused(environment: dict[str, str]) -> None:
    """What cannot be an environment variable is not sent as one."""
    with pytest.raises(InvalidEnvironment):
        Frame(environment, b"").encode()


def test_standard_input_has_the_shim_s_limit() -> None:
    """One MiB is sent, a byte more is CNI error 6."""
    whole = Frame({}, b" " * STDIN_LIMIT)
    assert FrameReader().feed(whole.encode()) == whole
    with pytest.raises(DecodingFailure, match="at most 1048576"):
        Frame({}, b" " * (STDIN_LIMIT + 1)).encode()


@given(st.integers(0, 255), st.binary())
def test_an_answer_survives_the_wire_whole_and_byte_by_byte(status: int, stdout: bytes) -> None:
    """Exit status and output come back as sent, and not a byte too early."""
    raw = encode_answer(status, stdout)
    assert raw == struct.pack("=II", status, len(stdout)) + stdout
    assert AnswerReader().feed(raw) == Answer(status, stdout)
    reader = AnswerReader()
    read = [reader.feed(raw[i : i + 1]) for i in range(len(raw))]
    assert read == [None] * (len(raw) - 1) + [Answer(status, stdout)]


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "ended after 0 bytes"),
        (encode_answer(0, b"x") + b"y", "1 bytes follow"),
        (struct.pack("=II", 0, ANSWER_LIMIT + 1), "over"),
    ],
)
def test_bytes_that_are_no_answer_are_named(raw: bytes, told: str) -> None:
    """Each fault is a DecodeError that says what is wrong."""
    with pytest.raises(DecodeError, match=told):
        AnswerReader().feed(raw)


def test_an_answer_cut_short_is_an_error() -> None:
    """A daemon that dies while it answers is noticed."""
    reader = AnswerReader()
    assert reader.feed(encode_answer(0, b"{}")[:-1]) is None
    with pytest.raises(DecodeError, match="ended after 9 bytes"):
        reader.feed(b"")
