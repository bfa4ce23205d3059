"""The kernel's objects as podnet wishes them: frozen values that speak of links by name.

Every object has a place (`at`: the node's namespace or the pod's), a `key` that says which object of the kernel it
is, and the rest of its fields, which say how that object should be.  Two values of one key that differ are the same
object in two states.  nftables objects are the values of :mod:`podnet.nft` themselves; they live on the node.

Field meanings follow ip-link(8), ip-address(8), ip-route(8), ip-neighbour(8), bridge(8) and tc(8).
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

import msgspec

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network
Place = Literal["node", "pod"]
Key = tuple[object, ...]

GROUP_PODS = 28782
"""The link group of every host link of a pod ("pn" in ASCII): nft's iifgroup, and the listing of what is ours."""

GROUP_DOOMED = 28783
"""The link group of links that wait to be reaped: one RTM_DELLINK by IFLA_GROUP ends them all."""

GROUP_MESH = 28784
"""The link group of the links that lead to other nodes: not GROUP_PODS, whose packets are held to pods' addresses."""

PROTOCOL = 112
"""The rtm_protocol of every route podnet adds on the node ("p" in ASCII; unassigned in rt_protos)."""

PROTOCOL_BOOT = 3
"""RTPROT_BOOT, what `ip route add` says where it says nothing: routes inside pods."""


class Vxlan(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a link of kind ``vxlan`` is born with: a living one takes another `vni`, `local` or `port` no more.

    It sends from `local`, by the link `dev` (empty: by the routes), to UDP `port` of whom the forwarding table names;
    it learns nothing.
    Its checksums: see :mod:`podnet.plan.encode`.
    """

    vni: int
    local: IPAddress
    port: int
    dev: str


WIREGUARD, TUN = "wireguard", "tun"
"""The kinds of a link that speaks WireGuard: the kernel's own, and the one that wireguard-go makes and serves."""


class Link(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A network device.

    `kind` is ``bridge``, ``veth``, ``ifb``, ``vxlan``, ``wireguard``, ``tun`` or empty for a link that podnet did not
    make (`lo`).  A ``tun`` is brought about by wireguard-go, a program that serves it and ends with it.  A veth's host
    end names its `peer`, a link at the pod, which the same message creates.  `vxlan` are that kind's options.
    Empty strings and zeros are left as the kernel has them.  An ifb's MAC is given at birth or never: the kernel
    refuses to set it later (EOPNOTSUPP).
    `queues` is the count of transmit and of receive queues it is born with, 0 the kernel's choice, one per CPU:
    each costs memory and files below /sys, and a veth without XDP gains nothing from them.
    `ipv6_autoconf` False means addrgenmode none: the link makes itself no link-local address, so no duplicate address
    detection, no router solicitation.
    `route_localnet` True means that packets from and to 127.0.0.0/8 may pass this link; False leaves that as it is.
    """

    at: Place
    name: str
    kind: str = ""
    peer: str = ""
    mac: str = ""
    mtu: int = 0
    queues: int = 0
    group: int = 0
    alias: str = ""
    master: str = ""
    isolated: bool = False
    ipv6_autoconf: bool = True
    route_localnet: bool = False
    vxlan: Vxlan | None = None
    up: bool = True

    @property
    def key(self) -> Key:
        """One link of a name per namespace."""
        return ("link", self.at, self.name)


class Address(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An address on `dev`.  `prefix_route` False is noprefixroute.  IPv6 ones are always `nodad`."""

    at: Place
    dev: str
    address: IPAddress
    prefixlen: int
    prefix_route: bool = True

    @property
    def key(self) -> Key:
        """The kernel tells addresses of a link apart by address and prefix length."""
        return ("address", self.at, self.dev, self.address, self.prefixlen)


class Route(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A route in the main table.

    `via` with `onlink` may be an address no route leads to.  `src` is the preferred source.  `type` ``unreachable``
    has no `dev`.  `metric` 0 is the family's default.
    """

    at: Place
    dst: IPNetwork
    dev: str = ""
    via: IPAddress | None = None
    onlink: bool = False
    src: IPAddress | None = None
    protocol: int = PROTOCOL_BOOT
    type: Literal["unicast", "unreachable"] = "unicast"
    metric: int = 0

    @property
    def key(self) -> Key:
        """One route of ours per destination and metric."""
        return ("route", self.at, self.dst, self.metric)


class Neighbour(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A permanent neighbour entry: no ARP, no neighbour discovery, nothing to go stale."""

    at: Place
    dev: str
    address: IPAddress
    mac: str

    @property
    def key(self) -> Key:
        """One entry per address and link."""
        return ("neighbour", self.at, self.dev, self.address)


class Fdb(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A permanent forwarding entry of the VXLAN device `dev`: frames to `mac` go to the node at `dst`."""

    at: Place
    dev: str
    mac: str
    dst: IPAddress

    @property
    def key(self) -> Key:
        """One entry per MAC and link; that one entry may have several destinations is not made use of."""
        return ("fdb", self.at, self.dev, self.mac)


class WireGuard(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What the WireGuard device `dev` is: it has the key in the file `private_key`, and receives at UDP `port`.

    A plan has no secret in it: whether the device has that key is seen by `public_key`, in base64.
    """

    at: Place
    dev: str
    private_key: str
    public_key: str
    port: int

    @property
    def key(self) -> Key:
        """One per device."""
        return ("wireguard", self.at, self.dev)


class WireGuardPeer(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A peer of the WireGuard device `dev`, known by its `public_key`, in base64.

    What is sent to its `allowed_ips` is encrypted for it and goes to `port` of `endpoint`, and what it sends is taken
    if its source is one of them.  An address is allowed to one peer: whoever is given it last has it.
    """

    at: Place
    dev: str
    public_key: str
    endpoint: IPAddress | None
    port: int
    allowed_ips: tuple[IPNetwork, ...]

    @property
    def key(self) -> Key:
        """One per key and device."""
        return ("peer", self.at, self.dev, self.public_key)


class Tbf(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A token bucket filter as the root qdisc of `dev`: what leaves by it is held to `rate`.

    `rate` is in bytes/s; `burst` bytes may go at once after a pause; no more than `limit` bytes wait, the rest is
    dropped.  Each is above 0, and the burst takes no longer than 274 s at the rate: the kernel's fields end there.
    A link always has a root qdisc, so that adding this one replaces what is there.
    """

    at: Place
    dev: str
    rate: int
    burst: int
    limit: int

    @property
    def key(self) -> Key:
        """One root qdisc per link."""
        return ("qdisc", self.at, self.dev, "root")


class Redirect(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An ingress qdisc on `dev` whose one filter sends all that arrives there out by the link `to` (an ifb) first.

    An empty `to` is only observed: the qdisc is there and leads elsewhere, or nowhere.  Packets are dropped where the
    link they were to go to is gone, and where it is down.
    """

    at: Place
    dev: str
    to: str

    @property
    def key(self) -> Key:
        """One ingress qdisc per link."""
        return ("qdisc", self.at, self.dev, "ingress")


class Sysctl(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A file below /proc/sys: `name` with slashes (link names may contain dots), `value` as it reads back."""

    at: Place
    name: str
    value: str

    @property
    def key(self) -> Key:
        """The file's name."""
        return ("sysctl", self.at, self.name)
