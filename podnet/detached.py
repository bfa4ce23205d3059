"""Starting programs that go on without the daemon: they serve links and routes that must outlive it."""

import os
import shutil
import subprocess
from collections.abc import Sequence

from podnet.errors import IOFailure

START_SECONDS = 20.0


def start_detached(words: Sequence[str], unit: str, remedy: str) -> None:
    """Run a program that goes into the background by itself, and return when it has; raise `IOFailure`.

    Where the daemon is a service of systemd's, the program becomes a `unit` of its own: it is not ended with the
    daemon, nor in its sandbox.  `remedy` is said of what fails.
    """
    if _of_systemd():
        words = ["systemd-run", "--quiet", "--collect", "--service-type=forking", f"--unit={unit}", *words]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=START_SECONDS,
            cwd="/",
            start_new_session=True,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise IOFailure(f"{' '.join(words)}: {error}; {remedy}") from error
    if done.returncode:
        said = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        telling = [line for line in said if "ERROR" in line or "Failed" in line] or said
        reason = telling[-1] if telling else f"exit status {done.returncode}"
        raise IOFailure(f"{' '.join(words)}: {reason}; {remedy}", "\n".join(said))


def _of_systemd() -> bool:
    """Tell whether this process is a service of systemd's, which can start others."""
    return "INVOCATION_ID" in os.environ and os.path.isdir("/run/systemd/system") and bool(shutil.which("systemd-run"))  # noqa: PTH112 - pathlib costs 10 ms to import
