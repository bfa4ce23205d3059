"""Time and boot: podnet's database orders what was by the clock, and voids what was before the boot."""

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime

from podnet.diagnosis.finding import Finding

CHECK = "clock"
EARLIEST = 1_735_689_600.0
"""2025-01-01: no machine that runs this podnet is earlier than that."""
LATITUDE = 2.0
"""Seconds by which a clock that is being disciplined may step back."""
_BOOT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NIL = "00000000-0000-0000-0000-000000000000"
SYNCHRONISE = "timedatectl set-ntp true, or `chronyc makestep`"


def clock(now: float, latest: float | None, *, wireguard: bool) -> Iterator[Finding]:
    """Yield what the clock's time `now` tells, in Unix seconds; `latest` is the newest time in the database, if any.

    `wireguard`: whether this node speaks it, whose handshakes carry the time.
    """
    if now < EARLIEST:
        what = "the clock is years behind: certificates are not valid yet, so neither the API server nor registries are"
        yield Finding(CHECK, "broken", f"{what} reached", f"it is {_written(now)}", SYNCHRONISE)
    if latest is not None and latest > now + LATITUDE:
        evidence = f"it is {_written(now)}, and the database has a lease of {_written(latest)}"
        told = "addresses that were released rest until then, and `podnet who --at` is wrong for that time"
        what = f"the clock has gone back {latest - now:.0f} s: {told}"
        yield Finding(CHECK, "soon", what, evidence, SYNCHRONISE)
        if wireguard:
            what = "the clock has gone back: nodes take no WireGuard handshake older than the last one they had"
            remedy = f"{SYNCHRONISE}; on the other nodes `ip link del podnet-wg`, which their daemon makes anew"
            yield Finding(CHECK, "broken", what, evidence, remedy)


def boot(boot_id: str, leases_of: Collection[str]) -> Iterator[Finding]:
    """Yield what this boot's id tells; `leases_of` are the boots that the live leases of the database are of."""
    where = "/proc/sys/kernel/random/boot_id"
    if not _BOOT_ID.fullmatch(boot_id) or boot_id == NIL:
        what = "this boot has no id: podnet cannot tell leases of pods that run from those of an earlier boot"
        remedy = f"see what is mounted over it (`findmnt {where}`), and take that away"
        yield Finding(CHECK, "broken", what, f"{where} has {boot_id!r}", remedy)
    elif others := sorted(set(leases_of) - {boot_id}):
        what = "the database has leases of another boot: they are void, and are ended when the daemon starts"
        evidence = f"{where} has {boot_id}, leases are of {', '.join(others)}"
        remedy = (
            "systemctl start podnet; where it runs, something has changed the boot's id under it: restart it, and its "
            "pods"
        )
        yield Finding(CHECK, "soon", what, evidence, remedy)


def _written(moment: float) -> str:
    try:
        return datetime.fromtimestamp(moment, UTC).isoformat(sep=" ", timespec="seconds")
    except (OverflowError, ValueError):
        return f"{moment:.0f} s after 1970"
