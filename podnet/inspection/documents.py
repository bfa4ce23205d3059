"""Decoding of other programs' files: TOML, JSON, YAML.  Any bytes give a mapping or a sentence, never an exception."""

import json
import tomllib
from typing import Any

import yaml

from podnet.inspection.values import Source

Document = dict[str, Any]


def toml(source: Source) -> tuple[Document, str]:
    """Return the TOML table of `source` and an empty string, or an empty table and what is wrong."""
    if source.data is None:
        return {}, source.fault
    try:
        return tomllib.loads(source.data.decode()), ""
    except UnicodeDecodeError as error:
        return {}, f"not UTF-8 at byte {error.start}"
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        return {}, f"not TOML: {_line(error)}"


def json_object(source: Source) -> tuple[Document, str]:
    """Return the JSON object of `source` and an empty string, or an empty one and what is wrong."""
    if source.data is None:
        return {}, source.fault
    if not source.data.strip():
        return {}, "empty: perhaps a write that was cut short"
    try:
        document = json.loads(source.data.decode())
    except UnicodeDecodeError as error:
        return {}, f"not UTF-8 at byte {error.start}"
    except (RecursionError, ValueError) as error:
        return {}, f"not JSON: {_line(error)}"
    if not isinstance(document, dict):
        return {}, f"not a JSON object but {_kind(document)}"
    return document, ""


def yaml_mapping(source: Source) -> tuple[Document, str]:
    """Return the YAML mapping of `source` with every scalar as text, or an empty one and what is wrong."""
    if source.data is None:
        return {}, source.fault
    try:
        # BaseLoader makes text, lists and mappings only: no date or number can fail to construct.
        document = yaml.load(source.data.decode(), Loader=yaml.BaseLoader)  # noqa: S506 - builds no objects
    except UnicodeDecodeError as error:
        return {}, f"not UTF-8 at byte {error.start}"
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return {}, f"not YAML: {_line(error)}"
    if not isinstance(document, dict):
        return {}, "not a YAML mapping"
    return document, ""


def table(document: object, *keys: str) -> Document:
    """Return the table at `keys` below `document`, or an empty one where something else stands."""
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def text(document: Document, key: str) -> str:
    """Return the string at `key`, or an empty one."""
    value = document.get(key)
    return value if isinstance(value, str) else ""


def texts(document: Document, key: str) -> tuple[str, ...]:
    """Return the non-empty strings of the list at `key`."""
    value = document.get(key)
    return tuple(item for item in value if isinstance(item, str) and item) if isinstance(value, list) else ()


def merged(below: Document, above: Document) -> Document:
    """Return `below` with `above` laid over it: tables merge key by key, everything else is replaced."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def _kind(value: object) -> str:
    return {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}.get(type(value), "a number")


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
