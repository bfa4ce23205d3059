"""Network namespaces of a test's own, a netlink socket in each, and nft(8) run inside."""

import contextlib
import ctypes
import json
import os
import re
import socket
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from struct import pack
from typing import Any, TypeVar

import pytest

from podnet.netlink.attributes import NLA_F_NESTED
from podnet.netlink.message import NETLINK_NETFILTER, Message, Request
from podnet.netlink.transaction import Transaction
from podnet.nft import Content, Table, batch, content, dump
from podnet.nft import message as wire

CLONE_NEWNET = 0x40000000

M = TypeVar("M", bound=Message)


class Namespace:
    """A network namespace with an nf_tables socket."""

    def __init__(self, name: str) -> None:
        """Open the socket in the namespace that ip(8) calls `name`."""
        self.name = name
        self._sequence = 1
        self.socket = _socket_in(name)

    def answers(self, requests: Iterable[Request]) -> Transaction:
        """Send `requests` at once and return the finished transaction."""
        requests = tuple(requests)
        transaction = Transaction(requests, self._sequence, protocol=NETLINK_NETFILTER)
        self._sequence += len(requests)
        self.socket.send(transaction.request())
        while not transaction.done:
            transaction.feed(self.socket.recv(1 << 18))
        return transaction

    def apply(self, requests: Iterable[Request]) -> list[tuple[int, int]]:
        """Send one atomic batch; return (index within `requests`, errno) of what the kernel refused."""
        return [(f.index - 1, f.errno) for f in self.answers(batch(requests)).failures]

    def ask(self, request: Request, cls: type[M]) -> list[M]:
        """Return the answers to one question."""
        transaction = self.answers((request,))
        for failure in transaction.failures:
            raise OSError(failure.errno, os.strerror(failure.errno))
        return [cls.decode(reply.payload) for reply in transaction.replies]

    def sets(self, table: Table) -> list[wire.SetMessage]:
        """Return the table's sets as the kernel tells them."""
        return self.ask(dump.list_sets(table), wire.SetMessage)

    def content(self, table: Table) -> Content:
        """Return all that `table` holds."""
        sets = self.sets(table)
        members = {
            s.name: self.ask(dump.list_elements(table, s.name), wire.ElementsMessage)
            for s in sets
            if s.name is not None
        }
        return content(
            table,
            self.ask(dump.list_chains(table), wire.ChainMessage),
            sets,
            members,
            self.ask(dump.list_rules(table), wire.RuleMessage),
        )

    def nft(self, *arguments: str, script: str = "") -> str:
        """Run the tool here; return what it prints."""
        command = ["ip", "netns", "exec", self.name, "nft", *arguments]
        done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{script}\n{done.stderr}"
        return done.stdout

    def sent_by_nft(self, command: str) -> list[Request]:
        """Run `command`; return the changes of its batch, which ``--debug=mnl`` prints in rows of four bytes each."""
        requests: list[Request] = []
        printed = self.nft("--debug=mnl", "-f", "-", script=command)
        for line in re.sub("\x1b[^m]*m", "", printed).splitlines():
            row, _, label = line.partition("\t")
            cells = [cell.strip() for cell in row.strip("|").split("|")]
            if label.startswith("|  type | flags"):
                requests.append(Request(int(cells[0]), 0, b""))
            elif label.startswith(("|len", "|      data", "|  extra")):
                more = bytes.fromhex(cells[0]) if len(cells) == 1 else _attribute_header(*cells)
                requests[-1] = requests[-1]._replace(payload=requests[-1].payload + more)
        begin = [r.type for r in requests].index(wire.NFNL_MSG_BATCH_BEGIN)
        return requests[begin + 1 : -1]

    def ruleset(self) -> list[Any]:
        """Return nft's own JSON listing, less the kernel's numbering."""
        listed: list[Any] = json.loads(self.nft("-j", "list", "ruleset"))["nftables"]
        return [_without_handles(item) for item in listed if "metainfo" not in item]


def _attribute_header(length: str, flags: str, number: str) -> bytes:
    return pack("=HH", int(length), int(number) | (NLA_F_NESTED if "N" in flags else 0))


def _without_handles(item: Any) -> Any:
    if isinstance(item, dict):
        return {key: _without_handles(value) for key, value in item.items() if key != "handle"}
    if isinstance(item, list):
        return [_without_handles(value) for value in item]
    return item


def _socket_in(name: str) -> socket.socket:
    """Open the socket from a thread that enters the namespace and ends: the others never leave theirs."""
    opened: list[socket.socket] = []

    def enter() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = os.open(Path("/run/netns", name), os.O_RDONLY | os.O_CLOEXEC)
        try:
            if libc.setns(descriptor, CLONE_NEWNET):
                return
        finally:
            os.close(descriptor)
        netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
        netlink.bind((0, 0))
        netlink.settimeout(10)
        opened.append(netlink)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert opened, f"could not enter network namespace {name}"
    return opened[0]


@pytest.fixture
def make_namespace() -> Iterator[Callable[[], Namespace]]:
    """Return a function that makes a fresh namespace, gone after the test."""
    with contextlib.ExitStack() as stack:

        def make() -> Namespace:
            name = f"podnet-nft-{uuid.uuid4().hex[:12]}"
            subprocess.run(["ip", "netns", "add", name], check=True)
            stack.callback(subprocess.run, ["ip", "netns", "delete", name], check=True)
            namespace = Namespace(name)
            stack.callback(namespace.socket.close)
            return namespace

        yield make


@pytest.fixture
def namespace(make_namespace: Callable[[], Namespace]) -> Namespace:
    """Return a fresh namespace, where podnet's messages are sent."""
    return make_namespace()


@pytest.fixture
def oracle(make_namespace: Callable[[], Namespace]) -> Namespace:
    """Return another fresh namespace, where nft(8) does the same by itself."""
    return make_namespace()
