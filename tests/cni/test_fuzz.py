"""Whatever bytes come, the parser answers with a request or with an error that a runtime can read."""

import json
from collections.abc import Callable
from typing import Any, get_args

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podnet.cni import Frame, Request, load, parse, render_error, version_of
from podnet.cni.document import (
    AttachmentEntry,
    BandwidthEntry,
    CNIArgs,
    DNSEntry,
    Document,
    IpamEntry,
    PortEntry,
    RangeEntry,
    RouteEntry,
    RuntimeDNS,
    RuntimeEntry,
    Survivors,
)
from podnet.errors import IOFailure, RequestError
from podnet.model import Network

# The fixtures are constants.
shared_values = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

KINDS: tuple[type[msgspec.Struct], ...] = (
    Document,
    IpamEntry,
    RangeEntry,
    RouteEntry,
    DNSEntry,
    RuntimeEntry,
    RuntimeDNS,
    PortEntry,
    BandwidthEntry,
)
KINDS += (CNIArgs, AttachmentEntry, Survivors)
KEYS = sorted(
    {name for kind in KINDS for name in kind.__struct_encode_fields__}
    | {"cni", "isGateway", "vlan", "nonsense", "cni.dev/x"}
)
WORDS = [
    "podnet",
    "loopback",
    "host-local",
    "udp",
    "02:00:00:00:00:01",
    "web-0",
    "1.1.0",
    "ptp",
    "1.0.0",
    "0.4.0",
    "9",
    "10.1.0.0/24",
    "10.1.0.9",
    "fd00::/64",
    "fd00::9",
    "0.0.0.0/0",
    "",
]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text()
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
)


def shaped(kind: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw an object with the keys of `kind`, its values of any type."""
    return st.dictionaries(st.sampled_from(kind.__struct_encode_fields__), VALUES, max_size=4)


RUNTIME = shaped(RuntimeEntry) | st.fixed_dictionaries(
    {},
    optional={
        "portMappings": st.lists(shaped(PortEntry), max_size=3),
        "bandwidth": shaped(BandwidthEntry),
        "dns": shaped(RuntimeDNS),
        "aliases": st.lists(LEAVES, max_size=2),
        "mac": LEAVES,
    },
)
DOCUMENTS = st.builds(
    lambda keys, more: {"name": "net", "cniVersion": "1.1.0", **keys, **more},
    st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6),
    st.fixed_dictionaries(
        {},
        optional={
            "runtimeConfig": RUNTIME,
            "args": st.fixed_dictionaries({"cni": shaped(CNIArgs)}),
            "cni.dev/valid-attachments": st.lists(shaped(AttachmentEntry), max_size=2),
        },
    ),
)
VERBS = st.sampled_from(["ADD", "DEL", "CHECK", "VERSION", "GC", "STATUS", ""])


def answered(frame: Frame, defaults: Network) -> None:
    """Parse, and check that the outcome is one of the two that callers know."""
    try:
        request = parse(frame, defaults)
    except (RequestError, IOFailure) as error:
        answer = json.loads(render_error(error, version_of(frame)))
        assert answer["code"] in {1, 2, 4, 5, 6, 7}
        assert len(answer["msg"]) < 1000
    else:
        assert isinstance(request, get_args(Request))


@shared_values
@given(stdin=st.binary(), verb=VERBS)
def test_any_standard_input_is_answered(
    make_frame: Callable[..., Frame], defaults: Network, stdin: bytes, verb: str
) -> None:
    """Bytes without any shape."""
    answered(make_frame(stdin, CNI_COMMAND=verb), defaults)


@shared_values
@given(document=DOCUMENTS, verb=VERBS)
def test_any_json_of_known_keys_is_answered(
    make_frame: Callable[..., Frame], defaults: Network, document: dict[str, Any], verb: str
) -> None:
    """Right keys in wrong places, with wrong values."""
    answered(make_frame(json.dumps(document).encode(), CNI_COMMAND=verb), defaults)


@shared_values
@given(document=DOCUMENTS, damage=st.tuples(st.integers(0, 200), st.binary(max_size=4)), verb=VERBS)
def test_any_damaged_json_is_answered(
    make_frame: Callable[..., Frame], defaults: Network, document: dict[str, Any], damage: tuple[int, bytes], verb: str
) -> None:
    """Bytes lost and others put in their place."""
    raw = json.dumps(document).encode()
    cut, junk = damage
    answered(make_frame(raw[:cut] + junk + raw[cut + len(junk) :], CNI_COMMAND=verb), defaults)


@shared_values
@given(
    variables=st.dictionaries(
        st.sampled_from(["CNI_COMMAND", "CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS", "CNI_ARGS"]),
        st.text() | st.sampled_from(["DEL", "IP=10.1.0.9", "IgnoreUnknown=1;a=b", "\udc80"]),
    ),
    errno=st.integers(0, 4095),
)
def test_any_environment_is_answered(
    make_frame: Callable[..., Frame], defaults: Network, variables: dict[str, str], errno: int
) -> None:
    """Values of any text."""
    answered(make_frame(errno=errno, **variables), defaults)


@shared_values
@given(document=DOCUMENTS, plugins=st.lists(DOCUMENTS | VALUES, max_size=3))
def test_any_file_is_loaded_or_told(defaults: Network, document: dict[str, Any], plugins: list[Any]) -> None:
    """A list's file, and a single plugin's."""
    for keys in (document, {**document, "plugins": plugins}):
        try:
            network = load(json.dumps(keys).encode(), defaults)
        except RequestError:
            continue
        assert isinstance(network, Network)


def test_a_key_that_stands_twice_is_told(make_frame: Callable[..., Frame], defaults: Network) -> None:
    """The value shown may be gone with the earlier object, the error is not."""
    answered(make_frame(b'{"name": "n", "ipam": {"zz": 1}, "ipam": {}}'), defaults)
    answered(make_frame(b'{"name": "n", "ipam": {"ranges": [[{"zz": 1}]], "ranges": []}}'), defaults)
    answered(make_frame(b'{"name": "n", "ipam": {"zz": 1}, "ipam": 3}'), defaults)


def test_any_depth_is_answered(make_frame: Callable[..., Frame], defaults: Network) -> None:
    """Around the interpreter's limit of recursion, which several decoders meet at different depths."""
    for depth in range(850, 1010):
        for stdin in (
            b'{"args":' * depth + b"oops",
            b'{"args": {"a": ' + b"[" * depth + b"]" * depth + b'}, "oops": 1}',
        ):
            answered(make_frame(stdin), defaults)
