"""A transaction with an nftables batch against the kernel: which answers come, whatever the batch's fate."""

import errno
from struct import pack
from typing import Protocol

import pytest

from podnet.netlink.attributes import attribute
from podnet.netlink.message import NETLINK_NETFILTER, NETLINK_ROUTE, NLM_F_CREATE, Request
from podnet.netlink.transaction import NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, Transaction

pytestmark = pytest.mark.live

NFPROTO_INET = 1
NFNL_BATCH_GENID = 1
NFTA_TABLE_NAME = 1
NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE = 0xA00, 0xA02


class Netns(Protocol):
    """What these tests use of a namespace."""

    def run_transaction(self, *requests: Request, protocol: int = NETLINK_ROUTE) -> Transaction:
        """Send requests there and wait for the answers."""

    def shell(self, script: str) -> str:
        """Run a script there."""


def edge(number: int, attributes: bytes = b"") -> Request:
    """Return the message that begins or ends a batch for nf_tables (subsystem 10, in network order)."""
    return Request(number, 0, pack("=BB", 0, 0) + pack(">H", 10) + attributes)


def table(number: int, name: str) -> Request:
    """Return the request that makes or deletes the inet table `name`."""
    payload = pack("=BBH", NFPROTO_INET, 0, 0) + attribute(NFTA_TABLE_NAME, name.encode() + b"\0")
    return Request(number, NLM_F_CREATE if number == NFT_MSG_NEWTABLE else 0, payload)


BEGIN, END = edge(NFNL_MSG_BATCH_BEGIN), edge(NFNL_MSG_BATCH_END)


def test_a_batch_that_holds_is_acknowledged_once(netns: Netns) -> None:
    """The message before the end answers for the whole batch, and the tables are there."""
    batch = (BEGIN, table(NFT_MSG_NEWTABLE, "one"), table(NFT_MSG_NEWTABLE, "two"), END)
    assert netns.run_transaction(*batch, protocol=NETLINK_NETFILTER).failures == []
    assert netns.shell("nft list tables") == "table inet one\ntable inet two\n"


def test_a_batch_with_a_fault_names_it_and_does_nothing(netns: Netns) -> None:
    """The refused message is named by its index, and nothing of the batch is done."""
    batch = (BEGIN, table(NFT_MSG_NEWTABLE, "one"), table(NFT_MSG_DELTABLE, "x"), table(NFT_MSG_NEWTABLE, "two"), END)
    transaction = netns.run_transaction(*batch, protocol=NETLINK_NETFILTER)
    assert [(f.index, f.errno) for f in transaction.failures] == [(2, errno.ENOENT)]
    assert netns.shell("nft list tables") == ""


def test_a_batch_refused_at_its_begin_is_done(netns: Netns) -> None:
    """A batch for another generation of the ruleset is refused whole: one answer, and none is waited for after it."""
    begin = edge(NFNL_MSG_BATCH_BEGIN, attribute(NFNL_BATCH_GENID, pack(">I", 4711)))
    transaction = netns.run_transaction(begin, table(NFT_MSG_NEWTABLE, "one"), END, protocol=NETLINK_NETFILTER)
    assert [(f.index, f.errno) for f in transaction.failures] == [(0, errno.ERESTART)]
    assert netns.shell("nft list tables") == ""
