"""Keys: 32 bytes of Curve25519 (RFC 7748), written in base64 as wg(8) writes them.

The public key is computed here, as the protocol has it, because nobody else tells it when it is needed: the kernel
knows it of a device that is there already, wireguard-go tells private keys alone, and Python's standard library has no
X25519.  It is one multiplication, at a node's start.  Python's integers take a time that depends on their values, so
this is for a private key that the machine itself owns, never for one that answers to others.
"""

from binascii import Error, a2b_base64, b2a_base64

KEY_BYTES = 32
PRIME = 2**255 - 19
A24 = 121665
BASE_POINT = 9


def clamped(drawn: bytes) -> bytes:
    """Return the private key that 32 random bytes make (RFC 7748 section 5, decodeScalar25519)."""
    key = bytearray(drawn)
    key[0] &= 248
    key[31] = key[31] & 127 | 64
    return bytes(key)


def public_key(private_key: bytes) -> bytes:
    """Return the public key of `private_key`: X25519 of it and the base point (RFC 7748 section 5)."""
    scalar = int.from_bytes(clamped(private_key), "little")
    x2, z2, x3, z3, swapped = 1, 0, BASE_POINT, 1, 0
    for position in reversed(range(255)):
        bit = scalar >> position & 1
        if bit != swapped:
            x2, z2, x3, z3 = x3, z3, x2, z2
        swapped = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % PRIME, b * b % PRIME, d * a % PRIME, c * b % PRIME
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % PRIME, BASE_POINT * (da - cb) ** 2 % PRIME
        x2, z2 = aa * bb % PRIME, e * (aa + A24 * e) % PRIME
    if swapped:
        x2, z2 = x3, z3
    return (x2 * pow(z2, PRIME - 2, PRIME) % PRIME).to_bytes(KEY_BYTES, "little")


def to_text(key: bytes) -> str:
    """Return `key` in base64."""
    return b2a_base64(key, newline=False).decode()


def from_text(text: str) -> bytes:
    """Return the key that `text` is in base64; raise `ValueError`, which does not repeat it: it may be a secret."""
    try:
        key = a2b_base64(text, strict_mode=True)
    except (Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES or to_text(key) != text:
        raise ValueError("not a key of WireGuard: 32 bytes in base64, such as `wg genkey` and `wg pubkey` print")
    return key
