"""The netlink socket: dumps are whole or asked for again, lost events are told, one send may be large."""

import signal
import threading
from ipaddress import ip_address, ip_network

import pytest

from podnet.errors import IOFailure, PodnetError
from podnet.kernel.socket import DUMP_ATTEMPTS, NetlinkSocket
from podnet.netlink.message import NETLINK_ROUTE, Envelope, Request
from podnet.netlink.rtnl import Addr, Link
from podnet.netlink.rtnl.addr import RTM_NEWADDR
from podnet.netlink.transaction import Transaction
from podnet.plan import Plan, Route, Step
from podnet.testing.namespaces import NodeNamespace

pytestmark = pytest.mark.live

SO_RCVBUFFORCE = 33


class Interrupted(NetlinkSocket):
    """A socket whose first `times` dumps the kernel says to have changed underway (NLM_F_DUMP_INTR)."""

    times = 0

    def transact(self, requests: "list[Request] | tuple[Request, ...]") -> Transaction:  # type: ignore[override]
        """Answer as the kernel does, but for the flag."""
        done = super().transact(requests)
        if self.times:
            self.times -= 1
            done.interrupted = True
        return done


def names(envelopes: list[Envelope]) -> set[str]:
    """Return the links' names in a dump."""
    return {Link.decode(envelope.payload).ifname or "" for envelope in envelopes}


def test_an_interrupted_dump_is_asked_for_again(space: NodeNamespace) -> None:
    """A dump that the kernel marked as interrupted is not believed; after too many of them it is an error."""
    with space.inside():
        asking = Interrupted(NETLINK_ROUTE)
    try:
        asking.times = DUMP_ATTEMPTS - 1
        assert names(asking.dump(Link().dump())) == {"lo", "up0", "far0"}
        asking.times = DUMP_ATTEMPTS
        with pytest.raises(IOFailure, match="interrupted 8 times; ask again"):
            asking.dump(Link().dump())
    finally:
        asking.close()


def test_a_lost_event_is_told(space: NodeNamespace) -> None:
    """Where more happens than the receive buffer holds, an empty event says that some were lost."""
    with space.inside():
        hearing = NetlinkSocket(NETLINK_ROUTE, groups=[1])
    try:
        hearing._socket.setsockopt(1, SO_RCVBUFFORCE, 4096)
        space.sh("for i in $(seq 40); do ip link set up0 mtu $((1400 + i)); done")
        events = list(hearing.events())
        assert b"" in events
        assert list(hearing.events()) == []
    finally:
        hearing.close()


def test_a_thousand_routes_go_in_one_plan(space: NodeNamespace) -> None:
    """A batch far larger than a socket's default buffer is carried out whole, and observed whole."""
    routes = [
        Route(at="node", dst=ip_network(f"10.{128 + n // 250}.{n % 250}.0/24"), dev="up0", protocol=112)
        for n in range(1000)
    ]
    with space.inside():
        space.sh("ip link set far0 up")
        space.kernel.apply(Plan(tuple(Step(route, "a test asks") for route in routes)))
        found = space.kernel.owned()
    assert {route.key for route in routes} <= set(found)
    assert ip_address("10.131.249.0") in {route.dst.network_address for route in routes}


def test_a_signal_does_not_disturb_a_transaction(space: NodeNamespace) -> None:
    """Signals that are handled while the kernel is asked neither lose an answer nor make an error (EINTR, PEP 475)."""
    handled: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: handled.append(number))
    over = threading.Event()
    main = threading.main_thread().ident
    assert main is not None

    def disturb() -> None:
        while not over.wait(0.0005):
            signal.pthread_kill(main, signal.SIGUSR1)

    thread = threading.Thread(target=disturb)
    with space.inside():
        asking = NetlinkSocket(NETLINK_ROUTE)
    try:
        thread.start()
        rounds = 0
        while len(handled) < 20:
            assert names(asking.dump(Link().dump())) == {"lo", "up0", "far0"}
            rounds += 1
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)
        asking.close()
    assert rounds


def test_threads_do_not_read_each_others_datagrams(space: NodeNamespace) -> None:
    """Each asks by its own socket, all at once: every dump is the one that was asked for."""
    with space.inside():
        sockets = [NetlinkSocket(NETLINK_ROUTE) for _ in range(4)]
    wrong: list[object] = []

    def ask(number: int) -> None:
        try:
            for _ in range(500):
                if number % 2:
                    found = names(sockets[number].dump(Link().dump()))
                    wrong.extend(found ^ {"lo", "up0", "far0"})
                else:
                    found_addresses = sockets[number].dump(Addr().dump())
                    wrong.extend(e for e in found_addresses if e.type != RTM_NEWADDR)
        except (PodnetError, LookupError, ValueError) as error:
            wrong.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(sockets))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for asking in sockets:
        asking.close()
    assert wrong == []
