"""Readers beside the writer: `podnet who` and `podnet explain` need no lock."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from podnet.errors import StateError
from podnet.model import Attachment, KubernetesPod, Lease, Network, Terms
from podnet.store import Reader, Store

Add = Callable[..., Lease]
NetworkOf = Callable[..., Network]


def test_a_reader_sees_what_is_committed_and_nothing_else(
    path: Path, store: Store, add: Add, network_of: NetworkOf
) -> None:
    """In the midst of a transaction the state before it, after it the state after."""
    network = network_of("10.1.0.0/24", "fd00::/64")
    first = add(store, 1, network)
    with Reader.read(path) as reader:
        with store.transaction():
            second = add(store, 2, network)
            store.cut([first.attachment], 2000.0)
            assert reader.live() == [first]
        assert reader.live() == [second]
        assert reader.find(second.attachment) == second
        assert [lease.attachment for lease in reader.pending()] == [first.attachment]
        assert reader.network_of(second) == network
        assert reader.find_container(second.attachment.container[:8]) == [second]
        assert [h.state for h in reader.holders(first.addresses[0].address)] == ["cut"]
        assert reader.counts(network, 2001.0) == store.counts(network, 2001.0)


def test_the_newest_time_is_that_of_whatever_happened_last(store: Store, add: Add, network_of: NetworkOf) -> None:
    """An ADD's, a cut's or an end's; none where there is no lease."""
    assert store.latest() is None
    network = network_of("10.1.0.0/24")
    first, second = add(store, 1, network), add(store, 2, network)
    assert store.latest() == max(first.created, second.created)
    store.cut([first.attachment], 7000.0)
    assert store.latest() == 7000.0
    store.close(store.pending(), 8000.0)
    assert store.latest() == 8000.0


def test_a_reader_cannot_write(path: Path, store: Store) -> None:
    """Its connection is read-only."""
    assert store.path == path
    with Reader.read(path) as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._connection.execute("DELETE FROM lease")


def test_a_reader_works_after_the_writer_ended(path: Path, add: Add, network_of: NetworkOf) -> None:
    """Without daemon too."""
    with Store.open(path, "boot-1", 1.0) as store:
        lease = add(store, 1, network_of("10.1.0.0/24"))
    with Reader.read(path) as reader:
        assert reader.live() == [lease]


def test_a_missing_database_is_told(path: Path) -> None:
    """With what that means."""
    with pytest.raises(StateError, match="podnet has given no address on this node yet"):
        Reader.read(path)


def test_a_database_before_its_first_writer_is_told(path: Path) -> None:
    """An empty file has no version yet; a file that is no database is damaged."""
    path.parent.mkdir()
    path.touch()
    with pytest.raises(StateError, match="start podnet on this node once"):
        Reader.read(path)
    path.write_bytes(b"no database at all, but longer than a header would be" * 100)
    with pytest.raises(StateError, match="is damaged"):
        Reader.read(path)


def test_a_pod_is_found_by_its_uid(store: Store, network_of: NetworkOf) -> None:
    """As the latest of its leases has it, closed ones too: with the annotations that it had then."""
    network = network_of("10.1.0.0/24")
    for number, annotations in enumerate([(), (("podnet.dev/pool", "a"),)]):
        terms = Terms(pod=KubernetesPod("default", "web", "uid-1", annotations))
        lease = store.reserve(Attachment("podnet", f"c{number}", "eth0"), network, (), None, "", float(number), terms)
        store.close([lease], float(number))
    assert store.pod("uid-1") == KubernetesPod("default", "web", "uid-1", (("podnet.dev/pool", "a"),))
    assert store.pod("uid-2") is None
    assert store.pod("uid") is None
