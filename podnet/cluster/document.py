"""YAML documents whose every error names the file, the line and the key.

PyYAML's safe loader forgets where a value stood and lets the second of two equal keys win.  Here the document is
composed first: its nodes know their lines, and a key given twice is an error.
"""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, TypeVar

import msgspec

from podnet.errors import DecodingFailure, InvalidConfiguration, IOFailure

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network
T = TypeVar("T", bound=msgspec.Struct)

_PLACE = re.compile(r" - at `(?:key in )?\$(?P<path>.*)`$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>.*)`$", re.DOTALL)


class Document:
    """One YAML document: its plain `value`, and the line of every part.

    A part is named as msgspec names it: ``""`` is the whole, then ``.nodes``, ``.nodes[0]``, ``.nodes[0].name``.
    """

    def __init__(self, text: str, source: str) -> None:
        """Parse `text`; `source` is its file's name, for errors.  Raises DecodingFailure, InvalidConfiguration."""
        import yaml  # noqa: PLC0415 - 15 ms that a start without configuration files does not need

        self.source = source
        self._lines: dict[str, int] = {}
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        try:
            root = loader.get_single_node()
            if root is not None:
                self._note(root, "", set())
            self.value: Any = None if root is None else loader.construct_document(root)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = f":{mark.line + 1}" if mark else ""
            raise DecodingFailure(f"{source}{line}: not YAML: {error.problem or error.context}; correct it") from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            first = str(error).partition("\n")[0]
            raise DecodingFailure(f"{source}: not YAML: {first or 'nested too deeply'}; correct it") from error
        finally:
            loader.dispose()

    def _note(self, node: Any, path: str, met: set[int]) -> None:
        """Remember the lines of `node` and of all below it that is not `met` already; refuse a key given twice."""
        self._lines.setdefault(path, node.start_mark.line + 1)
        if id(node) in met:  # an alias: its anchor has been seen, or is being seen
            return
        met.add(id(node))
        if node.id == "sequence":
            for index, item in enumerate(node.value):
                self._note(item, f"{path}[{index}]", met)
        elif node.id == "mapping":
            seen: set[str] = set()
            for key, value in node.value:
                name = str(key.value)
                self._lines[f"{path}.{name}"] = key.start_mark.line + 1
                if name in seen:
                    self.refuse(f"{path}.{name}", "is given twice; keep one")
                seen.add(name)
                self._note(value, f"{path}.{name}", met)

    def refuse(self, path: str, complaint: str) -> None:
        """Raise InvalidConfiguration: the part at `path`, where it stands, and the `complaint`."""
        raise self.error(path, complaint)

    def error(self, path: str, complaint: str) -> InvalidConfiguration:
        """Return what refuse raises."""
        line = self._lines.get(path)
        where = f"{self.source}:{line}" if line else self.source
        return InvalidConfiguration(f"{where}: {path.lstrip('.') or 'the document'} {complaint}")

    def line(self, path: str) -> int:
        """Return the line on which the part at `path` begins, the first being 1; raise KeyError where there is none."""
        return self._lines[path]

    def convert(self, shape: type[T]) -> T:
        """Return the document as a `shape`; an empty document is one with every default.

        Raises InvalidConfiguration: a wrong type, a missing key, or an unknown one, with the nearest that is known.
        """
        try:
            return msgspec.convert({} if self.value is None else self.value, shape)
        except msgspec.ValidationError as error:
            text = str(error)
            place = _PLACE.search(text)
            path = place["path"] if place else ""
            text = text[: place.start()] if place else text
            unknown = _UNKNOWN.match(text)
            if unknown:
                path, text = f"{path}.{unknown['key']}", f"is not known{_nearest(unknown['key'], shape, path)}"
            else:
                text = f"is not what it should be: {text}; correct it (a value that YAML misreads needs quotes)"
            raise self.error(path, text) from error

    def address(self, text: str, path: str) -> IPAddress:
        """Return the IP address at `path`; raise InvalidConfiguration when it is none."""
        try:
            return ip_address(text)
        except ValueError:
            raise self.error(path, f"{text!r} is not an IP address; write one such as 10.0.0.1 or fd00::1") from None

    def network(self, text: str, path: str) -> IPNetwork:
        """Return the network at `path`; raise InvalidConfiguration when it is none or has host bits set."""
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            raise self.error(path, f"{text!r} is not a CIDR; write one such as 10.244.0.0/16 or fd00::/56") from None
        if ip_address(text.partition("/")[0]) != network.network_address:
            raise self.error(path, f"{text!r} has bits set behind its prefix length; did you mean {network}?")
        return network


def read_text(path: str) -> str:
    """Return the file's text; raise FileNotFoundError as it is, any other trouble as IOFailure."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib's import takes longer than the reading
            return file.read()
    except FileNotFoundError:
        raise
    except UnicodeDecodeError as error:
        raise DecodingFailure(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except OSError as error:
        raise IOFailure(f"{path}: cannot be read: {error.strerror}; make it a file that root may read") from error


def _nearest(key: str, shape: type[msgspec.Struct], path: str) -> str:
    """Return the remedy for an unknown `key` of the part at `path` of a `shape`."""
    from difflib import get_close_matches  # noqa: PLC0415 - only errors need it

    known = _keys(shape, path)
    near = get_close_matches(key, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"


def _keys(shape: type[msgspec.Struct], path: str) -> tuple[str, ...]:
    """Return the keys of the struct found at `path` below `shape`."""
    described: Any = msgspec.inspect.type_info(shape)
    for name in re.findall(r"\.([^.\[]+)|\[", path):
        if name:
            described = next(field.type for field in described.fields if field.encode_name == name)
        else:
            described = described.item_type
    return tuple(field.encode_name for field in described.fields)
