"""The versions of the CNI specification that podnet speaks, and which verb exists since when."""

from collections.abc import Iterable

import msgspec

VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
HIGHEST = VERSIONS[-1]

UNSTATED = "0.1.0"
"""What a configuration without `cniVersion` means: the key came with 0.2.0, and the reference library reads it so."""

INSTALLED = "1.0.0"
"""`cniVersion` of the file podnet installs: a runtime that does not know `cniVersions` may not know 1.1.0 either."""


def ordinal(version: str) -> int:
    """Return the place in time of a supported `version`, so that two can be compared."""
    return VERSIONS.index(version)


def supported(version: str) -> bool:
    """Tell whether podnet answers in `version`."""
    return version in VERSIONS


def select(stated: str, others: Iterable[str] = ()) -> str | None:
    """Return the highest version that a list offers by `cniVersion` and `cniVersions` and podnet speaks, or None.

    SPEC.md, "Version considerations".
    """
    offered = {stated or UNSTATED, *others}
    return next((version for version in reversed(VERSIONS) if version in offered), None)


class _Answer(msgspec.Struct, gc=False):
    cniVersion: str  # noqa: N815 - the specification's spelling
    supportedVersions: tuple[str, ...]  # noqa: N815


def answer(version: str) -> bytes:
    """Return the answer to VERSION, at the `version` the runtime stated (SPEC.md, "VERSION Success")."""
    return msgspec.json.encode(_Answer(version, VERSIONS))
