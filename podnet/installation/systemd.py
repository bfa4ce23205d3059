"""systemd on this machine, asked and told by systemctl(1)."""

import subprocess
from pathlib import Path

from podnet.errors import IOFailure
from podnet.installation.unit import NAME

RUNNING = Path("/run/systemd/system")
"""There where systemd is the init (sd_booted(3))."""


def runs() -> bool:
    """Tell whether systemd is this machine's init."""
    return RUNNING.is_dir()


def main_process() -> int:
    """Return the process id of the daemon that systemd runs, 0 where it runs none."""
    done = subprocess.run(
        ["systemctl", "show", "--property=MainPID", "--value", NAME], text=True, capture_output=True, check=False
    )
    told = done.stdout.strip()
    return int(told) if told.isdecimal() else 0


def tell(*words: str) -> None:
    """Run systemctl with `words`; raise `IOFailure` with its own words where it fails."""
    try:
        done = subprocess.run(["systemctl", *words], text=True, capture_output=True, check=False)
    except OSError as error:
        raise IOFailure(f"systemctl: {error.strerror}; it belongs to systemd, which is this machine's init") from error
    if done.returncode:
        raise IOFailure(
            f"systemctl {' '.join(words)} failed; `journalctl -u {NAME}` tells why",
            (done.stderr or done.stdout).strip(),
        )
