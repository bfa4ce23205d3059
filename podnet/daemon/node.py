"""A node put together: settings, database, kernel and engine, for the daemon, the one-shot and `podnet explain`."""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import msgspec

from podnet import cni, datapath
from podnet.cluster import (
    Settings,
    default_network,
    kept_for_pools,
    named_pools,
    read_nodes,
    read_settings,
    standalone_network,
    to_publish,
)
from podnet.cluster.named import POD_CIDRS
from podnet.daemon import speaking
from podnet.daemon.courses import drive
from podnet.daemon.known import read_known
from podnet.daemon.options import read_options
from podnet.daemon.paths import Paths
from podnet.daemon.service import Answer, Call, Service
from podnet.daemon.spool import set_aside, waiting
from podnet.daemon.wishing import Pods, Wishing
from podnet.engine import Engine
from podnet.errors import NodeNotReady, RequestError
from podnet.kernel import Kernel
from podnet.kernel.facts import boot_id, node_facts
from podnet.mesh import Mesh, Wayfinder
from podnet.model import Network, Node, NodeFacts, WireGuardEnd
from podnet.plan import Plan, merged
from podnet.store import HistoryBounds, Store

IPAddress = IPv4Address | IPv6Address

log = logging.getLogger("podnet")


class SystemClock:
    """The machine's clock."""

    @staticmethod
    def now() -> float:
        """Return Unix time in seconds."""
        return time.time()


def own_addresses(nodes: Sequence[Node], name: str) -> tuple[IPAddress, ...]:
    """Return the addresses that the nodes' list gives to the node `name`, none where it is not listed."""
    own = own_node_of(nodes, name)
    return own.addresses if own else ()


def own_node_of(nodes: Sequence[Node], name: str) -> Node | None:
    """Return the node `name` as the list has it, None where it is not listed."""
    return next((node for node in nodes if node.name == name), None)


def network_of(settings: Settings, nodes: Sequence[Node], facts: NodeFacts) -> Network:
    """Return the node's default network; without ranges where the list does not have this node.

    A node that is not listed still serves configurations that bring their own ranges.  So does one that
    Kubernetes or etcd has without a pod CIDR yet; one that a file lists without is an error.
    """
    own = own_node_of(nodes, facts.name)
    if own is None or not (own.pod_cidrs or settings.nodes):
        return standalone_network(settings, facts)
    return default_network(settings, nodes, facts)


def wayfinder(settings: Settings, nodes: Sequence[Node], facts: NodeFacts) -> Wayfinder:
    """Return what knows the ways from the node of `facts` to others."""
    own = own_node_of(nodes, facts.name)
    return Wayfinder(own, facts, settings.backend, settings.vxlan, settings.wireguard)


def node_plan(settings: Settings, nodes: Sequence[Node], facts: NodeFacts, networks: Sequence[Network]) -> Plan:
    """Return what the node of `facts` needs for `networks` and for the ways to the others of `nodes`."""
    return merged(datapath.node_plan(networks, facts), wayfinder(settings, nodes, facts).mesh(nodes).plan)


def facts_of(settings: Settings, nodes: Sequence[Node], paths: Paths, *, make_key: bool = False) -> NodeFacts:
    """Observe this node; raise `PodnetError` where it lacks what its backend needs.

    With `make_key` it has a key afterwards, if its backend needs one.
    """
    facts = node_facts(settings.node, uplink=settings.uplink, addresses=own_addresses(nodes, settings.node))
    if settings.backend != "wireguard":
        return facts
    from podnet.daemon.key import own_public_key  # noqa: PLC0415 - only this backend needs it
    from podnet.kernel.wireguard_go import kind_of_device  # noqa: PLC0415 - likewise

    key = own_public_key(paths.key, make=make_key)
    end = WireGuardEnd(kind=kind_of_device(), private_key=paths.key, public_key=key)
    return msgspec.structs.replace(facts, wireguard=end)


def node_settings(paths: Paths) -> Settings:
    """Return the node's settings, as the daemon understands them where Kubernetes or etcd tells it the nodes."""
    settings = read_options(paths.options).over(read_settings(paths.config))
    known = read_known(paths.nodes)
    return settings if known is None else known.over(settings)


def list_nodes(settings: Settings, paths: Paths) -> tuple[Node, ...]:
    """Return the nodes that the settings' list names, or that the daemon was told last; none where there is no list."""
    if not settings.nodes:
        known = read_known(paths.nodes)
        return known.nodes if known else ()
    if not os.path.exists(settings.nodes):  # noqa: PTH110 - asked of a str
        return ()
    return read_nodes(settings.nodes, settings.cluster_cidrs)


def _changes(before: Sequence[Node], after: Sequence[Node]) -> dict[str, Node | None]:
    """Return the nodes that are other than before, by name, None for those that are gone."""
    if len(before) == len(after):
        others = [(old, node) for old, node in zip(before, after, strict=True) if old is not node]
        if all(old.name == node.name for old, node in others):
            return {node.name: node for old, node in others if old != node}
    known = {node.name: node for node in before}
    changed: dict[str, Node | None] = {}
    for node in after:
        old = known.pop(node.name, None)
        if old is not node and old != node:
            changed[node.name] = node
    return {**dict.fromkeys(known), **changed}


class NodeContext:
    """One node's engine and what it stands on; the only writer of its database."""

    def __init__(self, paths: Paths, *, wait: float = 0.0, settings: Settings | None = None) -> None:
        """Open everything; raise `PodnetError`.  `wait` is how many seconds another writer is waited for."""
        self.paths = paths
        self.settings = settings or node_settings(paths)
        self.nodes: tuple[Node, ...] = ()
        self.network = Network(name=self.settings.network)
        self._wayfinder: Wayfinder | None = None
        self._mesh = Mesh()
        history = HistoryBounds(self.settings.history.days, self.settings.history.rows)
        now = SystemClock.now()
        self.store = Store.open(Path(paths.database), boot_id(), now, wait=wait, history=history)
        try:
            self.kernel = Kernel()
        except BaseException:
            self.store.close_database()
            raise
        facts = node_facts(self.settings.node, uplink=self.settings.uplink)
        self.engine = Engine(facts, self.store, self.kernel, SystemClock())
        self.engine.repairs = self.settings.repair
        self.service = Service(self.engine, lambda: self.network)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is to be said of other nodes, such as that their pods are not reached."""
        return (
            *self._key_remark(),
            *self._mesh.remarks,
            *speaking.remarks(self.settings, self.nodes, self.engine.facts),
        )

    def _key_remark(self) -> Iterator[str]:
        """Yield what is to be said where a file has not the key that this node has; with Kubernetes it tells itself."""
        end, own = self.engine.facts.wireguard, own_node_of(self.nodes, self.settings.node)
        if end is not None and own is not None and self.settings.nodes and own.wireguard != end.public_key:
            yield (
                f"{self.settings.nodes} has {'another' if own.wireguard else 'no'} WireGuard key for this node, "
                f"{own.name}: the others do not reach its pods; write `wireguard: {end.public_key}` there"
            )

    def serve_wishes(self, pods: Pods | None) -> Wishing | None:
        """Have ADDs made of what their pods wish for, as far as `pods` tell of them; return who knows."""
        if not self.settings.nodes and self.settings.pods.annotations:
            self.service.wishing = Wishing(pods, self.store, self.settings.pods.wait)
        return self.service.wishing

    @property
    def published(self) -> dict[str, str | None]:
        """Annotations by which other nodes know what they cannot derive of this one."""
        cidrs = to_publish(self.settings, self.nodes, self.settings.node) if self.settings.pools else ()
        return {POD_CIDRS: ",".join(map(str, cidrs)) or None}

    def reload(self, nodes: Sequence[Node]) -> Plan:
        """Bring the node to what settings and `nodes` ask for; return what had to be done.  Raise `PodnetError`."""
        self.nodes = tuple(nodes)
        self._wayfinder = None  # what the kernel has is known again when this has succeeded
        facts = self._lasting(facts_of(self.settings, self.nodes, self.paths, make_key=True))
        network = network_of(self.settings, self.nodes, facts)
        if self.service.wishing is not None:
            network = kept_for_pools(self.settings, network)
        self._find_pools()
        ways = wayfinder(self.settings, self.nodes, facts)
        self._mesh = ways.mesh(self.nodes)
        done = self.engine.reconcile([network], facts, self._mesh)
        self.network, self._wayfinder = network, ways
        return done

    def follow(self, nodes: Sequence[Node]) -> Plan:
        """Do the same where the node's part stands; it costs what the other nodes cost that have changed."""
        changed = _changes(self.nodes, nodes)
        ways, self._wayfinder = self._wayfinder, None
        if ways is None or self.settings.node in changed:
            return self.reload(nodes)
        self.nodes = tuple(nodes)
        self._find_pools()
        self._mesh = ways.follow(self._mesh, changed)
        done = self.engine.follow(self._mesh, changed.keys())
        self._wayfinder = ways
        return done

    def facts_changed(self) -> bool:
        """Tell whether the machine is other than when the node's part was built; raise `PodnetError`.

        Which links listen to routers is not asked: that changes with forwarding, which is podnet's to set.  Nor is
        what this node speaks WireGuard with, which is decided at the start.
        """
        before, settings = self.engine.facts, self.settings
        addresses = own_addresses(self.nodes, settings.node)
        now = self._lasting(node_facts(settings.node, uplink=settings.uplink, addresses=addresses))
        return msgspec.structs.replace(now, ra_links=before.ra_links, wireguard=before.wireguard) != before

    def answer(self, call: Call) -> Answer:
        """Answer one call, waiting for another plugin where it needs one; never raise."""
        if call.delegates:
            return drive(self.service.course(call))
        (answer,) = self.service.answer([call])
        return answer

    def drain_spool(self) -> int:
        """Carry out the DELs that were written down while nobody served; return how many.

        One that says nothing that could be carried out is set aside, and one that another plugin would not hear of
        stays: neither is to keep the node from serving.
        """
        drained = 0
        for path, frame in waiting(self.paths.spool):
            try:
                cni.parse(frame, self.network)
            except RequestError as error:
                log.warning("%s is set aside: %s", path, error.msg)
                set_aside(path)
                continue
            call = Call(frame)
            answer = self.answer(call)
            if answer.status and call.delegates:
                log.warning("%s is tried again at the next start: %s", path, answer.stdout.decode())
                continue
            if answer.status:
                raise NodeNotReady(f"spooled DEL {path}: {answer.stdout.decode()}")
            os.unlink(path)  # noqa: PTH108 - a str
            drained += 1
        return drained

    def close(self) -> None:
        """Close kernel and database."""
        self.kernel.close()
        self.store.close_database()

    def _lasting(self, found: NodeFacts) -> NodeFacts:
        """Return `found`, but while the machine is without an uplink, as where a cable is out, what it was."""
        before = self.engine.facts
        return (
            found if found.uplink or not before.uplink else msgspec.structs.replace(before, wireguard=found.wireguard)
        )

    def _find_pools(self) -> None:
        """See which pools this node serves, by the nodes there are."""
        if self.service.wishing is not None and self.settings.pools:
            self.service.wishing.pools = named_pools(self.settings, self.nodes, self.settings.node)
