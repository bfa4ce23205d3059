"""Errors as a runtime reads them (SPEC.md, "Error"): one JSON object on standard output, exit status 1."""

import msgspec

from podnet.cni.versions import HIGHEST, supported
from podnet.errors import PodnetError

INTERNAL = 999
"""The reference library's ErrInternal: what nobody foresaw."""


class _Error(msgspec.Struct, gc=False, omit_defaults=True):
    cniVersion: str  # noqa: N815 - the specification's spelling
    code: int
    msg: str
    details: str = ""


def render(error: Exception, version: str = HIGHEST) -> bytes:
    """Return the error object at the request's `version`, or at the highest where podnet does not speak that one.

    Any exception may be given, so that an answer is always possible: what is not a PodnetError is a fault of podnet's
    own, with code 999, the exception's type before its text, and its notes (PEP 678) as details.
    """
    if isinstance(error, PodnetError):
        code, msg, details = error.cni_code, error.msg, error.details
    else:
        code, msg = INTERNAL, f"internal error: {type(error).__name__}: {error}"
        details = "\n".join(getattr(error, "__notes__", ()))
    version = version if supported(version) else HIGHEST
    return msgspec.json.encode(_Error(version, code, _printable(msg), _printable(details)))


def _printable(text: str) -> str:
    """Spell surrogate escapes out: a variable's bytes may be no UTF-8, an answer's must."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
