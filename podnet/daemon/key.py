"""This node's key of WireGuard, made by itself once and kept: its private half never leaves the file."""

import os
from contextlib import suppress

from podnet.errors import IOFailure, StateError
from podnet.wireguard.key import KEY_BYTES, clamped, from_text, public_key, to_text

MODE = 0o600
OTHERS = 0o077


def own_public_key(path: str, *, make: bool = True) -> str:
    """Return the public key of the private one in the file at `path`, which is made where it is not there.

    Without `make`, "" where it is not there or not to be read.  Raise `IOFailure` or `StateError`, which do not show
    what is in the file.
    """
    try:
        if make and not os.path.lexists(path):
            _make(path)
        return _read(path)
    except (FileNotFoundError, PermissionError) as error:
        if not make:
            return ""
        raise IOFailure(f"{path}: {error.strerror}; podnet must run as root, and own that folder") from error
    except OSError as error:
        raise IOFailure(f"{path}: {error.strerror}; it must be a file, on a disk that has room") from error


def _read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123 - pathlib's import takes longer
        mode = os.fstat(file.fileno()).st_mode
        text = file.read().strip()
    if mode & OTHERS:
        raise StateError(f"{path} is this node's private key and others may read it: `chmod 600 {path}`")
    try:
        return to_text(public_key(from_text(text)))
    except ValueError as error:
        raise StateError(
            f"{path}: {error}; remove it, and the daemon makes another, which others must learn"
        ) from error


def _make(path: str) -> None:
    """Make the file whole or not at all, and not over another's: the daemon and `podnet node key` may begin at once."""
    folder = os.path.dirname(path)  # noqa: PTH120 - a str
    os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - a str
    temporary = f"{path}.{os.urandom(4).hex()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
    try:
        os.write(descriptor, to_text(clamped(os.urandom(KEY_BYTES))).encode() + b"\n")
        os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(temporary, path)  # unlike rename(2) it takes the place of nothing
    finally:
        os.close(descriptor)
        os.unlink(temporary)  # noqa: PTH108 - a str
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
