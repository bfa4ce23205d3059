"""A kit for tests of podnet and of what is built on it; nothing of podnet itself imports it.

``values`` are small networks and leases, ``namespaces`` real nodes and pods on this machine, compared by what `ip`
and `nft` say of them.  :class:`FakeKernel`, :class:`MemoryStore` and :class:`ManualClock` are the engine's ports in
memory, with faults and crashes where a test wants them; :class:`FakeNode` is an engine over them.
"""

from podnet.testing.clock import ManualClock
from podnet.testing.fake_node import FakeNode
from podnet.testing.kernel import FakeKernel
from podnet.testing.outcomes import Crash
from podnet.testing.store import MemoryStore

__all__ = ["Crash", "FakeKernel", "FakeNode", "ManualClock", "MemoryStore"]
