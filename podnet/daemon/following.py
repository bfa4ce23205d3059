"""Following the cluster's nodes: what their source says becomes what this node's kernel has."""

import logging
import time
from collections.abc import Callable, Sequence

from podnet.cluster import NodesSource
from podnet.daemon.describe import describe
from podnet.daemon.known import Known, keep_known
from podnet.daemon.node import NodeContext
from podnet.errors import PodnetError
from podnet.plan import Plan

KEPT_WITHIN = 5.0
"""Seconds within which nodes of a remote source are written to the file from which a start without it has them."""

log = logging.getLogger("podnet")


class Following:
    """`node` as `source` tells of the cluster; `server` is the source's address where it has one."""

    def __init__(self, node: NodeContext, source: NodesSource, server: str, then: Callable[[], None]) -> None:
        """Build the node's part; raise `PodnetError`.  `then` is called after each change that was carried out."""
        self._node = node
        self._source = source
        self._server = server
        self._then = then
        self._remarked: Sequence[str] = ()
        self._unkept: float | None = None
        if source.remote:
            log.info("nodes: %d from %s, this is %s", len(source.nodes), server, node.settings.node)
            self._report()
        self._adopt()
        if source.remote:
            self._keep()  # who explains or checks without the daemon asks there

    @property
    def lacks(self) -> str:
        """What this node lacks to serve pods, empty where that is nothing; nodes of a file are taken as they are."""
        if not self._source.remote or self._node.network.ranges:
            return ""
        if self._node.settings.told_by == "etcd":
            return "has no prefix of the cluster's range yet"
        known = any(node.name == self._node.settings.node for node in self._node.nodes)
        return "has no pod CIDR yet" if known else "is not among the Nodes (--node-name gives another name)"

    def wait(self, _idle: float) -> float | None:
        """Return how many seconds there are until the nodes are to be kept, None where they are."""
        return None if self._unkept is None else max(0.0, self._unkept + KEPT_WITHIN - time.monotonic())

    def step(self, idle: float) -> None:
        """Keep the nodes, where it is time to: a file of thousands is not written with each of their changes."""
        if self.wait(idle) == 0.0:
            self._keep()

    def close(self) -> None:
        """Keep what is not kept."""
        if self._unkept is not None:
            self._keep()

    def facts_changed(self) -> None:
        """Follow what is other of the machine itself: its uplink, MTU, addresses.  Raise `PodnetError`."""
        self._source.moved()
        if self._node.facts_changed():
            done = self._node.reload(self._node.nodes)
            facts = self._node.engine.facts
            log.info("uplink: %s, MTU %d, %d changes made", facts.uplink or "none", facts.mtu, len(done.steps))
            self._then()

    def readable(self) -> None:
        """Follow what the source has new."""
        if not self._source.changed():
            return
        self._report()
        if self._source.error is not None and self._source.nodes == self._node.nodes:
            return
        try:
            done = self._adopt()
            self._then()
        except PodnetError as error:
            log.warning("the nodes' list cannot be followed: %s", describe(error))
            return
        log.info("nodes: %d listed, %d changes made", len(self._node.nodes), len(done.steps))

    def _keep(self) -> None:
        self._unkept = None
        try:
            keep_known(self._node.paths.nodes, self._known())
        except PodnetError as error:
            log.warning("the nodes are not kept for a start without their source: %s", describe(error))

    def _known(self) -> Known:
        settings = self._node.settings
        return Known(self._server, settings.node, self._source.nodes, settings.told_by)

    def _report(self) -> None:
        """Log what is amiss with the nodes' source."""
        for remark in self._source.remarks:
            if remark not in self._remarked:
                log.warning("%s", remark)
        self._remarked = self._source.remarks
        if self._source.error is not None:
            log.error("the nodes stay as they were: %s", describe(self._source.error))

    def _adopt(self) -> Plan:
        """Bring the node to what its source says; return what had to be done."""
        if self._source.remote and self._unkept is None:
            self._unkept = time.monotonic()
        before = self._node.remarks
        done = self._node.follow(self._source.nodes)
        self._source.publish(self._node.published)
        for remark in self._node.remarks:
            if remark not in before:
                log.warning("%s", remark)
        return done
