"""A writer killed at any moment: every answer it gave is still true, and nobody holds an address twice."""

import json
import os
import random
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from podnet.model import Lease, Network
from podnet.store import Store

WRITER = """
import json, random, sys
from ipaddress import ip_network
from pathlib import Path
from podnet.errors import AddressUnavailable
from podnet.model import Attachment, Network, Range
from podnet.store import HistoryBounds, Store

path, seed = Path(sys.argv[1]), int(sys.argv[2])
dice = random.Random(seed)
net = ip_network("10.1.0.0/26")
network = Network(name="podnet", ranges=((Range(net, net[1], net[-1], net[1]),),), quarantine=1)
store = Store.open(path, "boot-1", 1000.0 + seed, history=HistoryBounds(rows=50))
number, now = 0, 1000.0 + seed

def say(*words):
    # One write(2) after the commit: what the reader of this pipe sees has been answered.
    sys.stdout.write(json.dumps(words) + "\\n")
    sys.stdout.flush()

while True:
    now += 0.001
    told = []
    with store.transaction():
        for _ in range(dice.randint(1, 4)):
            number += 1
            try:
                attachment = Attachment("podnet", f"{seed:08x}{number:08x}", "eth0")
                lease = store.reserve(attachment, network, (), None, "", now)
                told.append(("live", attachment.container, str(lease.addresses[0].address)))
            except AddressUnavailable:
                pass
        live = store.live()
        for lease in store.cut([l.attachment for l in dice.sample(live, dice.randint(0, min(4, len(live))))], now):
            told.append(("cut", lease.attachment.container, str(lease.addresses[0].address)))
    for words in told:
        say(*words)
    pending = store.pending()
    some = dice.sample(pending, dice.randint(0, len(pending)))
    store.close(some, now)
    for lease in some:
        say("closed", lease.attachment.container, str(lease.addresses[0].address))
    if dice.random() < 0.1:
        store.tend(now)
"""

SEED = int(os.environ.get("PODNET_TEST_SEED", random.SystemRandom().randrange(1 << 30)))


def run_and_kill(path: Path, seed: int, after: int) -> list[tuple[str, str, str]]:
    """Start a writer, kill it once it has given `after` answers, return every answer that was complete."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(seed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert writer.stdout is not None
    assert writer.stderr is not None
    said = b""
    with writer.stdout, writer.stderr:
        while said.count(b"\n") < after:
            assert select.select([writer.stdout], [], [], 60)[0], "the writer gave no answer for a minute"
            read = os.read(writer.stdout.fileno(), 4096)
            if not read:
                pytest.fail(f"the writer ended: {writer.stderr.read().decode()}")
            said += read
        writer.send_signal(signal.SIGKILL)
        said += writer.stdout.read()
        writer.wait()
    return [tuple(json.loads(line)) for line in said.split(b"\n")[:-1]]


def check_invariants(path: Path, told: list[tuple[str, str, str]], network: Network) -> None:
    """Reopen as the same boot; compare with what was answered, and look at the database's own consistency."""
    with Store.open(path, "boot-1", 5000.0) as store:
        live, pending = store.live(), store.pending()
        addresses = [lease.addresses[0].address for lease in (*live, *pending)]
        assert len(addresses) == len(set(addresses))
        last = {container: (state, address) for state, container, address in told}
        states = {lease.attachment.container: "cut" for lease in pending}
        states |= {lease.attachment.container: "live" for lease in live}
        # Commits whose answer was not told yet may have moved a lease on, never back.
        onward = {"live": ("live", "cut", "closed"), "cut": ("cut", "closed"), "closed": ("closed",)}
        for container, (state, address) in last.items():
            assert states.get(container, "closed") in onward[state], (container, state)
            held = [str(x.addresses[0].address) for x in (*live, *pending) if x.attachment.container == container]
            assert held in ([], [address])
        execute = store._connection.execute
        assert execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert execute("PRAGMA foreign_key_check").fetchall() == []
        known = {key for (key,) in execute("SELECT DISTINCT address FROM address")}
        spans = execute("SELECT first, last FROM untouched WHERE length(first) = 5").fetchall()
        free = {b"\x04" + n.packed for n in network.ranges[0][0].subnet}
        untouched = {key for key in free if any(first <= key <= last for first, last in spans)}
        reserved = {b"\x04" + network.ranges[0][0].subnet[n].packed for n in (0, 1, -1)}
        assert known | untouched == free
        assert known & untouched == set()
        assert reserved <= untouched


@pytest.mark.parametrize("turn", range(3))
def test_a_killed_writer_leaves_what_it_answered(
    turn: int, path: Path, network_of: Callable[..., Network], add: Callable[..., Lease]
) -> None:
    """Killed and restarted at random moments on one database, four times over; afterwards the rules go on."""
    dice = random.Random(SEED + turn)  # noqa: S311 - repeatable, not secret
    print(f"PODNET_TEST_SEED={SEED}")  # noqa: T201 - shown with a failure, to repeat it
    network = network_of("10.1.0.0/26", quarantine=1)
    told: list[tuple[str, str, str]] = []
    for life in range(4):
        told += run_and_kill(path, SEED + 10 * turn + life, dice.randrange(1, 600))
        check_invariants(path, told, network)
    with Store.open(path, "boot-2", 6000.0) as store:
        given = [add(store, n, network, 6000.0).addresses[0].address for n in range(61)]
        assert len(set(given)) == 61
