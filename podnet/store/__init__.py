"""What is remembered over restarts: leases, addresses, quarantine and history, in one SQLite file.

Belongs here: the database (the truth is its partial UNIQUE indexes over leases that are not closed), the lock that
keeps writers to one, the encoding of values in rows.  Does not: which address to give (ipam decides, over the
`Ledger` here), what a lease means in the kernel, clocks (`now` is always an argument, Unix time in seconds).

A lease's life::

    reserve ──> live ──cut──> cut ──close──> closed ──> forgotten (bounded history)
                  └───────────close, undo──────┘

live: the pod has its addresses.  cut: DEL was answered, nothing passes, link and connection tracking entries are still
to be removed.  closed: history; its addresses are free and rest from the time of the cut.
"""

from podnet.store.lock import HeldError, WriterLock
from podnet.store.reader import Holding, Reader
from podnet.store.store import HistoryBounds, Store

__all__ = ["HeldError", "HistoryBounds", "Holding", "Reader", "Store", "WriterLock"]
