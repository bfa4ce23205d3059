"""The database's tables, its version, and how a connection is opened.

Addresses are BLOBs: one byte with the IP version, then the address in network order.  So they sort as addresses do,
and the families never mix in a BETWEEN.  `untouched` holds the spans of addresses without history, at first one span
for each whole family: it names no range, so a changed configuration needs no conversion.
"""

import sqlite3
from pathlib import Path

from podnet.errors import StateError

APPLICATION_ID = 0x706F646E  # "podn", shown by file(1)
BUSY_SECONDS = 2.0  # how long a stranger's lock on the database is waited for

# One entry for each version: the statements that lead to it from the one before.  Entries are added, never changed.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE boot (id INTEGER PRIMARY KEY, boot_id TEXT NOT NULL) STRICT",
        "CREATE TABLE subnet (id INTEGER PRIMARY KEY, subnet TEXT NOT NULL UNIQUE) STRICT",
        "CREATE TABLE network (id INTEGER PRIMARY KEY, document BLOB NOT NULL UNIQUE, quarantine REAL NOT NULL) STRICT",
        """CREATE TABLE lease (
            id INTEGER PRIMARY KEY,
            network TEXT NOT NULL, container TEXT NOT NULL, ifname TEXT NOT NULL,
            document INTEGER NOT NULL REFERENCES network,
            boot INTEGER NOT NULL REFERENCES boot,
            addresses BLOB NOT NULL, link TEXT NOT NULL,
            device INTEGER, inode INTEGER, path TEXT NOT NULL,
            created REAL NOT NULL, cut REAL, closed REAL, reason TEXT NOT NULL DEFAULT '',
            CHECK (closed IS NULL OR cut IS NOT NULL)) STRICT""",
        "CREATE UNIQUE INDEX lease_live ON lease (container, ifname, network) WHERE cut IS NULL",
        "CREATE UNIQUE INDEX lease_link ON lease (link) WHERE closed IS NULL",
        "CREATE INDEX lease_cut ON lease (cut) WHERE cut IS NOT NULL AND closed IS NULL",
        "CREATE INDEX lease_closed ON lease (closed) WHERE closed IS NOT NULL",
        # `released` is NULL while the lease is not closed; `reused` 1 once a later row has the same address.
        """CREATE TABLE address (
            address BLOB NOT NULL, lease INTEGER NOT NULL REFERENCES lease, subnet INTEGER NOT NULL REFERENCES subnet,
            released REAL, reused INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (address, lease)) STRICT, WITHOUT ROWID""",
        "CREATE UNIQUE INDEX address_held ON address (address) WHERE released IS NULL",
        "CREATE INDEX address_free ON address (subnet, released, address) WHERE released IS NOT NULL AND reused = 0",
        "CREATE TABLE untouched (first BLOB PRIMARY KEY, last BLOB NOT NULL) STRICT, WITHOUT ROWID",
        "INSERT INTO untouched VALUES (x'0400000000', x'04ffffffff')",
        "INSERT INTO untouched VALUES (x'0600000000000000000000000000000000', x'06ffffffffffffffffffffffffffffffff')",
    ),
    (
        # What else was asked for: a JSON document (model.Terms), empty where nothing was.
        "ALTER TABLE lease ADD COLUMN terms BLOB NOT NULL DEFAULT x''",
        # Host ports of live leases alone; an address of zeros is every address of its family.
        """CREATE TABLE port (
            protocol TEXT NOT NULL, port INTEGER NOT NULL, address BLOB NOT NULL,
            lease INTEGER NOT NULL REFERENCES lease,
            PRIMARY KEY (protocol, port, address)) STRICT, WITHOUT ROWID""",
        "CREATE INDEX port_lease ON port (lease)",
    ),
)
VERSION = len(MIGRATIONS)


def connect(path: Path, *, readonly: bool) -> sqlite3.Connection:
    """Open the database at `path`, which exists, in autocommit mode with the project's settings.

    Raises sqlite3.Error; `fault` makes a StateError of it.
    """
    mode = "ro" if readonly else "rw"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=BUSY_SECONDS, isolation_level=None
    )
    try:
        if not readonly:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            connection.execute("PRAGMA synchronous = NORMAL")
            # A checkpoint costs milliseconds, so it is done when idle (Store.tend); this is the bound without idleness.
            connection.execute("PRAGMA wal_autocheckpoint = 4096").fetchone()
        connection.execute("PRAGMA cache_size = -4096")
    except BaseException:
        connection.close()
        raise
    return connection


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Return the schema's version, 0 for an empty database.

    Raises StateError where the database is not podnet's or is of a newer podnet.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        if version or connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
            raise StateError(f"{path} is a SQLite database of another program: give podnet a path of its own")
        return 0
    if version > VERSION:
        raise StateError(
            f"{path} has schema version {version}, this podnet knows up to {VERSION}: run the newer podnet that wrote "
            "it, or, with no pod of podnet's running on this node, move it aside and begin anew"
        )
    return int(version)


def require_current(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StateError unless the database has the version of this podnet."""
    version = version_of(connection, path)
    if version != VERSION:
        raise StateError(f"{path} has schema version {version}, not {VERSION}: start podnet on this node once")


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring the database from `version` to VERSION, all or nothing."""
    if version == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def fault(path: Path, error: sqlite3.Error) -> StateError:
    """Return the StateError that `error` amounts to, with the remedy."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        text = f"{path} is locked by another program for more than {BUSY_SECONDS:g} s: end it (fuser {path} names it)"
    elif is_damage(error):
        text = (
            f"{path} is damaged ({error}). It is left as it is: with a new one, addresses of running pods would be "
            f"given again. Try `sqlite3 {path} .recover | sqlite3 recovered.db` and put recovered.db in its place, or "
            "reboot: every lease is void then, and podnet moves the damaged file aside by itself"
        )
    elif code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        text = f"{path} cannot be read or written ({error}): look whether its disk is full or failing, then try again"
    elif code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        text = f"{path} cannot be opened ({error}): it must be a file that root may write, in a folder it may write"
    elif code == sqlite3.SQLITE_CONSTRAINT:
        text = (
            f"{path} was changed by another program against podnet's rules ({error}): nothing was written; only "
            "podnet may write it. `podnet who ADDRESS` shows who holds an address"
        )
    else:
        text = f"{path}: {error}: the database does not do what podnet asks of it; see `PRAGMA integrity_check`"
    return StateError(text, f"{type(error).__name__} {getattr(error, 'sqlite_errorname', '')}".strip())


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether `error` says that the file is no sound SQLite database."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def check(connection: sqlite3.Connection) -> None:
    """Read the whole database.  Raises sqlite3.DatabaseError, one of `is_damage`, where it is not sound."""
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        error = sqlite3.DatabaseError(verdict)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error
