"""wireguard-go in place of the kernel's WireGuard: which of both a node has, and how the program is started.

The program makes a TUN device, answers at a socket by that device's name, and goes on by itself: it is no child of the
daemon's, which finds the link and the socket again when it comes back.  It ends when the link is deleted.
"""

import shutil
import time
from typing import Literal

from podnet.detached import start_detached
from podnet.errors import IOFailure, NodeNotReady
from podnet.kernel.wireguard import SOCKETS, answers, family, read
from podnet.plan.objects import TUN

PROGRAM = "wireguard-go"
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
    remedy = f"it needs /dev/net/tun, CAP_NET_ADMIN and {link} not to be there; `apt install wireguard-go` brings it"
    start_detached((PROGRAM, link), link, remedy)
    # It goes on by itself before it has set the MTU that it likes, and answers after.
    if read(link, TUN) is None:
        raise IOFailure(f"{PROGRAM} {link}: does not answer at {SOCKETS}/{link}.sock; `ip link del {link}` ends it")


def _await_end(link: str) -> None:
    """Wait for the end of the program whose link was deleted, if there is one: it takes its socket away at the last."""
    deadline = time.monotonic() + END_SECONDS
    while answers(link) and time.monotonic() < deadline:
        time.sleep(0.005)
