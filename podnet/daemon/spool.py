"""The spool: DELs that the shim wrote down because no daemon was there to hear them."""

import os
from collections.abc import Iterator

from podnet.cni import Frame, FrameReader
from podnet.errors import DecodeError, IOFailure

SUFFIX = ".frame"


def set_aside(path: str) -> None:
    """Rename a file that nothing can be done with, for a person to look at."""
    os.rename(path, f"{path}.damaged")  # noqa: PTH104 - no pathlib here


def waiting(folder: str) -> Iterator[tuple[str, Frame]]:
    """Yield (path, frame) of each DEL in `folder`, oldest first; one that is no frame is renamed aside, never lost.

    The caller removes what it has carried out.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX))  # noqa: PTH208 - no pathlib here
    except FileNotFoundError:
        return
    except OSError as error:
        raise IOFailure(f"spool {folder}: {error.strerror}; podnet must run as root") from error
    for name in names:
        path = f"{folder}/{name}"
        with open(path, "rb") as file:  # noqa: PTH123 - no pathlib here
            content = file.read()
        try:
            frame = FrameReader().feed(content)
        except DecodeError:
            frame = None
        if frame is None:
            set_aside(path)
            continue
        yield path, frame
