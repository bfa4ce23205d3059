"""This node among those of a cluster in etcd: it follows them, and claims its part."""

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_network
from os import urandom

import msgspec

from podnet.cluster.etcd.access import Endpoints
from podnet.cluster.etcd.claimant import Claimant
from podnet.cluster.etcd.claiming import View, Wish, whole
from podnet.cluster.etcd.client import EtcdClient
from podnet.cluster.etcd.keys import Claim, ClusterRange, IPAddress, IPNetwork, Record, Session, claim_key
from podnet.cluster.etcd.nodes import EtcdNodes
from podnet.cluster.named import POD_CIDRS
from podnet.cluster.remote.backoff import Backoff
from podnet.cluster.remote.listing import Candidate
from podnet.cluster.remote.reflector import Changes
from podnet.errors import InvalidConfiguration, PodnetError
from podnet.model import Node


class Self(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """This node: its name, this boot of it, its public key of WireGuard, and how its addresses are found.

    `reflector` tells whether it is a route reflector of the cluster's BGP.
    """

    name: str
    boot: str
    wireguard: str = ""
    reflector: bool = False
    addresses: Callable[[], tuple[IPAddress, ...]] = tuple


class EtcdMember(EtcdNodes):
    """The nodes, of which this one, `own`, claims its part of `cluster`.

    What `known` nodes say of this one it claims again where it can.  Others may have its claims when it has been away
    from etcd for `grace` seconds.
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
        """Take all that; nothing is asked before :meth:`begin`.  Raise InvalidConfiguration."""
        super().__init__(endpoints, prefix, cluster.cidrs, known, name=own.name, down=down)
        self._own, self._cluster, self._grace = own, cluster, grace
        self._had = next((node.pod_cidrs for node in known if node.name == own.name), ())
        self._lost: dict[IPNetwork, str] = {}
        record = Record(addresses=own.addresses(), wireguard=own.wireguard, reflector=own.reflector)
        session = Session(own.boot, urandom(8).hex())
        self._asking = EtcdClient(endpoints, prefix)
        self._claimant = Claimant(
            self._asking,
            Wish(name=own.name, session=session, range=cluster, record=record, had=self._had),
            grace,
            lock=self._follower.lock,
            view=self._view,
            tell=self._follower.tell,
        )

    def begin(self) -> None:
        """Begin to ask and to claim, in threads."""
        super().begin()
        self._claimant.begin()

    def wait(self, seconds: float) -> bool:
        """Wait until this node has its prefixes, or it is known why not, at most `seconds`; tell if there is a list."""
        return self._follower.wait(seconds, lambda: self._claimant.decided)

    @property
    def refusal(self) -> PodnetError | None:
        """Why this node can never be one of this cluster's, None where nothing speaks against it."""
        return InvalidConfiguration(self._claimant.fault) if self._claimant.refused else None

    def publish(self, annotations: Mapping[str, str | None]) -> None:
        """Have others know this node's pools."""
        pools = tuple(ip_network(cidr) for cidr in (annotations.get(POD_CIDRS) or "").split(",") if cidr)
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
        for client in (self._client, self._asking):  # nothing comes to an address that is gone: seen in half a minute
            client.cut()

    def close(self) -> None:
        """End; what this node has in etcd stays."""
        self._claimant.close()
        super().close()

    def _heard(self, changes: Changes) -> None:
        self._claimant.heard(changes)

    def _said(self) -> Iterable[str]:
        said, fault = [*super()._said(), *self._lost.values()], self._claimant.fault
        if fault and self.error is None:
            said.append(fault)
        if not self._claimant.record.addresses:
            said.append(f"node {self.name} has no address that others reach it by; set `uplink` in podnet.yaml")
        return said

    def _changed(self, view: View) -> Mapping[str, Candidate[str] | None]:
        own = self._prefixes()
        self._note_lost(view, own)
        return self._candidates.changed(self._claimant.record, own)

    def _prefixes(self) -> tuple[IPNetwork, ...]:
        """Return the prefixes that this node gives addresses from: all that it needs, or none.

        Before it is known that the name is this machine's, they are those that it had before.
        """
        standing = self._claimant.standing
        claimed = self._candidates.prefixes(self.name)
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
