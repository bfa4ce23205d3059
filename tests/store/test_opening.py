"""Opening the database: its place and modes, one writer, and files that are not what they should be."""

import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from podnet.errors import StateError
from podnet.model import Lease, Network
from podnet.store import Reader, Store, WriterLock, schema
from podnet.store.lock import holder, lock_path
from podnet.store.schema import MIGRATIONS, VERSION

Add = Callable[..., Lease]
NetworkOf = Callable[..., Network]


def mode(path: Path) -> int:
    """Return a file's permission bits."""
    return path.stat().st_mode & 0o777


def test_the_database_is_for_root_alone(path: Path, add: Add, network_of: NetworkOf) -> None:
    """Folder 0700, every file 0600; a database that was readable is no longer."""
    umask = os.umask(0)
    try:
        with Store.open(path, "boot-1", 1.0) as store:
            add(store, 1, network_of("10.1.0.0/24"))
            files = sorted(path.parent.iterdir())
            assert [f.name for f in files] == ["podnet.db", "podnet.db-shm", "podnet.db-wal", "podnet.db.lock"]
            assert {mode(f) for f in files} == {0o600}
            assert mode(path.parent) == 0o700
        path.chmod(0o644)
        with Store.open(path, "boot-1", 1.0):
            assert mode(path) == 0o600
    finally:
        os.umask(umask)


def test_a_second_writer_is_refused_with_the_first_ones_name(path: Path) -> None:
    """The error names the process, and the lock file is free once it ends."""
    with Store.open(path, "boot-1", 1.0) as store:
        assert holder(path) == os.getpid()
        with pytest.raises(StateError, match=rf"locked by process {os.getpid()} \(.*two podnets never write"):
            Store.open(path, "boot-1", 1.0)
        assert store.live() == []
    with Store.open(path, "boot-1", 1.0):
        pass


def test_a_writer_waits_for_the_other_to_end(path: Path) -> None:
    """Up to the time it was given: a one-shot may come while another is at work."""
    path.parent.mkdir()
    script = (
        "import sys, pathlib\nfrom podnet.store import Store\n"
        "s = Store.open(pathlib.Path(sys.argv[1]), 'boot-1', 1.0)\nprint(flush=True)\nsys.stdin.readline()\n"
        "s.close_database()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == b"\n"
        with pytest.raises(StateError, match=f"process {other.pid}"):
            WriterLock.acquire(path, timeout=0.02)
        other.stdin.write(b"\n")
        other.stdin.flush()
        with Store.open(path, "boot-1", 1.0, wait=60):
            assert holder(path) == os.getpid()


def test_a_lock_whose_holder_is_unknown_says_so(path: Path) -> None:
    """Another writer between lock and signature; a holder of another pid namespace."""
    path.parent.mkdir()
    lock = WriterLock.acquire(path)
    with pytest.raises(StateError, match="just starting"):
        WriterLock.acquire(path)
    lock_path(path).write_text(f"{2**22 + 1} boot\n")
    with pytest.raises(StateError, match="in another pid namespace"):
        WriterLock.acquire(path)
    lock.release()
    lock.release()
    assert holder(path.with_name("none.db")) is None


def test_a_file_system_without_locks_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems refuse flock(2)."""

    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    path.parent.mkdir()
    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(StateError, match=r"cannot be locked: No locks available; put it on a local disk"):
        WriterLock.acquire(path)


def test_a_migration_that_fails_leaves_nothing_of_itself(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a version or none of it; the next opening begins where this one did."""
    good = MIGRATIONS
    broken = (*good, ("CREATE TABLE half (x)", "CREATE TABLE boot (twice)"))
    Store.open(path, "boot-1", 1.0).close_database()
    monkeypatch.setattr("podnet.store.schema.MIGRATIONS", broken)
    monkeypatch.setattr("podnet.store.schema.VERSION", len(broken))
    with pytest.raises(StateError, match="table boot already exists"):
        Store.open(path, "boot-1", 1.0)
    monkeypatch.setattr("podnet.store.schema.MIGRATIONS", (*good, ("CREATE TABLE whole (x)",)))
    with Store.open(path, "boot-1", 1.0) as store:
        tables = {name for (name,) in store._connection.execute("SELECT name FROM sqlite_schema")}
        assert "whole" in tables
        assert "half" not in tables
        assert store._connection.execute("PRAGMA user_version").fetchone() == (len(broken),)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (sqlite3.SQLITE_BUSY, "is locked by another program"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "is locked by another program"),
        (sqlite3.SQLITE_CORRUPT, "is damaged"),
        (sqlite3.SQLITE_FULL, "whether its disk is full"),
        (sqlite3.SQLITE_IOERR_WRITE, "whether its disk is full"),
        (sqlite3.SQLITE_CANTOPEN, "cannot be opened"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "cannot be opened"),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, "was changed by another program"),
        (sqlite3.SQLITE_MISUSE, "does not do what podnet asks"),
    ],
)
def test_every_kind_of_fault_names_the_file_and_a_remedy(path: Path, code: int, told: str) -> None:
    """By SQLite's primary result code, whatever the extended one."""
    error = sqlite3.OperationalError("what SQLite says")
    error.sqlite_errorcode = code
    fault = schema.fault(path, error)
    assert str(path) in fault.msg
    assert "what SQLite says" in fault.msg or code & 0xFF == sqlite3.SQLITE_BUSY
    assert told in fault.msg


def test_a_path_that_is_no_file_is_told_to_readers(path: Path) -> None:
    """A folder by that name."""
    path.mkdir(parents=True)
    with pytest.raises(StateError, match=r"cannot be read or written"):
        Reader.read(path)


def test_a_newer_database_is_left_alone(path: Path) -> None:
    """By writer and reader; the error has both versions."""
    Store.open(path, "boot-1", 1.0).close_database()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    openings: list[Callable[[], Reader]] = [lambda: Store.open(path, "boot-1", 1.0), lambda: Reader.read(path)]
    for opening in openings:
        with pytest.raises(StateError, match=f"schema version {VERSION + 1}, this podnet knows up to {VERSION}"):
            opening()


def test_a_database_of_another_program_is_left_alone(path: Path) -> None:
    """Somebody gave a wrong path."""
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    with pytest.raises(StateError, match="of another program"):
        Store.open(path, "boot-1", 1.0)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("recipes",)]
    connection.close()


def damage(path: Path, how: str) -> bytes:
    """Damage a closed database; return what it is then."""
    content = bytearray(path.read_bytes())
    if how == "header":
        content[:16] = b"not a database.."
    else:
        content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    return bytes(content)


@pytest.mark.parametrize("how", ["header", "pages"])
def test_a_damaged_database_of_this_boot_stays_where_it_is(
    path: Path, how: str, add: Add, network_of: NetworkOf
) -> None:
    """A new one would give running pods' addresses again; the error says how to recover."""
    with Store.open(path, "boot-1", 1.0) as store:
        add(store, 1, network_of("10.1.0.0/24"))
    content = damage(path, how)
    with pytest.raises(StateError, match=r"is damaged .*\.recover"):
        Store.open(path, "boot-1", 2.0)
    assert path.read_bytes() == content


@pytest.mark.parametrize("how", ["header", "pages"])
def test_a_damaged_database_of_an_earlier_boot_is_moved_aside(
    path: Path, how: str, add: Add, network_of: NetworkOf
) -> None:
    """Its leases are void, so the node starts; nothing is removed, and the caller is told where it is."""
    with Store.open(path, "boot-1", 1.0) as store:
        add(store, 1, network_of("10.1.0.0/24"))
    content = damage(path, how)
    with Store.open(path, "boot-2", 1234.5) as store:
        assert store.set_aside == path.with_name("podnet.db.damaged-1234")
        assert store.set_aside.read_bytes() == content
        assert store.live() == []
        add(store, 1, network_of("10.1.0.0/24"))
    with Store.open(path, "boot-2", 1.0) as store:
        assert store.set_aside is None
        assert len(store.live()) == 1


def test_a_stranger_that_holds_the_database_is_named_by_remedy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's own lock, held by another program, is waited for and then reported."""
    monkeypatch.setattr("podnet.store.schema.BUSY_SECONDS", 0.01)
    Store.open(path, "boot-1", 1.0).close_database()
    stranger = sqlite3.connect(path, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    with pytest.raises(StateError, match=r"is locked by another program .*fuser"):
        Store.open(path, "boot-1", 1.0)
    stranger.execute("ROLLBACK")
    stranger.close()
    Store.open(path, "boot-1", 1.0).close_database()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """The path leads through a file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot be made"):
        Store.open(tmp_path / "file" / "podnet.db", "boot-1", 1.0)
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StateError, match="cannot be opened"):
        Store.open(tmp_path / "folder.db", "boot-1", 1.0)
    (tmp_path / "x.db.lock").mkdir()
    with pytest.raises(StateError, match="cannot be opened"):
        Store.open(tmp_path / "x.db", "boot-1", 1.0)


def steps_of_beginning(store: Store) -> int:
    """Return how many instructions SQLite's machine takes to begin the boot that has begun already."""
    ticks = count()
    store._connection.set_progress_handler(lambda: next(ticks) < 0, 1)
    store._begin_boot("boot-1", 1.0)
    return next(ticks)


def test_opening_again_in_the_same_boot_reads_little(path: Path, add: Add, network_of: NetworkOf) -> None:
    """A one-shot opens for each request: nothing that grows with the leases may be done."""
    steps: list[int] = []
    network = network_of("10.0.0.0/8")
    for target in (10, 2000):
        with Store.open(path, "boot-1", 1.0) as store, store.transaction():
            for number in range(len(store.live()), target):
                add(store, number, network)
        with Store.open(path, "boot-1", 1.0) as store:
            assert store._connection.total_changes == 0
            steps.append(steps_of_beginning(store))
    assert steps[0] == steps[1]
