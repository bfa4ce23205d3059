"""Another program writes past podnet's rules: the indexes refuse, nothing is half written, the error says so."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import pytest

from podnet.errors import StateError
from podnet.model import Attachment, Lease, Network, PodAddress, link_name
from podnet.store import Store
from podnet.store.codec import address_key, encode_addresses

Add = Callable[..., Lease]
NetworkOf = Callable[..., Network]
AttachmentOf = Callable[..., Attachment]


@pytest.fixture
def stranger(path: Path, store: Store) -> Iterator[sqlite3.Connection]:
    """Return a connection that knows neither lock nor rules."""
    assert store.path == path
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


@pytest.fixture
def held(store: Store, add: Add, network_of: NetworkOf) -> tuple[Store, Lease]:
    """Return a store with one lease, and the lease."""
    return store, add(store, 1, network_of("10.1.0.0/24"))


def hold(stranger: sqlite3.Connection, address: str, link: str = "veth-stranger") -> None:
    """Give `address` to a lease of the stranger's, leaving `untouched` as it is."""
    numbered = ip_address(address)
    stranger.execute(
        "INSERT INTO lease (id, network, container, ifname, document, boot, addresses, link, path, created) "
        "VALUES (99, 'podnet', 'stranger', 'eth0', 1, 1, x'', ?, '', 1.0)",
        (link,),
    )
    key = address_key(numbered.version, int(numbered))
    stranger.execute("INSERT INTO address (address, lease, subnet) VALUES (?, 99, 1)", (key,))


def test_an_address_that_a_stranger_gave_away_is_not_given_twice(
    store: Store, stranger: sqlite3.Connection, add: Add, network_of: NetworkOf
) -> None:
    """The UNIQUE index refuses; the lease that was half made is not there."""
    network = network_of("10.1.0.0/24", "fd00::/64")
    first = add(store, 1, network)
    hold(stranger, "10.1.0.3")
    with pytest.raises(StateError, match=r"changed by another program .*UNIQUE constraint failed: address\.address"):
        add(store, 2, network)
    assert [lease for lease in store.live() if lease.attachment.container != "stranger"] == [first]
    assert store.holders(ip_address("fd00::3")) == []


def test_the_fault_of_one_dooms_its_whole_batch(
    store: Store, stranger: sqlite3.Connection, add: Add, network_of: NetworkOf
) -> None:
    """Even where it is caught: half of a lease must never be committed with the others."""
    network = network_of("10.1.0.0/24")
    first = add(store, 1, network)
    hold(stranger, "10.1.0.4")
    with pytest.raises(StateError, match="changed by another program"), store.transaction():  # noqa: PT012 - a batch
        add(store, 2, network)
        for number in (3, 4):
            with pytest.raises(StateError, match="changed by another program"):
                add(store, number, network)
    assert [lease for lease in store.live() if lease.attachment.container != "stranger"] == [first]
    stranger.execute("DELETE FROM address WHERE lease = 99")
    assert add(store, 5, network).addresses[0].address == ip_address("10.1.0.3")


def test_an_address_that_a_stranger_took_out_of_the_book_is_not_lost_silently(
    store: Store, stranger: sqlite3.Connection, add: Add, network_of: NetworkOf
) -> None:
    """Released and requested again, but without its row: neither free nor untouched."""
    network = network_of("10.1.0.0/24")
    lease = add(store, 1, network)
    stranger.execute("DELETE FROM address")
    with pytest.raises(StateError, match=r"10\.1\.0\.2 has neither"):
        add(store, 2, network, 1.0, "10.1.0.2")
    assert store.live() == [lease]


def test_an_untouched_address_with_a_forged_history_stays_in_one_span(
    store: Store, stranger: sqlite3.Connection, add: Add, network_of: NetworkOf
) -> None:
    """Forgetting such a history does not list the address twice."""
    add(store, 1, network_of("10.1.0.0/24"))
    spans = "SELECT first, last FROM untouched ORDER BY first"
    before = stranger.execute(spans).fetchall()
    hold(stranger, "10.1.0.9")
    blob = encode_addresses([PodAddress(ip_address("10.1.0.9"), 24, ip_address("10.1.0.1"))])
    stranger.execute("UPDATE lease SET addresses = ?, cut = 1.0, closed = 1.0 WHERE id = 99", (blob,))
    stranger.execute("UPDATE address SET released = 1.0 WHERE lease = 99")
    assert store.tend(1e9) == 1
    assert stranger.execute(spans).fetchall() == before


def test_an_operation_that_cannot_be_meant_dooms_its_batch(store: Store, add: Add, network_of: NetworkOf) -> None:
    """Even where its exception is caught: it may have come in the midst of a lease."""

    def batch() -> None:
        with store.transaction():
            add(store, 1, network_of("10.1.0.0/24"))
            with suppress(AttributeError):
                store.reserve(gone.attachment, None, (), None, "", 1.0)  # type: ignore[arg-type] # on purpose

    gone = add(store, 5, network_of("10.1.0.0/24"))
    store.close([gone], 1.0)
    with pytest.raises(AttributeError):
        batch()
    assert store.live() == []


def test_a_link_name_that_a_stranger_took_is_passed_over(
    store: Store, stranger: sqlite3.Connection, add: Add, network_of: NetworkOf, attachment_of: AttachmentOf
) -> None:
    """As with any other lease that has it."""
    network = network_of("10.1.0.0/24")
    add(store, 1, network)
    hold(stranger, "10.1.0.200", link_name(attachment_of(2)))
    assert add(store, 2, network).link == link_name(attachment_of(2), attempt=1)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("UPDATE lease SET addresses = x'0401'", "damaged at byte 0"),
        ("UPDATE network SET document = CAST('{\"name\": 1}' AS BLOB)", "a stored network is damaged"),
        ("UPDATE network SET document = x'ff'", "a stored network is damaged"),
        ("DROP INDEX lease_live; DROP TABLE lease", "no such table: lease"),
    ],
)
def test_rows_that_cannot_be_read_are_an_error_and_no_traceback(
    damage: str, told: str, stranger: sqlite3.Connection, held: tuple[Store, Lease]
) -> None:
    """Whatever a stranger wrote there."""
    store, lease = held
    stranger.executescript(damage)
    with pytest.raises(StateError, match=told):
        _ = store.live(), store.network_of(lease)


def test_a_database_that_cannot_grow_is_told_and_goes_on_later(store: Store, add: Add, network_of: NetworkOf) -> None:
    """A full disk: nothing is written, and once there is room the same request succeeds."""
    network = network_of("10.1.0.0/16")
    kept = add(store, 1, network)
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()

    def fill_up() -> None:
        with store.transaction():
            for number in range(2, 200):
                add(store, number, network)

    with pytest.raises(StateError, match=r"cannot be read or written .*disk is full"):
        fill_up()
    assert store.live() == [kept]
    store._connection.execute(f"PRAGMA max_page_count = {2**30}").fetchone()
    assert add(store, 2, network).addresses[0].address == ip_address("10.1.0.3")


def test_a_closed_store_answers_with_an_error(store: Store, add: Add, network_of: NetworkOf) -> None:
    """And closes twice without one."""
    store.close_database()
    store.close_database()
    with pytest.raises(StateError):
        add(store, 1, network_of("10.1.0.0/24"))
    with pytest.raises(StateError):
        store.live()
