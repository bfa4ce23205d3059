"""The script beside podnet's own database: never two keepers of addresses."""

import os
import sqlite3
import time
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from podnet.kernel.facts import boot_id
from podnet.model import Attachment, NamespaceId, Network, Range
from podnet.store import Store

pytestmark = pytest.mark.live

NewNode = Callable[..., Any]  # tests/script/conftest.py, Sandbox
SUBNET = ip_network("10.244.1.0/24")
NETWORK = Network(name="podnet", ranges=((Range(SUBNET, SUBNET[2], SUBNET[9], SUBNET[1]),),))


def database(path: Path, *, boot: str, live: bool) -> str:
    """Write a database of `boot` in which one lease is live, or released and closed."""
    now = time.time()
    store = Store.open(path, boot, now)
    try:
        attachment = Attachment("podnet", "c", "eth0")
        lease = store.reserve(attachment, NETWORK, (), NamespaceId(1, 2), "/x", now)
        if not live:
            store.cut([attachment], now)
            store.close([lease], now)
    finally:
        store.close_database()
    return str(path)


def without_programs(folder: Path, *absent: str) -> str:
    """Return a PATH with every program of this machine but `absent`."""
    folder.mkdir()
    for place in reversed([*os.environ["PATH"].split(":"), "/usr/sbin", "/sbin"]):
        for program in Path(place).iterdir() if Path(place).is_dir() else ():
            if program.name not in absent:
                link = folder / program.name
                link.unlink(missing_ok=True)
                link.symlink_to(program)
    return str(folder)


@pytest.fixture
def node(new_node: NewNode) -> Any:
    """Return a node with one pod."""
    return new_node("red")


@pytest.fixture
def added(node: Any) -> Callable[..., tuple[int, str]]:
    """Return what adding the pod gives, with the environment given: status and standard error."""
    script = node.script(config=node.settings("ptp", "4"))

    def run(**environment: str) -> tuple[int, str]:
        result = node.run("sh", script, "add", "c-red", "red", **environment)
        return result.returncode, result.stderr

    return run


def test_a_live_lease_is_a_refusal(added: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    """One live lease of this boot: nothing is added, and the message says what to do; the override goes on."""
    path = database(tmp_path / "podnet.db", boot=boot_id(), live=True)
    status, told = added(PODNET_DATABASE=path)
    assert status == 1
    assert f"podnet keeps this node's addresses in {path} (live leases: 1): use `podnet add`" in told
    assert added(PODNET_DATABASE=path, PODNET_SCRIPT_FORCE="1")[0] == 0


@pytest.mark.parametrize(("boot", "live"), [("", False), ("an-earlier-boot", True)], ids=["released", "earlier boot"])
def test_a_database_without_live_leases_is_none(
    added: Callable[..., tuple[int, str]], tmp_path: Path, boot: str, live: bool
) -> None:
    """Leases that are closed, or that the last boot ended, keep nobody from adding."""
    path = database(tmp_path / "podnet.db", boot=boot or boot_id(), live=live)
    assert added(PODNET_DATABASE=path) == (0, "")


def test_a_database_that_cannot_be_read_is_a_refusal(added: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    """Not a database, or another program's: no proof that there is no lease, so no add."""
    other = tmp_path / "other.db"
    other.write_bytes(b"not a database")
    status, told = added(PODNET_DATABASE=str(other))
    assert (status, "(live leases: unknown)" in told) == (1, True)
    other.unlink()
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    assert added(PODNET_DATABASE=str(other))[0] == 1


def test_python_reads_it_where_sqlite3_is_not_installed(added: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    """Without the sqlite3 program python3 counts the leases; without both the answer is no."""
    path = database(tmp_path / "live.db", boot=boot_id(), live=True)
    ended = database(tmp_path / "ended.db", boot=boot_id(), live=False)
    no_sqlite3 = without_programs(tmp_path / "one", "sqlite3")
    neither = without_programs(tmp_path / "two", "sqlite3", "python3")
    # the script appends /usr/sbin and /sbin to PATH, where neither program is
    assert "(live leases: 1)" in added(PODNET_DATABASE=path, PATH=no_sqlite3)[1]
    assert "(live leases: unknown)" in added(PODNET_DATABASE=ended, PATH=neither)[1]
    assert added(PODNET_DATABASE=ended, PATH=no_sqlite3) == (0, "")
