"""Whether a plugin is there and can be executed here, told from its mode and its first bytes.

ELF: e_ident[EI_CLASS] at 4, EI_DATA at 5, e_machine at 18 (elf(5), uapi/linux/elf.h); PT_INTERP names the loader, whose
absence is the `no such file or directory` of an existing file.
"""

from struct import unpack_from
from typing import Literal

from podnet.inspection.values import Executable, Plugin, View

_MACHINES = {3: "i686", 22: "s390x", 21: "ppc64le", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
_RUNS = {"x86_64": {"x86_64", "i686"}, "aarch64": {"aarch64", "armv7l"}, "arm64": {"aarch64"}}
_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}  # as release archives of plugins are named
_PT_INTERP = 3


def find(view: View, name: str, role: Literal["plugin", "delegate"], folders: tuple[str, ...]) -> Plugin:
    """Return plugin `name` as found in the first of `folders` that has it (libcni `FindInPath`)."""
    if not name or "/" in name:
        return Plugin(name, role, fault="no plugin name", hint="`type` is a file name without `/`")
    for folder in folders:
        file = view.executable(f"{folder.rstrip('/')}/{name}")
        if not file.missing:
            fault, hint = _judge(view, file)
            return Plugin(name, role, file.path, fault, hint)
    places = " or ".join(folders) or "no folder"
    return Plugin(name, role, fault="missing", hint=f"put {name} into {places}{_origin(name)}")


def machine(head: bytes) -> str:
    """Return the architecture an ELF file is for, as uname(2) spells it, or an empty string when it is no ELF file."""
    if len(head) < 20 or head[:4] != b"\x7fELF" or head[5] not in {1, 2}:  # noqa: PLR2004 - offsets of elf(5)
        return ""
    number = unpack_from("<H" if head[5] == 1 else ">H", head, 18)[0]
    return _MACHINES.get(number, f"machine {number}")


def interpreter(head: bytes) -> str:
    """Return the loader that a dynamic ELF file or a ``#!`` script asks for, as far as `head` tells."""
    if head.startswith(b"#!"):
        words = head[2:].split(b"\n", 1)[0].split()
        return words[0].decode(errors="replace") if words else ""
    if len(head) < 64 or head[:4] != b"\x7fELF" or head[4] != 2 or head[5] != 1:  # noqa: PLR2004 - 64 bit, little endian
        return ""
    offset = unpack_from("<Q", head, 32)[0]
    size, count = unpack_from("<HH", head, 54)
    for index in range(count):
        at = offset + index * size
        if at + 40 > len(head):
            return ""
        if unpack_from("<I", head, at)[0] == _PT_INTERP:
            start, length = unpack_from("<Q", head, at + 8)[0], unpack_from("<Q", head, at + 32)[0]
            return head[start : start + length].rstrip(b"\0").decode(errors="replace")
    return ""


def _judge(view: View, file: Executable) -> tuple[str, str]:
    """Return what keeps `file` from being executed, and the remedy; two empty strings when nothing does."""
    if file.fault:
        return file.fault, "make it readable and executable for root"
    if not file.mode & 0o111:
        return "not executable", f"chmod 755 {file.path}"
    if not file.head:
        return "empty file", "copy it again: a write was cut short"
    return _judge_head(view, file)


def _judge_head(view: View, file: Executable) -> tuple[str, str]:
    found = machine(file.head)
    if found and view.machine and found not in _RUNS.get(view.machine, {view.machine}):
        wanted = _NAMES.get(view.machine, view.machine)
        return f"wrong architecture: {found} on {view.machine}", f"install the {wanted} build"
    if not found and not file.head.startswith(b"#!"):
        return "neither an ELF program nor a script", "copy it again: perhaps an archive or an error page was saved"
    loader = interpreter(file.head)
    if loader and view.executable(loader).missing:
        return f"its interpreter {loader} does not exist", "install it, or a statically linked build of the plugin"
    return "", ""


def _origin(name: str) -> str:
    if name == "podnet":
        return ": `podnet node run` installs it"
    if name in _REFERENCE.split():
        return ": it is one of the reference plugins (package containernetworking-plugins)"
    return ""


_REFERENCE = (
    "bandwidth bridge dhcp dummy firewall host-device host-local ipvlan loopback macvlan portmap ptp sbr static tap "
    "tuning vlan vrf"
)
