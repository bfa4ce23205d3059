"""Nodes and Pods as the API server writes them, and what of them is kept.

Only the fields that are used are decoded (Kubernetes API reference, v1 Node and Pod): a Node of a real cluster is 5 to
20 KB, most of it names of images, a Pod 3 to 10 KB.  What is kept compares equal for as long as nothing changed that
podnet acts upon, so the kubelet's reports of its health, and of its pods', are no change.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import msgspec

from podnet.cluster.named import POD_CIDRS

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

ANNOTATIONS = "podnet.dev/"
"""What the keys of the annotations begin with that are kept."""
REFLECTOR = ANNOTATIONS + "route-reflector"
"""The label of Nodes that are route reflectors, with whatever value but ``false``."""
WIREGUARD_KEY = ANNOTATIONS + "wireguard-public-key"
"""The annotation by which a node tells the others its key."""
MIRROR = "kubernetes.io/config.mirror"
"""Of a Pod that stands for one of a kubelet's own files: the uid by which that kubelet knows it (pkg/kubelet/types)."""


class ObjectMeta(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """The part of metadata that every object has."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: str | None = None
    annotations: dict[str, str] | None = None
    labels: dict[str, str] | None = None

    @property
    def key(self) -> str:
        """What no other object of the kind is called."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class WireObject(msgspec.Struct, frozen=True, gc=False):
    """What is decoded of every object, of whatever kind."""

    metadata: ObjectMeta


class _Spec(msgspec.Struct, frozen=True, gc=False):
    pod_cidr: str | None = msgspec.field(default=None, name="podCIDR")
    pod_cidrs: list[str] | None = msgspec.field(default=None, name="podCIDRs")


class _Address(msgspec.Struct, frozen=True, gc=False):
    type: str
    address: str


class _Condition(msgspec.Struct, frozen=True, gc=False):
    type: str
    status: str


class _Status(msgspec.Struct, frozen=True, gc=False):
    addresses: list[_Address] | None = None
    conditions: list[_Condition] | None = None


class WireNode(WireObject, frozen=True, gc=False):
    """A v1 Node as it comes."""

    spec: _Spec = _Spec()
    status: _Status = _Status()


class NodeObject(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is kept of a Node.

    `addresses` are its InternalIPs, the first of each family; `pools` are CIDRs of pods that the node made known;
    `malformed` says which of its values are no addresses, `misspelt` which of the pools are no CIDRs.
    """

    name: str
    uid: str = ""
    created: str = ""
    annotations: tuple[tuple[str, str], ...] = ()
    addresses: tuple[IPAddress, ...] = ()
    pod_cidrs: tuple[IPNetwork, ...] = ()
    pools: tuple[IPNetwork, ...] = ()
    reflector: bool = False
    network_unavailable: bool = False
    malformed: str = ""
    misspelt: str = ""


def keep_node(wire: WireNode) -> NodeObject:
    """Return what is kept of a Node."""
    metadata, spec, status = wire.metadata, wire.spec, wire.status
    malformed: list[str] = []
    addresses: dict[int, IPAddress] = {}
    for entry in status.addresses or ():
        if entry.type == "InternalIP":
            address = _address(entry.address, malformed)
            if address is not None:
                addresses.setdefault(address.version, address)
    cidrs = spec.pod_cidrs or ([spec.pod_cidr] if spec.pod_cidr else [])
    networks = [network for text in cidrs if (network := _network(text, malformed)) is not None]
    kept = _kept(metadata.annotations)
    misspelt: list[str] = []
    published = dict(kept).get(POD_CIDRS, "").split(",")
    pools = [network for text in published if text and (network := _network(text.strip(), misspelt)) is not None]
    return NodeObject(
        name=metadata.name,
        uid=metadata.uid,
        created=metadata.creation_timestamp or "",
        annotations=kept,
        addresses=tuple(addresses.values()),
        pod_cidrs=tuple(networks),
        pools=tuple(pools),
        reflector=(metadata.labels or {}).get(REFLECTOR, "false") != "false",
        network_unavailable=any(
            condition.type == "NetworkUnavailable" and condition.status == "True"
            for condition in status.conditions or ()
        ),
        malformed=", ".join(malformed),
        misspelt=", ".join(misspelt),
    )


class WirePod(WireObject, frozen=True, gc=False):
    """A v1 Pod as it comes."""


class PodObject(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a Pod; its namespace and name are the key that it is kept by.

    `static` is the uid by which a kubelet knows the pod that this one is the mirror of, "" where it is none.
    """

    uid: str
    static: str = ""
    annotations: tuple[tuple[str, str], ...] = ()


def keep_pod(wire: WirePod) -> PodObject:
    """Return what is kept of a Pod."""
    annotations = wire.metadata.annotations
    return PodObject(wire.metadata.uid, (annotations or {}).get(MIRROR, ""), _kept(annotations))


def _kept(annotations: dict[str, str] | None) -> tuple[tuple[str, str], ...]:
    """Return podnet's annotations, sorted."""
    return tuple(sorted((key, value) for key, value in (annotations or {}).items() if key.startswith(ANNOTATIONS)))


def _address(text: str, malformed: list[str]) -> IPAddress | None:
    try:
        return ip_address(text)
    except ValueError:
        malformed.append(f"InternalIP {text!r}")
        return None


def _network(text: str, malformed: list[str]) -> IPNetwork | None:
    try:
        return ip_network(text)
    except ValueError:
        malformed.append(f"podCIDR {text!r}")
        return None
