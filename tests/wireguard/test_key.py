"""Keys of WireGuard: as the RFC has them, as wg(8) has them, and what is none."""

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet.wireguard.key import clamped, from_text, public_key, to_text

KEYS = st.binary(min_size=32, max_size=32)


@pytest.mark.parametrize(
    ("private", "public"),
    [
        (
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
        ),
        ("09" + 31 * "00", "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"),
    ],
    ids=["section 6.1, Bob", "section 5.2, one iteration"],
)
def test_the_examples_of_the_rfc(private: str, public: str) -> None:
    """RFC 7748 gives private keys with their public ones."""
    assert public_key(bytes.fromhex(private)).hex() == public


@pytest.mark.skipif(shutil.which("wg") is None, reason="needs wg(8): apt install wireguard-tools")
@given(drawn=st.lists(KEYS, min_size=1, max_size=3))
def test_wg_computes_the_same_public_keys(drawn: list[bytes]) -> None:
    """`wg pubkey` says of any private key, clamped or not, what is computed here."""
    for key in drawn:
        told = subprocess.run(["wg", "pubkey"], input=to_text(key), capture_output=True, text=True, check=True).stdout
        assert to_text(public_key(key)) == told.strip()


@given(KEYS)
def test_a_clamped_key_is_one_that_wg_would_have_made(drawn: bytes) -> None:
    """Its lowest three bits and the highest are 0, the second highest 1; the public key is that of what was drawn."""
    key = clamped(drawn)
    assert key[0] & 7 == 0
    assert key[31] >> 6 == 1
    assert clamped(key) == key
    assert public_key(key) == public_key(drawn)


@given(KEYS)
def test_a_key_as_text_reads_back(key: bytes) -> None:
    """44 characters of base64, as `wg` prints them."""
    assert len(to_text(key)) == 44
    assert from_text(to_text(key)) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "A" * 43,
        "A" * 44,
        "A" * 42 + "==",
        "A" * 43 + "=\n",
        " " + "A" * 43 + "=",
        "A" * 42 + "B=",
        "é" * 44,
    ],
)
def test_what_is_no_key_is_refused_without_being_told(text: str) -> None:
    """Other lengths or characters, blanks, bits behind the end: and the error does not show what may be a secret."""
    with pytest.raises(ValueError, match="not a key of WireGuard: 32 bytes in base64") as caught:
        from_text(text)
    assert not text.strip() or text.strip() not in str(caught.value)
