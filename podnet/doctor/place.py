"""Where the machine's own files are: below this process's root, or, in a pod, below that of who runs its container."""

import os
from collections.abc import Mapping
from pathlib import Path

from podnet.diagnosis import sysctl, unit_file
from podnet.diagnosis.sysctl import Assignment
from podnet.diagnosis.unit_file import UnitFile
from podnet.inspection.files import Root

IN_POD = "KUBERNETES_SERVICE_HOST"
"""A variable that kubelet gives each container."""
FOLDERS = ("/usr/lib", "/usr/local/lib", "/run", "/etc")
"""Where configuration is looked for: a later folder's file hides one of its name in those before (sysctl.d(5))."""


class Place:
    """The machine's files as `root` shows them; `sees_machine` is False in a pod from where they are out of sight."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Find them."""
        found = machine_root() if IN_POD in environment else "/"
        self.sees_machine = bool(found)
        self.root = Root(found or "/")

    def text(self, path: str) -> str:
        """Return the content of a file, "" where there is none or it cannot be read."""
        return (self.root.read(path).data or b"").decode(errors="replace")

    def there(self, path: str) -> bool:
        """Tell whether there is a file, socket or folder of that path."""
        folder, _, name = path.rpartition("/")
        listing = self.root.names(path)
        return name in self.root.names(folder or "/").names or not (listing.missing or listing.fault)

    def configuration(self, folder: str, ending: str) -> list[str]:
        """Return the paths of the files of `folder`, such as `sysctl.d`, below `FOLDERS`, by their names."""
        found: dict[str, str] = {}
        for above in FOLDERS:
            for name in self.root.names(f"{above}/{folder}").names:
                if name.endswith(ending):
                    found[name] = f"{above}/{folder}/{name}"
        return [found[name] for name in sorted(found)]

    def sysctl_files(self) -> list[Assignment]:
        """Return what files set sysctls to when they are loaded, in that order; /etc/sysctl.conf comes last."""
        paths = [*self.configuration("sysctl.d", ".conf"), "/etc/sysctl.conf"]
        return [each for path in paths for each in sysctl.assignments(path, self.text(path))]

    def unit_files(self, folder: str, ending: str) -> list[UnitFile]:
        """Return the files of `folder` with that `ending`, in the order of their names."""
        return [unit_file.parse(path, self.text(path)) for path in self.configuration(folder, ending)]


def machine_root() -> str:
    """Return the root of the nearest process above this one that has other mounts: of who runs this container.

    "" where none is seen, since the container has processes of its own (`hostPID: false`).
    """
    own = Path("/proc/self/ns/mnt").readlink()
    pid = os.getppid()
    while pid > 0:
        try:
            if Path(f"/proc/{pid}/ns/mnt").readlink() != own:
                return f"/proc/{pid}/root"
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return ""
    return ""


def read_sysctl(name: str) -> str:
    """Return the value of a sysctl by its path below /proc/sys, "" where there is none."""
    try:
        return Path("/proc/sys", name).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""
