"""The image's files, gathered in a folder: an interpreter, what podnet imports, and the libraries that these load.

Where things are is what `python3 -m venv /opt/podnet && /opt/podnet/bin/pip install podnet` would make of an image that
has Python below /usr; the Containerfile does just that.  A venv, since Debian's interpreters look into site-packages in
no other place, and since its folder says what is podnet's.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement

HOME = PurePosixPath("/opt/podnet")
"""The venv."""
LIBRARIES = PurePosixPath("/usr/lib")
"""A folder in which every dynamic loader looks without being told."""
CERTIFICATES = PurePosixPath("/etc/ssl/certs/ca-certificates.crt")
BIRD = PurePosixPath("/usr/sbin/bird")
"""With `backend: bgp` it speaks for podnet."""
STATE = (
    "etc/cni/net.d",
    "etc/podnet",
    "opt/cni/bin",
    "proc",
    "run/netns",
    "run/podnet",
    "sys",
    "tmp",
    "var/lib/podnet",
)
"""Folders for what is mounted; the container's own root is read-only, so they must be there."""

LEFT_OUT = frozenset(
    {"__pycache__", "curses", "dbm", "dist-packages", "distutils", "ensurepip", "idlelib", "lib2to3", "lib-dynload"}
    | {"pydoc_data", "site-packages", "test", "tests", "tkinter", "turtle.py", "turtledemo", "venv"}
)
"""Of the standard library what no daemon runs: what makes, documents and tests Python, and terminals drawn upon."""
NOT_LOADED = (
    *("_codecs_", "_crypt", "_ctypes_test", "_curses", "_dbm", "_gdbm", "_test", "_tkinter", "_xx", "audioop"),
    *("nis", "ossaudiodev", "readline", "spwd", "xx"),
)
"""Extension modules, by their beginnings, that belong to the same or to other systems' libraries."""


def gather(root: Path) -> None:
    """Fill the empty folder `root`; raise `OSError`, or `RuntimeError` where this machine lacks something."""
    _accounts(root)
    _interpreter(root)
    for dependency in required("podnet"):
        _copy_distribution(dependency, root / site_packages().relative_to("/"))
    _copy_podnet(root / site_packages().relative_to("/"))
    _copy(CERTIFICATES, root / CERTIFICATES.relative_to("/"))
    _copy(BIRD, root / BIRD.relative_to("/"))
    _libraries(root)
    _compile(root)


def site_packages() -> PurePosixPath:
    """Return where podnet is in the image."""
    return HOME / "lib" / _version() / "site-packages"


def _version() -> str:
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def _accounts(root: Path) -> None:
    """Make the folders, and the files that libc reads: root, and names from /etc/hosts before the resolver's."""
    for folder in STATE:
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0:root:/:/nonexistent\n", encoding="ascii")
    (root / "etc/group").write_text("root:x:0:\n", encoding="ascii")
    (root / "etc/nsswitch.conf").write_text("hosts: files dns\n", encoding="ascii")
    (root / "var/run").symlink_to("/run")
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")


def _interpreter(root: Path) -> None:
    """Copy this interpreter and its standard library below /usr, and make the venv of them."""
    name = _version()
    program = root / "usr/bin" / name
    _copy(Path(sys.executable).resolve(), program)
    (root / "usr/bin/python3").symlink_to(name)
    stdlib, ours = Path(sysconfig.get_path("stdlib")), root / "usr/lib" / name
    shutil.copytree(stdlib, ours, ignore=_left_out)
    for module in sorted((stdlib / "lib-dynload").glob("*.so")):
        if not module.name.startswith(NOT_LOADED):
            _copy(module, ours / "lib-dynload" / module.name)
    venv = root / HOME.relative_to("/")
    (venv / "bin").mkdir(parents=True)
    (venv / "bin/python3").symlink_to("/usr/bin/python3")
    (venv / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n", encoding="ascii")
    script = venv / "bin/podnet"
    script.write_text(f"#!{HOME}/bin/python3 -I\nfrom podnet.cli import main\n\nmain()\n", encoding="ascii")
    script.chmod(0o755)


def _left_out(folder: str, names: list[str]) -> set[str]:
    """Tell which of the `names` in a `folder` of the standard library are not copied (shutil.copytree)."""
    del folder
    return {name for name in names if name in LEFT_OUT or name.startswith("config-")}


def required(name: str) -> list[Distribution]:
    """Return the distributions that `name` needs to run, without itself, each once, in order of their names."""
    found: dict[str, Distribution] = {}
    waiting = [distribution(name)]
    while waiting:
        for line in waiting.pop().requires or ():
            requirement = Requirement(line)
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
                continue
            dependency = distribution(requirement.name)
            if dependency.name not in found:
                found[dependency.name] = dependency
                waiting.append(dependency)
    return [found[key] for key in sorted(found)]


def _copy_distribution(installed: Distribution, target: Path) -> None:
    """Copy what a distribution has put into site-packages; its programs are left out, and so is compiled code."""
    for file in installed.files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            _copy(Path(str(installed.locate_file(file))), target / file)


def _copy_podnet(target: Path) -> None:
    """Copy the package with its shim as it is in the source tree, which is what its wheel has."""
    import podnet  # noqa: PLC0415 - for where it is
    from podnet import shim  # noqa: PLC0415 - likewise

    shim.path()  # an error where it was never built
    shutil.copytree(Path(podnet.__file__).parent, target / "podnet", ignore=shutil.ignore_patterns("__pycache__"))


def _libraries(root: Path) -> None:
    """Copy the loader, and every shared library that a program or module of the image loads."""
    elves = sorted(path for path in root.rglob("*") if _is_elf(path) and path.name != "podnet")
    for name, path in sorted(libraries(elves)):
        if not name.startswith("/"):
            _copy(path, root / LIBRARIES.relative_to("/") / name)
        else:  # the loader, by the path that is written into every program
            _copy(path, root / name.lstrip("/"))
    own = [root / "usr/bin" / _version(), *(root / "usr/lib").glob("libpython*")]
    subprocess.run(["strip", "--strip-unneeded", *own], check=True)


def libraries(elves: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Yield name and path of each library that `elves` load, themselves or through others, as ldd(1) finds them."""
    asked = [str(path) for path in elves]
    done = subprocess.run(["ldd", *asked], capture_output=True, text=True, check=False, env={"PATH": os.defpath})
    seen = set()
    for line in done.stdout.splitlines():
        words = line.split()
        if not line.startswith("\t") or words[:1] == ["linux-vdso.so.1"] or words[:1] == ["statically"]:
            continue
        if words[2:4] == ["not", "found"]:
            raise RuntimeError(
                f"{words[0]}: not on this machine, and the image's programs load it: install its package"
            )
        name, path = words[0], words[2] if words[1] == "=>" else words[0]
        if name not in seen:
            seen.add(name)
            yield name, Path(path).resolve()
    # Loaded by libc itself when a thread ends: nothing is linked to it.
    libgcc = next(Path("/").glob("usr/lib/*/libgcc_s.so.1"), None) or next(Path("/").glob("lib/*/libgcc_s.so.1"), None)
    if libgcc is not None and libgcc.name not in seen:
        yield libgcc.name, libgcc.resolve()


def _is_elf(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _compile(root: Path) -> None:
    """Compile all modules: the image is read-only where it runs, and each start would compile them anew.

    In one process of its own, since what an earlier one has met shows in the bytes; never compared with the sources
    when loaded, since their times are the image's.
    """
    words = ["-m", "compileall", "-q", "-j1", "-s", str(root), "-p", "/", "--invalidation-mode", "unchecked-hash"]
    folders = [root / "usr/lib" / _version(), root / site_packages().relative_to("/")]
    subprocess.run([sys.executable, "-I", "-S", *words, *folders], check=True, env={"PYTHONHASHSEED": "0"})


def _copy(source: Path | PurePosixPath, target: Path) -> None:
    """Copy a file, through links, with whether it may be executed."""
    if not Path(source).is_file():
        raise RuntimeError(f"{source} is not there, and the image needs it: install what brings it")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
