"""wireguard-go in place of the kernel's WireGuard: which of both a node has, and how the program is started.

The program makes a TUN device, answers at a socket by that device's name, and goes on by itself: it is no child of the
daemon's, which finds the link and the socket again when it comes back.  It ends when the link is deleted.
"""

import os
import shutil
import subprocess
import time
from typing import Literal

from podnet.errors import IOFailure, NodeNotReady
from podnet.kernel.wireguard import SOCKETS, answers, family, read
from podnet.plan.objects import TUN

PROGRAM = "wireguard-go"
START_SECONDS = 20.0
END_SECONDS = 5.0


def kind_of_device() -> Literal["wireguard", "tun"]:
    """Return the kind of link that speaks WireGuard here: the kernel's own, else the program's.

    Raise `NodeNotReady` where there is neither.
    """
    if family():
        return "wireguard"
    if shutil.which(PROGRAM):
        return "tun"
    raise NodeNotReady(
        "backend wireguard: the kernel has no WireGuard (CONFIG_WIREGUARD, in Linux since 5.6) and wireguard-go is not "
        "installed: `modprobe wireguard`, or `apt install wireguard-go`, or choose another backend in podnet.yaml"
    )


def start(link: str) -> None:
    """Start the program, which makes the link `link`, and return when it answers; raise `IOFailure`."""
    _await_end(link)
    words = [PROGRAM, link]
    if _of_systemd():
        # A unit of its own: not ended with the daemon's, nor in its sandbox, which has neither /dev/net/tun nor UDP.
        words = ["systemd-run", "--quiet", "--collect", "--service-type=forking", f"--unit={link}", *words]
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
        raise IOFailure(f"{' '.join(words)}: {error}; `apt install wireguard-go` brings it") from error
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if "ERROR" in line or "Failed" in line]
        said = lines[-1].strip() if lines else f"exit status {done.returncode}"
        raise IOFailure(f"{' '.join(words)}: {said}; it needs /dev/net/tun, CAP_NET_ADMIN and {link} not to be there")
    # It goes on by itself before it has set the MTU that it likes, and answers after.
    if read(link, TUN) is None:
        raise IOFailure(f"{' '.join(words)}: does not answer at {SOCKETS}/{link}.sock; `ip link del {link}` ends it")


def _await_end(link: str) -> None:
    """Wait for the end of the program whose link was deleted, if there is one: it takes its socket away at the last."""
    deadline = time.monotonic() + END_SECONDS
    while answers(link) and time.monotonic() < deadline:
        time.sleep(0.005)


def _of_systemd() -> bool:
    """Tell whether this process is a service of systemd's, which can start others."""
    return "INVOCATION_ID" in os.environ and os.path.isdir("/run/systemd/system") and bool(shutil.which("systemd-run"))  # noqa: PTH112 - pathlib costs 10 ms to import
