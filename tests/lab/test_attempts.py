"""The pure parts of probing: sizes, checksums, and who was seen by whom."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet.lab.attempts import Failed, Seen, checksum, echo_request, payload
from podnet.lab.matrix import Kind, Probe
from podnet.lab.pods import plugin_configurations


def probe(version: int = 4, **more: object) -> Probe:
    """Return a probe from a to b."""
    fields = {"source": "a", "target": "b", "version": version, "kind": Kind.UDP, "to": None, **more}
    return Probe(**fields)  # type: ignore[arg-type] # each test's own


@given(st.binary(max_size=64).map(lambda b: b + b"\0" * (len(b) % 2)))
def test_a_checksum_makes_the_whole_sum_to_nothing(data: bytes) -> None:
    """RFC 1071: with its checksum put in, the ones' complement sum over all words is zero."""
    whole = data + checksum(data).to_bytes(2, "big")
    total = sum(int.from_bytes(whole[i : i + 2], "big") for i in range(0, len(whole), 2))
    assert total % 0xFFFF == 0


def test_echo_requests_are_those_of_the_protocols() -> None:
    """Type, code, checksum, identity, sequence: RFC 792 with its checksum, RFC 4443 left to the kernel."""
    four = echo_request(six=False, identity=0x1234, data=b"12345678")
    assert four[:2] == b"\x08\x00"
    assert four[4:] == b"\x12\x34\x00\x01" + b"12345678"
    assert checksum(four) == 0
    assert echo_request(six=True, identity=0x1234, data=b"ab") == b"\x80\x00\x00\x00\x12\x34\x00\x01ab"


@pytest.mark.parametrize(("version", "headers"), [(4, 28), (6, 48)])
def test_a_payload_fills_the_packet(version: int, headers: int) -> None:
    """Headers and payload make the size that is asked for; a probe without one sends its token alone."""
    assert payload(probe(version, size=1500)) == 1500 - headers
    assert payload(probe(version)) == 8


def test_who_was_seen_as_whom_is_compared() -> None:
    """The right server and one of the expected sources pass; any other of either is told."""
    seen = Seen()
    seen.note(b"token", "b", "10.0.0.1")
    seen.compare(b"token", probe())
    seen.compare(b"token", probe(seen=(ip_address("10.0.0.1"), ip_address("10.0.0.2"))))
    with pytest.raises(Failed, match=r"the target saw 10\.0\.0\.1, not 10\.0\.0\.2"):
        seen.compare(b"token", probe(seen=(ip_address("10.0.0.2"),)))
    seen.note(b"other", "c", "10.0.0.1")
    with pytest.raises(Failed, match="c answered in its place"):
        seen.compare(b"other", probe())


def test_a_plugin_gets_its_own_part_of_the_list() -> None:
    """Each plugin's configuration carries the list's name and version, as CNI SPEC.md section 3 has it."""
    document = {"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "podnet", "mtu": 1400}, {"type": "tuning"}]}
    assert list(plugin_configurations(document)) == [
        ("podnet", {"type": "podnet", "mtu": 1400, "cniVersion": "1.0.0", "name": "net"}),
        ("tuning", {"type": "tuning", "cniVersion": "1.0.0", "name": "net"}),
    ]
