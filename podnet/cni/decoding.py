"""Decoding: JSON into the shapes of `document`, and what is said of JSON that does not fit.

The good case is one typed decode.  Everything slow (unknown keys, nearest names, line and column) happens only after
that decode failed.
"""

import re
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from podnet.cni.document import (
    BandwidthEntry,
    DNSEntry,
    Document,
    IpamEntry,
    Kind,
    PortEntry,
    RangeEntry,
    RouteEntry,
    RuntimeConfig,
    RuntimeDNS,
    RuntimeEntry,
    Version,
)
from podnet.cni.reference import ACCEPTED, ELSEWHERE, ELSEWHERE_IN_IPAM
from podnet.errors import DecodingFailure, InvalidConfiguration, RequestError, UnsupportedField

T = TypeVar("T")

Role = Literal["interface", "ipam", "loopback"]
"""What podnet is to do in a configuration: attach a pod, give addresses to another plugin, set `lo` up."""

SHOWN = 80  # characters of a caller's key or value that an error repeats

_DOCUMENT = msgspec.json.Decoder(Document)
_VERSION = msgspec.json.Decoder(Version)
_KIND = msgspec.json.Decoder(Kind)
_RUNTIME_CONFIG = msgspec.json.Decoder(RuntimeConfig)
_RUNTIME = msgspec.json.Decoder(RuntimeEntry)
_FAILURES = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def decode(stdin: bytes) -> Document:
    """Return the configuration in `stdin`.

    Raise DecodingFailure (no JSON: with line, column and offset), UnsupportedField (an unknown key, with the nearest
    known one) or InvalidConfiguration (a value of the wrong type, with its path).
    """
    try:
        return _DOCUMENT.decode(stdin)
    except _FAILURES as error:
        if not isinstance(error, msgspec.ValidationError):
            raise failure(error, stdin) from None
    # Keys that only a prefix or a table allows cannot be fields: look again without them.
    return decode_as(_without_accepted(stdin), Document)


def decode_as(stdin: bytes, kind: type[T]) -> T:
    """Return `stdin` as another of this module's structs; raise as `decode` does."""
    try:
        return msgspec.json.decode(stdin, type=kind)
    except _FAILURES as error:
        raise failure(error, stdin) from None


def stated_version(stdin: bytes) -> str | None:
    """Return what `stdin` says under ``cniVersion``, "" where it does not, None where it cannot be read."""
    try:
        return _VERSION.decode(stdin).cni_version or ""
    except _FAILURES:
        return None


def with_runtime_config(stdin: bytes) -> tuple[bytes, bytes]:
    """Return `stdin` and the bytes of ``runtimeConfig`` in it; none where there is none, or no JSON.

    Runtimes in Go hand on what has no JSON names by the names of its fields, ``HostPort``, and plugins in Go read such
    keys as they read ``hostPort``.  Here both texts have the names of the conventions.
    """
    try:
        part = bytes(_RUNTIME_CONFIG.decode(stdin).runtime_config)
    except _FAILURES:
        return stdin, b""
    if not _CAPITAL_KEY.search(part):
        return stdin, part
    renamed = msgspec.json.encode(_renamed(_plain(part)))
    return stdin.replace(part, renamed, 1), renamed


_CAPITAL_KEY = re.compile(rb'"[A-Z]\w*"\s*:')
_CONVENTIONAL = {
    field.encode_name.lower(): field.encode_name
    for kind in (PortEntry, BandwidthEntry, RuntimeDNS, RangeEntry)
    for field in msgspec.structs.fields(kind)
}


def _renamed(value: Any) -> Any:
    if isinstance(value, dict):
        return {_CONVENTIONAL.get(key.lower(), key): _renamed(each) for key, each in value.items()}
    return [_renamed(each) for each in value] if isinstance(value, list) else value


def decode_runtime(part: bytes) -> RuntimeEntry | None:
    """Return a ``runtimeConfig``, or None where it cannot be read: `decode` of the whole then says why."""
    try:
        return _RUNTIME.decode(part)
    except _FAILURES:
        return None


PLUGIN = "podnet"
LOOPBACK = "loopback"
_SHARED = frozenset({"cniVersion", "cniVersions", "name", "type", "runtimeConfig", "args", "prevResult"})


class Part(NamedTuple):
    """What podnet is in a configuration, and the plugin that is asked for addresses, "" where podnet gives them."""

    role: Role
    delegate: str


def part_of(kind: str | None, ipam: str | None) -> Part:
    """Return podnet's part in a configuration of ``type`` `kind` with ``ipam.type`` `ipam`.

    Another plugin that names podnet as its ``ipam.type`` hands its own configuration on (SPEC.md, "Delegated Plugin
    Execution").
    """
    if kind == LOOPBACK:
        return Part("loopback", "")
    if ipam == PLUGIN and kind not in (None, "", PLUGIN):
        return Part("ipam", "")
    return Part("interface", "" if ipam in (None, "", PLUGIN) else ipam)


def stated_part(stdin: bytes) -> Part:
    """Return podnet's part in the configuration `stdin`, good or not."""
    try:
        found = _KIND.decode(stdin)
    except _FAILURES:
        return Part("interface", "")
    return part_of(found.type, found.ipam.type if found.ipam else None)


def _without_accepted(stdin: bytes) -> bytes:
    """Drop the runtime's own keys and such of the reference plugins' as ask for nothing podnet does not do anyway.

    Where podnet is another's IPAM, or only its loopback, that plugin's keys are not podnet's business; neither are the
    keys of an ``ipam`` that names another plugin.
    """
    keys = decode_as(stdin, dict[str, msgspec.Raw])
    role, delegate = stated_part(stdin)
    if role != "interface":
        return msgspec.json.encode(
            {key: value for key, value in keys.items() if key in _SHARED or (key == "ipam" and role == "ipam")}
        )
    if delegate:
        keys["ipam"] = msgspec.Raw(msgspec.json.encode({"type": delegate}))
    for key in [key for key in keys if key.startswith("cni.dev/") or key in ACCEPTED]:
        if key in ACCEPTED and _plain(bytes(keys[key])) not in ACCEPTED[key].values:
            raise UnsupportedField(f"network configuration: {key} {_cut(keys[key])}: {ACCEPTED[key].otherwise}")
        del keys[key]
    return msgspec.json.encode(keys)


def _plain(value: bytes) -> Any:
    return decode_as(value, Any)


def failure(error: Exception, stdin: bytes) -> RequestError:
    """Return what a caller is told of a failed decode: first of all, whether `stdin` is JSON."""
    if not stdin.strip():
        return DecodingFailure("the network configuration is empty: a runtime sends it, as JSON, on standard input")
    try:
        whole = msgspec.json.decode(stdin)
    except msgspec.ValidationError:  # JSON, but for a number that no float can hold
        whole = None
    except RecursionError:
        return DecodingFailure("the network configuration is nested too deeply: it has a few levels")
    except (msgspec.DecodeError, UnicodeDecodeError) as malformed:
        return _malformed(malformed, stdin)
    unknown = _UNKNOWN.fullmatch(str(error))
    if unknown:
        return _unknown_key(unknown["key"], unknown["path"] or "$", whole)
    return _wrong_type(str(error))


_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>.*?)`(?: - at `(?P<path>\$.*)`)?", re.DOTALL)
_PATH = re.compile(r"(?P<what>.*?)(?: - at `(?P<path>\$.*)`)?", re.DOTALL)
_BYTE = re.compile(r"(?:JSON is malformed: )?(?P<what>.*) \(byte (?P<offset>\d+)\)", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*?)`(?: - at `(\$.*)`)?")
_JSON_TYPES = {"str": "string", "int": "integer", "bool": "boolean", "float": "number", " | null": ""}


def _malformed(error: Exception, stdin: bytes) -> RequestError:
    """Name the place as an editor does: line and column from 1, and the byte's offset from 0.

    msgspec's own offset is sometimes one too far; the standard library, slower, knows the place exactly.
    """
    import json  # noqa: PLC0415 - only errors need it

    told = _BYTE.fullmatch(str(error))
    what, offset = (told["what"], int(told["offset"])) if told else (str(error), len(stdin))
    try:
        json.loads(stdin.decode())
    except UnicodeDecodeError as undecodable:
        what, offset = "not UTF-8", undecodable.start
    except json.JSONDecodeError as malformed:
        what, offset = malformed.msg[:1].lower() + malformed.msg[1:], len(malformed.doc[: malformed.pos].encode())
    except (RecursionError, ValueError):  # too deep, or a number too long, for the standard library before the fault
        pass
    before = stdin[:offset]
    line = before.count(b"\n") + 1
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
    return DecodingFailure(
        f"the network configuration is not JSON: {what}, at line {line}, column {column} (offset {offset})",
        f"near {stdin[max(0, offset - 20) : offset + 20].decode('utf-8', 'replace')!r}",
    )


def _wrong_type(text: str) -> RequestError:
    missing = _MISSING.fullmatch(text)
    if missing:
        return InvalidConfiguration(
            f"network configuration: {missing[2] or '$'}: the key {missing[1]!r} is missing: add it"
        )
    told = _PATH.fullmatch(text)
    what, path = (told["what"], told["path"] or "$") if told else (text, "$")
    for python, json in _JSON_TYPES.items():
        what = re.sub(rf"`?\b{python}\b`?" if python.isalpha() else re.escape(python), json, what)
    what = what.replace("`", "")
    return InvalidConfiguration(f"network configuration: {path}: {what[:1].lower()}{_cut(what[1:])}")


def _unknown_key(key: str, path: str, whole: Any) -> RequestError:
    """Name key and value (SPEC.md, error 2) and what was probably meant."""
    place = "" if path == "$" else f" in {path[2:]}"
    remedy = (ELSEWHERE_IN_IPAM if path == "$.ipam" else ELSEWHERE if path == "$" else {}).get(key)
    remedy = remedy or _nearest(key, path)
    return UnsupportedField(
        f"network configuration: unknown key {_cut(key)!r}{place}, value {_value(whole, path, key)}: {remedy}"
    )


def _names(path: str) -> list[str]:
    kinds: dict[str, type[msgspec.Struct]] = {"$": Document, "$.ipam": IpamEntry, "$.dns": DNSEntry}
    kind: type[msgspec.Struct] = RouteEntry if path.startswith("$.ipam.routes") else RangeEntry
    return [field.encode_name for field in msgspec.structs.fields(kinds.get(path, kind))]


def _nearest(key: str, path: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only errors need it

    names = _names(path)
    by_case = {name.lower(): name for name in names}
    near = get_close_matches(key[:SHOWN].lower(), by_case, n=1)
    if near:
        return f"did you mean {by_case[near[0]]!r}?"
    if path == "$" and key in _names("$.ipam"):
        return "it belongs in ipam"
    return f"known are {', '.join(sorted(name for name in names if '/' not in name))}"


def _value(whole: Any, path: str, key: str) -> str:
    try:
        for name, index in re.findall(r"\.([^.\[]+)|\[(\d+)\]", path):
            whole = whole[name] if name else whole[int(index)]
        return _cut(msgspec.json.encode(whole[key]))
    except (KeyError, IndexError, TypeError):  # an object that stands twice: of those the last is kept
        return "unclear"


def _cut(text: str | bytes | msgspec.Raw) -> str:
    """Repeat a caller's own words, but not a megabyte of them."""
    told = text if isinstance(text, str) else bytes(text).decode("utf-8", "replace")
    return told if len(told) <= SHOWN else f"{told[:SHOWN]}…"
