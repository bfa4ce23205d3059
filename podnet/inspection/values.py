"""The values of an inspection: what is read (`Source`, `Listing`, `Executable`) and what is judged from it."""

from typing import Literal, Protocol

import msgspec

Severity = Literal["error", "warning", "info"]
# How a runtime chooses among the configurations of a folder; see `configurations.choose`.
Rule = Literal["first-must-load", "first-that-loads", "named", "none"]

CONF_DIR = "/etc/cni/net.d"
BIN_DIR = "/opt/cni/bin"


class Source(msgspec.Struct, frozen=True):
    """A file as read: its bytes, or None and why not.  `missing` when there simply is none."""

    path: str
    data: bytes | None = None
    fault: str = ""
    missing: bool = False


class Listing(msgspec.Struct, frozen=True):
    """A folder as read: the sorted names of its files (not of its folders), or why they cannot be told."""

    path: str
    names: tuple[str, ...] = ()
    fault: str = ""
    missing: bool = False


class Executable(msgspec.Struct, frozen=True):
    """A file that might be executed: permission bits and the first bytes (an ELF header, or ``#!``)."""

    path: str
    mode: int = 0
    head: bytes = b""
    fault: str = ""
    missing: bool = False


class Process(msgspec.Struct, frozen=True):
    """A running process and its argument vector."""

    pid: int
    argv: tuple[str, ...]


class View(Protocol):
    """A root folder to look at.  Paths are absolute within it; nothing raises."""

    @property
    def machine(self) -> str:
        """The architecture programs of this root run on, as uname(2) spells it."""

    def read(self, path: str) -> Source:
        """Return the file's content."""

    def names(self, folder: str) -> Listing:
        """Return the names of the files in `folder`, sorted."""

    def executable(self, path: str) -> Executable:
        """Return what execve(2) would look at first."""

    def processes(self) -> tuple[Process, ...]:
        """Return the processes whose argument vector can be read."""


class Finding(msgspec.Struct, frozen=True):
    """Something to know or to mend: where, what, and what to do about it."""

    severity: Severity
    place: str
    what: str
    remedy: str = ""


class Setting(msgspec.Struct, frozen=True):
    """One value of a runtime's configuration and where it comes from (a path, a process, or ``default``)."""

    name: str
    value: str
    source: str


class Configuration(msgspec.Struct, frozen=True):
    """One file of a CNI configuration folder; `fault` is empty when libcni would load it."""

    path: str
    name: str = ""
    cni_version: str = ""
    plugins: tuple[str, ...] = ()
    delegates: tuple[str, ...] = ()
    fault: str = ""


class Folder(msgspec.Struct, frozen=True):
    """A CNI configuration folder: the files libcni considers, in the order it does, and those it passes over."""

    path: str
    configurations: tuple[Configuration, ...] = ()
    ignored: tuple[str, ...] = ()
    fault: str = ""
    missing: bool = False


class Choice(msgspec.Struct, frozen=True):
    """Which configuration a runtime uses: its path (empty: none) and why that one."""

    path: str
    why: str


class Plugin(msgspec.Struct, frozen=True):
    """A plugin that the chosen configuration names: where it was found, or what is wrong and a hint."""

    name: str
    role: Literal["plugin", "delegate"]
    path: str = ""
    fault: str = ""
    hint: str = ""


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """What one runtime is configured to use.

    `evidence` says by what it was recognised (a file, a process); empty means that it is not on this machine.
    `rule` is how it chooses in `conf_dir`; `network` the configured network's name, for the rule ``named``; `most`
    the number of files it loads for the rule ``first-must-load``, 0 all.
    """

    name: str
    evidence: tuple[str, ...] = ()
    conf_dir: str = ""
    bin_dirs: tuple[str, ...] = ()
    rule: Rule = "none"
    network: str = ""
    most: int = 1
    settings: tuple[Setting, ...] = ()
    choice: Choice = Choice("", "")
    plugins: tuple[Plugin, ...] = ()


class Report(msgspec.Struct, frozen=True):
    """The whole inspection."""

    machine: str
    folders: tuple[Folder, ...]
    bin_folders: tuple[Listing, ...]
    runtimes: tuple[Runtime, ...]
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing found is an error."""
        return all(finding.severity != "error" for finding in self.findings)
