"""Puts podnet into a node's CNI folders: the shim into the bin folder, the network's list into the conf folder.

Runtimes watch the conf folder and execute what it names at any moment, so both files appear whole or not at all
(written beside, fsync, rename), a running shim is replaced and never written to, and the list comes last.  What others
put into the folders is theirs: it is never changed or deleted here.

A shim called `loopback` is installed where the bin folder has none: containerd and cri-o look for one at their start,
and on a node without the reference plugins nobody else brings it.
"""

import os
from contextlib import suppress
from stat import S_IFREG, S_ISREG

from podnet import shim
from podnet.errors import InvalidConfiguration, IOFailure

SOCKET = "/run/podnet/podnet.sock"
SPOOL = "/var/lib/podnet/spool"

# struct settings of shim/podnet.c: the marker, then three NUL-padded strings.
_MARKER = b"PODNET-SETTINGS\0"
_SIZE = 256
_SUN_PATH = 108  # sys/un.h, with the NUL
_MOST = 1 << 20  # a file longer than that is no shim
_READ = (".conf", ".conflist", ".json")  # what libcni's users read, by its ending

PLUGIN, LOOPBACK = "podnet", "loopback"


def install_shim(
    bin_dir: str, socket: str = SOCKET, interpreter: str = "", spool: str = SPOOL, *, name: str = PLUGIN
) -> bool:
    """Install the shim as `name` into the folder `bin_dir`, with its settings in it; tell whether that changed it.

    `socket` is the daemon's, `interpreter` what runs a verb when there is no daemon ("": nothing does), `spool` the
    folder where DEL waits for a daemon then.  All three as the runtime sees the file system.  Raises
    InvalidConfiguration for a path that the shim cannot hold, and IOFailure.
    """
    return _install(bin_dir, name, _program(socket, interpreter, spool), 0o755)


def install_loopback(bin_dir: str, socket: str = SOCKET, interpreter: str = "", spool: str = SPOOL) -> bool | None:
    """Install the shim as `loopback` too, or anew where it is ours; tell as above, or None where it is another's."""
    path = f"{bin_dir}/{LOOPBACK}"
    absent = not os.path.lexists(path)
    if not absent and not is_shim(path):
        return None
    try:
        return _install(bin_dir, LOOPBACK, _program(socket, interpreter, spool), 0o755, replace=not absent)
    except FileExistsError:
        return None  # another's came meanwhile


def is_shim(path: str) -> bool:
    """Tell whether `path` is a podnet's shim, of whatever release: a file, not a link to one, with the settings."""
    try:
        status = os.lstat(path)
        if not S_ISREG(status.st_mode) or status.st_size > _MOST:
            return False
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib's import takes longer than all of this
            return _MARKER in file.read()
    except OSError:
        return False


def before(conf_dir: str, name: str) -> list[str]:
    """Return the configurations in `conf_dir` that sort before `name`: runtimes take the first there is."""
    try:
        names = os.listdir(conf_dir)  # noqa: PTH208 - as above
    except OSError:
        return []
    ours = os.fsencode(name)
    return sorted((n for n in names if n.endswith(_READ) and os.fsencode(n) < ours), key=os.fsencode)


def install_conflist(conf_dir: str, name: str, content: str) -> bool:
    """Install the network configuration list `content` as `name` into the folder `conf_dir`; tell whether it changed.

    To be called when all that the list names is in place and the daemon serves: from then on runtimes count the node
    as ready.  Raises InvalidConfiguration for a name that runtimes would not read, and IOFailure.
    """
    if os.path.basename(name) != name or not name.endswith(".conflist") or name.startswith("."):  # noqa: PTH119
        raise InvalidConfiguration(f"{name!r} is not the name of a CNI list; use one such as 10-podnet.conflist")
    return _install(conf_dir, name, content.encode(), 0o644)


def install_file(folder: str, name: str, content: str) -> bool:
    """Install a text file as `name` into `folder`, likewise; tell whether it changed."""
    return _install(folder, name, content.encode(), 0o644)


def remove_file(folder: str, name: str) -> bool:
    """Remove the file `name` from `folder`, and what an installation of it that was killed left; tell if it was there.

    Raises IOFailure.
    """
    try:
        names = os.listdir(folder)  # noqa: PTH208 - as above
        halves = (n for n in names if n.endswith(".tmp") and n[:-4].rstrip("0123456789") == f".{name}.")
        for found in (*halves, *([name] if name in names else [])):
            os.unlink(f"{folder}/{found}")  # noqa: PTH108 - as above
        _fsync(folder)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise IOFailure(f"{folder}/{name} cannot be removed: {error}; podnet must run as root") from error
    return name in names


def _program(socket: str, interpreter: str, spool: str) -> bytes:
    """Return the shim with its settings in it."""
    with open(shim.path(), "rb") as file:  # noqa: PTH123 - as above
        return settle(file.read(), socket, interpreter, spool)


def settle(program: bytes, socket: str, interpreter: str, spool: str) -> bytes:
    """Return the shim `program` with its settings replaced; raises InvalidConfiguration or IOFailure."""
    start = program.find(_MARKER)
    if start < 0 or program.find(_MARKER, start + 1) >= 0 or len(program) < start + len(_MARKER) + 3 * _SIZE:
        raise IOFailure(f"{shim.path()} is not podnet's shim; build it again with `pip install -e .`")
    fields = (
        _field("the socket's path", socket, _SUN_PATH),
        _field("the interpreter's path", interpreter, _SIZE) if interpreter else bytes(_SIZE),
        _field("the spool's path", spool, _SIZE),
    )
    start += len(_MARKER)
    return b"".join((program[:start], *fields, program[start + 3 * _SIZE :]))


def _field(what: str, path: str, size: int) -> bytes:
    """Return `path` as a field of the shim's settings; `size` counts the NUL that ends it."""
    encoded = os.fsencode(path)
    if not path.startswith("/") or b"\0" in encoded:
        raise InvalidConfiguration(f"{what}, {path!r}, is not absolute; write it from / on")
    if len(encoded) >= size:
        raise InvalidConfiguration(f"{what}, {path!r}, is {len(encoded)} bytes long; at most {size - 1} fit")
    return encoded.ljust(_SIZE, b"\0")


def _install(folder: str, name: str, content: bytes, mode: int, *, replace: bool = True) -> bool:
    """Make the file `name` in `folder` hold `content` with `mode`, in one step that survives a power loss.

    Not to `replace` is to raise FileExistsError where there is one, be it as young as can be.
    """
    path = f"{folder}/{name}"
    try:
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - as above
        if _holds(path, content, mode):
            return False
        temporary = f"{folder}/.{name}.{os.getpid()}.tmp"  # no runtime reads such a name
        try:
            _write(temporary, content, mode)
            if replace:
                os.rename(temporary, path)  # noqa: PTH104 - as above
            else:
                os.link(temporary, path)
                os.unlink(temporary)  # noqa: PTH108 - as above
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)  # noqa: PTH108 - as above
            raise
        _fsync(folder)
    except OSError as error:
        if isinstance(error, FileExistsError) and not replace:
            raise
        raise IOFailure(
            f"{path} cannot be installed: {error}; make {folder} a folder that root may write to"
        ) from error
    return True


def _holds(path: str, content: bytes, mode: int) -> bool:
    """Tell whether `path` is a file of that `content` and `mode` already: then its watchers are left in peace."""
    try:
        status = os.lstat(path)
        if status.st_mode != S_IFREG | mode or status.st_size != len(content):
            return False
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            return file.read() == content
    except FileNotFoundError:
        return False


def _write(path: str, content: bytes, mode: int) -> None:
    """Write `content` to a new file and wait until the disk has it."""
    with suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - as above; left by a process of the same id that was killed
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 - as above
        rest = memoryview(content)
        while rest:
            rest = rest[file.write(rest) :]
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)


def _fsync(folder: str) -> None:
    """Wait until the disk has the folder's entries."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
