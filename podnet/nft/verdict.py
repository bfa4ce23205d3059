"""Verdicts, and the data that registers and elements hold: raw bytes or a verdict (enum nft_data_attributes)."""

from struct import Struct

import msgspec

from podnet.errors import DecodeError
from podnet.netlink.attributes import Kind, attribute, attributes, string

_S32 = Struct(">i")
_NESTED = 0x8000
_VALUE, _VERDICT = 1, 2
_CODE, _CHAIN = 1, 2

CODES = {"drop": 0, "accept": 1, "continue": -1, "break": -2, "jump": -3, "goto": -4, "return": -5}
_NAMES = {code: name for name, code in CODES.items()}


def _decode_s32(payload: bytes) -> int:
    if len(payload) != _S32.size:
        raise DecodeError(f"s32 attribute of {len(payload)} bytes, not {_S32.size}")
    number: int = _S32.unpack(payload)[0]
    return number


signed_be32: Kind[int] = Kind("sbe32", _S32.pack, _decode_s32)


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What becomes of a packet: ``accept``, ``drop``, ``continue``, ``return``, or ``jump``/``goto`` `chain`."""

    name: str
    chain: str = ""

    def __post_init__(self) -> None:
        """Refuse an unknown verdict and a chain where none belongs (or none where one does)."""
        if self.name not in CODES:
            raise ValueError(f"verdict {self.name!r} is none of {', '.join(CODES)}")
        if (self.name in {"jump", "goto"}) != bool(self.chain):
            raise ValueError(f"verdict {self.name} {'needs a' if not self.chain else 'takes no'} chain")

    @property
    def text(self) -> str:
        """The verdict as nft(8) writes it."""
        return f"{self.name} {self.chain}" if self.chain else self.name


Datum = bytes | Verdict


def encode_datum(datum: Datum) -> bytes:
    """Return the payload of an attribute that holds `datum`."""
    if isinstance(datum, bytes):
        return attribute(_VALUE, datum)
    code = attribute(_CODE, _S32.pack(CODES[datum.name]))
    chain = attribute(_CHAIN, string.encode(datum.chain)) if datum.chain else b""
    return attribute(_VERDICT | _NESTED, code + chain)


def decode_datum(payload: bytes) -> Datum:
    """Return the bytes or verdict in `payload`."""
    for number, content in attributes(payload):
        if number == _VALUE:
            return content
        if number == _VERDICT:
            inner = dict(attributes(content))
            code = _decode_s32(inner.get(_CODE, b""))
            if code not in _NAMES:
                raise DecodeError(f"verdict code {code} is unknown")
            return Verdict(_NAMES[code], string.decode(inner.get(_CHAIN, b"")))
    raise DecodeError("data attribute without value or verdict")


DATA: Kind[Datum] = Kind("data", encode_datum, decode_datum, nested=True)

ACCEPT, DROP = Verdict("accept"), Verdict("drop")
CONTINUE, RETURN = Verdict("continue"), Verdict("return")


def jump(chain: str) -> Verdict:
    """Return the verdict that goes on in `chain` and comes back at its end."""
    return Verdict("jump", chain)


def goto(chain: str) -> Verdict:
    """Return the verdict that goes on in `chain` and does not come back."""
    return Verdict("goto", chain)
