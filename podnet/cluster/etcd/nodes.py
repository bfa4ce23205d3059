"""The nodes of a cluster in etcd, kept current, this node among them: what NodesWatch is for a file."""

from collections.abc import Callable, Mapping, Sequence
from os import urandom

import msgspec

from podnet.cluster.etcd.access import Endpoints
from podnet.cluster.etcd.claimant import Claimant
from podnet.cluster.etcd.claiming import View, Wish, prefixes_of, whole
from podnet.cluster.etcd.client import EtcdClient
from podnet.cluster.etcd.feed import EtcdFeed
from podnet.cluster.etcd.keys import Claim, ClusterRange, IPAddress, IPNetwork, Record, Session, claim_key
from podnet.cluster.etcd.listing import Candidates, malformed
from podnet.cluster.named import POD_CIDRS
from podnet.cluster.remote.backoff import Backoff
from podnet.cluster.remote.following import Follower
from podnet.cluster.remote.listing import listed
from podnet.errors import InvalidConfiguration, PodnetError
from podnet.model import Node


class Self(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """This node: its name, this boot of it, its public key of WireGuard, and how its addresses are found."""

    name: str
    boot: str
    wireguard: str = ""
    addresses: Callable[[], tuple[IPAddress, ...]] = tuple


class EtcdNodes:
    """The nodes that have a record below `prefix`; this node, `own`, claims its part of `cluster`.

    `known` are the nodes until there is a first list; what they say of this node it claims again where it can.  Others
    may have its claims when it has been away from etcd for `grace` seconds.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        prefix: str,
        cluster: ClusterRange,
        own: Self,
        known: tuple[Node, ...] = (),
        *,
        grace: int,
        down: Backoff,
    ) -> None:
        """Begin to ask and to claim, in threads; raise InvalidConfiguration."""
        self.name = own.name
        self.nodes = known
        self.error: PodnetError | None = None
        self.remarks: Sequence[str] = ()
        self.remote = True
        self._own, self._cluster, self._grace = own, cluster, grace
        self._had = next((node.pod_cidrs for node in known if node.name == own.name), ())
        self._candidates = Candidates(own.name, cluster.cidrs)
        self._lost: dict[IPNetwork, str] = {}
        self._ignored: tuple[str, ...] = ()
        record = Record(addresses=own.addresses(), wireguard=own.wireguard)
        session = Session(own.boot, urandom(8).hex())
        wish = Wish(name=own.name, session=session, range=cluster, record=record, had=self._had)
        self._clients = EtcdClient(endpoints, prefix), EtcdClient(endpoints, prefix)
        self._follower = Follower(
            EtcdFeed(self._clients[0]),
            down,
            lambda changes: self._claimant.heard(changes),  # noqa: PLW0108 - it is made below
        )
        self._claimant = Claimant(
            self._clients[1],
            wish,
            grace,
            lock=self._follower.lock,
            view=self._view,
            tell=self._follower.tell,
        )
        self._follower.begin()
        self._claimant.begin()

    def fileno(self) -> int:
        """Return the descriptor that is readable when something happened."""
        return self._follower.fileno()

    def wait(self, seconds: float) -> bool:
        """Wait until this node has its prefixes, or it is known why not, at most `seconds`; tell if there is a list."""
        return self._follower.wait(seconds, lambda: self._claimant.decided)

    @property
    def refusal(self) -> PodnetError | None:
        """Why this node can never be one of this cluster's, None where nothing speaks against it."""
        return InvalidConfiguration(self._claimant.fault) if self._claimant.refused else None

    def changed(self) -> bool:
        """Take what happened since the last call; tell whether nodes, error or remarks are other than before."""
        before = self.nodes, _text(self.error), self.remarks
        self._follower.take()
        with self._follower.lock:
            view = self._view()
            if view is not None:
                self._take(view)
            fault, record = self._claimant.fault, self._claimant.record
        self.error = self._follower.error
        said = [*self._ignored, *self._lost.values()]
        if fault and self.error is None:
            said.append(fault)
        if not record.addresses:
            said.append(f"node {self.name} has no address that others reach it by; set `uplink` in podnet.yaml")
        self.remarks = tuple(said)
        return (self.nodes, _text(self.error), self.remarks) != before

    def serving(self) -> None:
        """Do nothing: etcd does not want to know."""

    def tell(self, event: str) -> None:
        """Do nothing: nor that."""

    def publish(self, annotations: Mapping[str, str | None]) -> None:
        """Have others know this node's pools."""
        from ipaddress import ip_network  # noqa: PLC0415 - few have pools

        text = annotations.get(POD_CIDRS) or ""
        pools = tuple(ip_network(cidr) for cidr in text.split(",") if cidr)
        with self._follower.lock:
            self._claimant.publish(msgspec.structs.replace(self._claimant.record, pools=pools))

    def moved(self) -> None:
        """Have others know this node's addresses, where they are other than before; raise `PodnetError`."""
        addresses = self._own.addresses()
        with self._follower.lock:
            record = self._claimant.record
            if not addresses or addresses == record.addresses:  # a machine whose cable is out is where it was
                return
            self._claimant.publish(msgspec.structs.replace(record, addresses=addresses))
        for client in self._clients:  # nothing comes to an address that is gone, and that would show in half a minute
            client.cut()

    def close(self) -> None:
        """End; what this node has in etcd stays."""
        self._claimant.close()
        self._follower.close()

    def _view(self) -> View | None:
        """Return what is known of etcd, None before there was a list; with the lock."""
        return self._follower.objects() if self._follower.synced else None

    def _take(self, view: View) -> None:
        own = self._prefixes(view)
        found = listed(self._candidates.of(view, self._claimant.record, own))
        self._note_lost(view, own)
        # Equal nodes stay the same values: whoever compares them compares identities first.
        self.nodes = self.nodes if self.nodes == found.nodes else found.nodes
        self._ignored = (*found.ignored, *malformed(view))

    def _prefixes(self, view: View) -> tuple[IPNetwork, ...]:
        """Return the prefixes that this node gives addresses from: all that it needs, or none.

        Before it is known that the name is this machine's, they are those that it had before.
        """
        standing = self._claimant.standing
        claimed = prefixes_of(view, self.name)
        if standing == "lost" or not whole(claimed, self._cluster):
            return ()
        return claimed if standing == "held" or set(claimed) <= set(self._had) else ()

    def _note_lost(self, view: View, own: tuple[IPNetwork, ...]) -> None:
        """See which prefixes that this node had are another's."""
        for prefix in self._had:
            entry = view.get(claim_key(prefix))
            claim = entry.value if entry else None
            if isinstance(claim, Claim) and claim.node != self.name:
                self._lost[prefix] = (
                    f"{prefix} was this node's and is node {claim.node}'s: this node was away from etcd for longer "
                    f"than the grace ({self._grace} s), or etcd lost what it had; pods that run with its addresses are "
                    "not reached from other nodes: delete them, they come back with others"
                )
        for prefix in own:
            self._lost.pop(prefix, None)
        if own:
            self._had = own


def _text(error: PodnetError | None) -> str:
    """Return what `error` says, to compare by."""
    return "" if error is None else error.msg
