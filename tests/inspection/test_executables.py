"""Whether the plugins of the chosen configuration are there and can be executed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from podnet.inspection import Plugin, Report
from podnet.inspection.executables import find, interpreter, machine
from podnet.inspection.files import Root

CONFIGURATION = '{"name": "n", "plugins": [{"type": "ptp", "ipam": {"type": "host-local"}}]}'


@pytest.fixture
def plugin(root: Path) -> Callable[[], Plugin]:
    """Return what is found of the plugin `ptp` in two folders."""
    return lambda: find(Root(str(root)), "ptp", "plugin", ("/usr/lib/cni", "/opt/cni/bin"))


def test_the_first_folder_that_has_it_counts(put: Callable[..., Path], plugin: Callable[[], Plugin]) -> None:
    """Folders are searched in order, and a sound plugin has no fault."""
    put("/opt/cni/bin/ptp")
    assert plugin() == Plugin("ptp", "plugin", "/opt/cni/bin/ptp")
    put("/usr/lib/cni/ptp")
    assert plugin().path == "/usr/lib/cni/ptp"


@pytest.mark.parametrize(
    ("content", "fault", "hint"),
    [
        (b"", "empty file", "copy it again"),
        (b"<html>404</html>", "neither an ELF program nor a script", "copy it again"),
        (b"#!/bin/no-such-shell\n", "its interpreter /bin/no-such-shell does not exist", "install it"),
        (b"#!/bin/sh -e\n", "", ""),
    ],
)
def test_what_keeps_it_from_running_is_named(
    put: Callable[..., Path], plugin: Callable[[], Plugin], content: bytes, fault: str, hint: str
) -> None:
    """Each fault has its own words and its own remedy."""
    put("/usr/lib/cni/ptp", content, 0o755)
    found = plugin()
    assert (found.fault, hint in found.hint) == (fault, True)


def test_a_file_without_the_permission_is_named(put: Callable[..., Path], plugin: Callable[[], Plugin]) -> None:
    """A plugin that may not be executed says how to allow it."""
    put("/usr/lib/cni/ptp", b"#!/bin/sh\n", 0o644)
    assert (plugin().fault, plugin().hint) == ("not executable", "chmod 755 /usr/lib/cni/ptp")


def test_another_architecture_is_named(
    put: Callable[..., Path], plugin: Callable[[], Plugin], elf: Callable[..., bytes]
) -> None:
    """An arm64 plugin on an x86_64 machine is told as such, with the build that is needed."""
    put("/usr/lib/cni/ptp", elf(183), 0o755)
    assert plugin().fault == "wrong architecture: aarch64 on x86_64"
    assert plugin().hint == "install the amd64 build"


def test_an_absent_loader_is_named(
    put: Callable[..., Path], plugin: Callable[[], Plugin], elf: Callable[..., bytes]
) -> None:
    """A dynamic program without its loader is what execve calls `No such file or directory`."""
    put("/usr/lib/cni/ptp", elf(interpreter="/lib64/ld-linux-x86-64.so.2"), 0o755)
    assert plugin().fault == "its interpreter /lib64/ld-linux-x86-64.so.2 does not exist"
    put("/lib64/ld-linux-x86-64.so.2")
    assert not plugin().fault


def test_a_missing_plugin_says_where_to_put_it(put: Callable[..., Path], plugin: Callable[[], Plugin]) -> None:
    """The hint names the folders, and for a reference plugin the package."""
    put("/etc/hostname", "n1")
    assert plugin().fault == "missing"
    assert "/usr/lib/cni or /opt/cni/bin" in plugin().hint
    assert "containernetworking-plugins" in plugin().hint


@pytest.mark.parametrize("name", ["", "../ptp", "a/b"])
def test_a_name_that_is_no_file_name_is_a_fault(root: Path, name: str) -> None:
    """A type with a slash never leaves the plugin folders."""
    assert find(Root(str(root)), name, "plugin", ("/opt/cni/bin",)).fault == "no plugin name"


def test_the_ipam_program_is_looked_for_too(put: Callable[..., Path], look: Callable[[], Report]) -> None:
    """A plugin executes its `ipam.type` itself; when that is missing it is an error as well."""
    put("/etc/cni/net.d/10-ptp.conflist", CONFIGURATION)
    put("/opt/cni/bin/ptp")
    (runtime,) = look().runtimes
    assert [(p.name, p.role, p.fault) for p in runtime.plugins] == [
        ("ptp", "plugin", ""),
        ("host-local", "delegate", "missing"),
    ]
    assert not look().sound


def test_the_real_shell_is_recognised() -> None:
    """The header of a real program of this machine gives this machine's architecture and an existing loader."""
    here = Root("/")
    head = here.executable("/bin/sh").head
    assert machine(head) == here.machine
    assert not interpreter(head) or Path(interpreter(head)).exists()


def test_links_do_not_lead_out_of_the_root(put: Callable[..., Path], root: Path) -> None:
    """An absolute link is taken within the root, and a loop is a fault, not an endless walk."""
    put("/usr/bin/real", "inside")
    (root / "link").symlink_to("/usr/bin/real")
    (root / "up").symlink_to("../../../usr/bin/real")
    (root / "loop").symlink_to("/loop")
    view = Root(str(root))
    assert view.read("/link").data == b"inside"
    assert view.read("/up").data == b"inside"
    assert "symbolic links" in view.read("/loop").fault


def test_what_is_no_file_is_a_fault(put: Callable[..., Path], root: Path) -> None:
    """A folder, a pipe nobody writes to and a file too large are told, and none is waited for."""
    put("/large", b"x" * ((1 << 20) + 1))
    os.mkfifo(root / "pipe")
    view = Root(str(root))
    assert "larger than" in view.read("/large").fault
    assert view.read("/pipe").fault == "not a regular file"
    assert view.read("/bin").fault == "is a directory"
    assert view.read("/a\0b").fault
    assert view.names("/large").missing
