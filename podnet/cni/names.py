"""What may be a container's, a network's and a link's name (SPEC.md, "Parameters" and "Configuration format")."""

import re

from podnet.errors import InvalidConfiguration, InvalidEnvironment

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]*")
_LINK_NAME_BYTES = 15  # IFNAMSIZ (linux/if.h) less the NUL

CONTAINER_LIMIT = 200
"""Characters: ``podnet:<container>:<ifname>`` must fit a link's alias, IFALIASZ (linux/if.h) is 256."""


def check_container(container: str) -> str:
    """Return CNI_CONTAINERID; raise InvalidEnvironment where it is none."""
    if not _NAME.fullmatch(container):
        raise InvalidEnvironment(
            f"CNI_CONTAINERID {container[:80]!r} is no container id: "
            "it begins with a letter or digit and goes on with those, '_', '.' and '-'"
        )
    if len(container) > CONTAINER_LIMIT:
        raise InvalidEnvironment(
            f"CNI_CONTAINERID has {len(container)} characters: at most {CONTAINER_LIMIT} fit a link's alias"
        )
    return container


def check_network_name(name: str | None) -> str:
    """Return the network's name; raise InvalidConfiguration where it is left out or none."""
    if not name:
        raise InvalidConfiguration("the network configuration has no name: add the key 'name'")
    if not _NAME.fullmatch(name):
        raise InvalidConfiguration(
            f"name: {name[:80]!r} is no network name: "
            "it begins with a letter or digit and goes on with those, '_', '.' and '-'"
        )
    return name


def link_name_fault(name: str) -> str:
    """Return why the kernel would not take `name` for a link as it stands (dev_valid_name, net/core/dev.c), or ""."""
    if not name:
        return "it is empty"
    if name in {".", ".."}:
        return "'.' and '..' are folders"
    if len(name.encode("utf-8", "surrogateescape")) > _LINK_NAME_BYTES:
        return f"it is longer than {_LINK_NAME_BYTES} bytes"
    # dev_alloc_name() would replace %d by a number, and the link would have another name than asked for.
    bad = next((c for c in name if c in "/:%" or c.isspace() or not c.isprintable()), None)
    return "" if bad is None else f"it holds {bad!r}"


def check_link_name(name: str, where: str) -> str:
    """Return a link's name from the configuration's key `where`; raise InvalidConfiguration where it is none."""
    fault = link_name_fault(name)
    if fault:
        raise InvalidConfiguration(f"{where}: {name[:80]!r} is no link's name: {fault}")
    return name
