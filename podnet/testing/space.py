"""One network namespace in memory: plan objects by key, and what the kernel does to the others when one changes."""

import errno
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec.structs import replace

from podnet.nft import Chain, Element, Rule, Set, Table
from podnet.nft.element import bounds
from podnet.plan import (
    Address,
    Fdb,
    Link,
    Neighbour,
    Object,
    Redirect,
    Route,
    Step,
    Sysctl,
    Tbf,
    WireGuard,
    WireGuardPeer,
    key_of,
)
from podnet.plan.objects import Key, Place
from podnet.plan.plan import Verb

IPV6 = 6
EVERY_LINK = frozenset({"all", "default"})
BORN_WITH = {"accept_ra": "1"}


def creates(step: Step) -> bool:
    """Tell whether the kernel is asked to make a link: a veth's pod end comes with the other, `lo` is there."""
    thing = step.object
    return (
        isinstance(thing, Link)
        and step.verb == "add"
        and bool(thing.kind)
        and (thing.kind != "veth" or thing.peer != "")
    )


class Space:
    """A network namespace, the node's or a pod's by `place`; born with `lo`, down.

    `objects` are what is there, as the kernel would list it; `ends` the other ends of veths, by name.
    """

    def __init__(self, place: Place) -> None:
        """Begin with what a new namespace has."""
        self.place: Place = place
        self.objects: dict[Key, Object] = {}
        self.ends: dict[str, tuple[Space, str]] = {}
        self._handlers: dict[type, Callable[[Any, Verb], int]] = {
            Link: self._link,
            Address: self._address,
            Route: self._route,
            Neighbour: self._neighbour,
            Fdb: self._fdb,
            WireGuard: self._wireguard,
            WireGuardPeer: self._peer,
            Tbf: self._tbf,
            Redirect: self._redirect,
            Sysctl: self._sysctl,
            Table: self._table,
            Set: self._set,
            Chain: self._chain,
            Element: self._element,
            Rule: self._rule,
        }
        self.put(Link(at=place, name="lo", mac="00:00:00:00:00:00", mtu=65536, up=False))

    # For tests: a stranger's hand

    def put(self, thing: Object) -> None:
        """Make `thing` be there as it is."""
        self.objects[key_of(thing)] = settled(thing) if isinstance(thing, Link) else thing

    def remove(self, thing: Object) -> None:
        """Take `thing` away, a link with all that is on it; raise `KeyError` where it is not there."""
        if isinstance(thing, Link):
            self.remove_link(thing.name)
        else:
            del self.objects[key_of(thing)]

    def link(self, name: str) -> Link | None:
        """Return the link `name`."""
        found = self.objects.get(("link", self.place, name))
        return found if isinstance(found, Link) else None

    def links(self) -> list[Link]:
        """Return the links, oldest first."""
        return [thing for thing in self.objects.values() if isinstance(thing, Link)]

    def table(self, table: Table) -> list[Object]:
        """Return a table and all that is in it."""
        return [thing for key, thing in self.objects.items() if key == key_of(table) or key[1] == table]

    def remove_link(self, name: str) -> None:
        """End a link, its other end, what was on them, and VXLAN devices that send by it.

        A bridge's ports stay, and redirects lead nowhere.
        """
        del self.objects["link", self.place, name]
        self._drop(lambda thing: _device(thing) == name)
        for port in self.links():
            if port.master == name:
                self.put(replace(port, master="", isolated=False))
        for thing in [thing for thing in self.objects.values() if isinstance(thing, Redirect) and thing.to == name]:
            self.put(replace(thing, to=""))
        for upper in [link.name for link in self.links() if link.vxlan and link.vxlan.dev == name]:
            self.remove_link(upper)
        other = self.ends.pop(name, None)
        if other is not None:
            space, peer = other
            if space.ends.pop(peer, None) is not None:
                space.remove_link(peer)

    def set_down(self, link: Link) -> None:
        """Set a link down: what needs it up ends."""
        self.put(replace(link, up=False))
        self._drop(lambda t: isinstance(t, Route | Neighbour) and t.dev == link.name)
        self._drop(lambda t: isinstance(t, Address) and t.dev == link.name and t.address.version == IPV6)

    def read(self, sysctl: Sysctl) -> Sysctl:
        """Return `sysctl` as its file reads, empty where there is no file."""
        found = self.objects.get(sysctl.key)
        if isinstance(found, Sysctl):
            return found
        value = BORN_WITH.get(sysctl.name.rpartition("/")[2], "0") if self._has_file(sysctl) else ""
        return replace(sysctl, value=value)

    # The kernel

    def carry(self, step: Step, pod: "Space | None", peer: Link | None) -> int:
        """Carry out one step; return 0, or the errno with which it is refused.

        A veth's other end is born in `pod`, as `peer` says.
        """
        if creates(step):
            return self._create(step.object, pod, peer)  # type: ignore[arg-type] # creates() looked
        return self._handlers[type(step.object)](step.object, step.verb)

    def _create(self, link: Link, pod: "Space | None", peer: Link | None) -> int:
        if self.link(link.name) or self._is_spoken(link):
            return errno.EEXIST
        if link.peer:
            if pod is None or pod.link(link.peer):
                return errno.EEXIST
            born = peer or Link(at="pod", name=link.peer)
            pod.put(Link(at="pod", name=link.peer, kind="veth", mac=born.mac, mtu=born.mtu, up=False))
            self.ends[link.name] = pod, link.peer
            pod.ends[link.peer] = self, link.name
        self.put(link)
        return 0

    def _is_spoken(self, link: Link) -> bool:
        """Tell whether another device receives what the VXLAN device `link` would: same VNI, port, link and family."""
        return link.vxlan is not None and any(
            replace(other.vxlan, local=link.vxlan.local) == link.vxlan
            and other.vxlan.local.version == link.vxlan.local.version
            for other in self.links()
            if other.vxlan
        )

    def _link(self, link: Link, verb: Verb) -> int:
        found = self.link(link.name)
        if found is None:
            return errno.ENODEV
        if verb == "delete":
            if not found.kind:
                return errno.EOPNOTSUPP
            self.remove_link(link.name)
            return 0
        if link.mac and found.kind == "ifb":
            self.put(replace(found, up=found.up or link.up))  # up is a message of its own
            return errno.EOPNOTSUPP
        changed = replace(
            found,
            mac=link.mac or found.mac,
            mtu=link.mtu or found.mtu,
            group=link.group or found.group,
            alias=link.alias or found.alias,
            master=link.master or found.master,
            isolated=link.isolated or found.isolated,
            ipv6_autoconf=link.ipv6_autoconf and found.ipv6_autoconf,
            route_localnet=link.route_localnet or found.route_localnet,
            up=link.up,
        )
        self.put(changed)
        if link.mac:
            self._drop(lambda thing: isinstance(thing, Neighbour) and thing.dev == link.name)
        if found.up and not link.up:
            self.set_down(changed)
        return 0

    def _address(self, address: Address, verb: Verb) -> int:
        present = address.key in self.objects
        if verb == "delete":
            return self._delete(address) if present else errno.EADDRNOTAVAIL
        disabled = Sysctl(at=self.place, name=f"net/ipv6/conf/{address.dev}/disable_ipv6", value="1")
        if address.address.version == IPV6 and self.read(disabled) == disabled:
            return errno.EACCES
        return self._add(address, verb, present=present)

    def _route(self, route: Route, verb: Verb) -> int:
        found = self.objects.get(route.key)
        if verb == "delete":
            return self._delete(route) if found == route else errno.ESRCH
        link = self.link(route.dev)
        if link is not None and not link.up:
            return errno.ENETDOWN
        own = (thing.address for thing in self.objects.values() if isinstance(thing, Address))
        if route.src is not None and route.src not in own:
            return errno.EINVAL
        return self._add(route, verb, present=found is not None)

    def _neighbour(self, entry: Neighbour, verb: Verb) -> int:
        present = entry.key in self.objects
        if verb == "delete":
            return self._delete(entry) if present else errno.ENOENT
        return self._add(entry, verb, present=present)

    def _fdb(self, entry: Fdb, verb: Verb) -> int:
        found = self.objects.get(entry.key)
        if verb == "delete":
            # The kernel takes it for deleted where there is an entry of that MAC that leads elsewhere.
            return (self._delete(entry) if found == entry else 0) if found else errno.ENOENT
        return self._add(entry, verb, present=found is not None)

    def _wireguard(self, device: WireGuard, _verb: Verb) -> int:
        return self._add(replace(device, private_key=""), "set", present=True)  # in which file it was is not seen

    def _peer(self, peer: WireGuardPeer, verb: Verb) -> int:
        if verb == "delete":
            self.objects.pop(peer.key, None)  # one that is not there is no refusal
            return 0
        for other in [thing for thing in self.objects.values() if isinstance(thing, WireGuardPeer)]:
            if other.dev == peer.dev and other.key != peer.key:  # an address is one peer's: the last one's
                left = tuple(cidr for cidr in other.allowed_ips if cidr not in peer.allowed_ips)
                self.put(replace(other, allowed_ips=left))
        return self._add(peer, "set", present=True)

    def _tbf(self, tbf: Tbf, verb: Verb) -> int:
        if verb == "delete":
            return self._delete(tbf) if tbf.key in self.objects else errno.ENOENT
        return self._add(tbf, "set", present=True)  # in place of the root qdisc that every link has

    def _redirect(self, redirect: Redirect, verb: Verb) -> int:
        present = redirect.key in self.objects
        if verb == "delete":
            return self._delete(redirect) if present else errno.ENOENT
        if self.link(redirect.to) is not None or (present and verb == "add"):
            return self._add(redirect, verb, present=present)
        self._add(replace(redirect, to=""), verb, present=present)  # the qdisc is made, its filter refused
        return errno.ENODEV

    def _sysctl(self, sysctl: Sysctl, _verb: Verb) -> int:
        if not self._has_file(sysctl):
            return errno.ENOENT
        self.put(sysctl)
        return 0

    def _table(self, table: Table, verb: Verb) -> int:
        return self._in_tables(table, verb, (), lambda key: key[1] == table)

    def _set(self, owner: Set, verb: Verb) -> int:
        return self._in_tables(owner, verb, (owner.table,), lambda key: key[:3] == ("element", owner.table, owner.name))

    def _chain(self, chain: Chain, verb: Verb) -> int:
        return self._in_tables(chain, verb, (chain.table,), lambda key: key[:3] == ("rule", chain.table, chain.name))

    def _element(self, element: Element, verb: Verb) -> int:
        found = self.objects.get(key_of(element))
        if verb != "delete" and isinstance(found, Element) and found.data != element.data:
            return errno.EEXIST
        if verb != "delete" and element.set.interval and self._overlaps(element):
            return errno.EEXIST
        return self._in_tables(element, verb, (element.set.table, element.set), lambda _: False)

    def _rule(self, rule: Rule, verb: Verb) -> int:
        if verb == "delete":
            return errno.EOPNOTSUPP  # rules end with their chain's others: plans flush
        return self._in_tables(rule, verb, (rule.chain.table, rule.chain), lambda _: False)

    def _in_tables(self, thing: Object, verb: Verb, of: Iterable[Object], inside: Callable[[Key], bool]) -> int:
        """Make what may be there already, take it away with what is `inside` it, or that alone."""
        present = key_of(thing) in self.objects
        if verb in {"delete", "flush"}:
            if not present:
                return errno.ENOENT
            for key in [key for key in self.objects if inside(key)]:
                del self.objects[key]
            return self._delete(thing) if verb == "delete" else 0
        if any(key_of(container) not in self.objects for container in of):
            return errno.ENOENT
        self.put(thing)
        return 0

    def _overlaps(self, element: Element) -> bool:
        first, last = bounds(element.set.key, element.key)
        for other in self.objects.values():
            if isinstance(other, Element) and other.set == element.set and other.key != element.key:
                low, high = bounds(other.set.key, other.key)
                if low <= last and first <= high:
                    return True
        return False

    def _add(self, thing: Object, verb: Verb, *, present: bool) -> int:
        device = _device(thing)
        if device and self.link(device) is None:
            return errno.ENODEV
        if present and verb == "add":
            return errno.EEXIST
        self.put(thing)
        return 0

    def _delete(self, thing: Object) -> int:
        del self.objects[key_of(thing)]
        return 0

    def _drop(self, gone: Callable[[Object], bool]) -> None:
        for key in [key for key, thing in self.objects.items() if gone(thing)]:
            del self.objects[key]

    def _has_file(self, sysctl: Sysctl) -> bool:
        device = _device(sysctl)
        return not device or device in EVERY_LINK or self.link(device) is not None


OBSERVED = {Address, Neighbour, Fdb, Route, Tbf, Redirect, WireGuard, WireGuardPeer}
"""What is asked for by the link that it is on."""


def observed(space: Space, wanted: list[Object]) -> Iterator[Object]:
    """Yield what is in `space` of the keys of `wanted`, and what stands beside it on the same links or in its table."""
    names = {name for thing in wanted for name in _links_of(thing)}
    kinds = tuple({type(thing) for thing in wanted} & OBSERVED)
    bare_routes = any(isinstance(thing, Route) and not thing.dev for thing in wanted)
    for thing in space.objects.values():
        if isinstance(thing, Link):
            if thing.name in names:
                yield thing
        elif (isinstance(thing, kinds) and _device(thing) in names) or (
            bare_routes and isinstance(thing, Route) and thing.type == "unreachable"
        ):
            # The kernel tells where a redirect leads by a number, to which only links that are spoken of have a name.
            yield replace(thing, to="") if isinstance(thing, Redirect) and thing.to not in names else thing
    yield from (space.read(thing) for thing in wanted if isinstance(thing, Sysctl))
    tables = [thing for thing in wanted if isinstance(thing, Table)]
    if tables:
        yield from (thing for table in tables for thing in space.table(table))
    else:
        keys = [key_of(thing) for thing in wanted if isinstance(thing, Element)]
        yield from (space.objects[key] for key in keys if key in space.objects)


def _links_of(thing: Object) -> Iterator[str]:
    if isinstance(thing, Link):
        yield thing.name
        if thing.master:
            yield thing.master
        if thing.vxlan and thing.vxlan.dev:
            yield thing.vxlan.dev
    elif isinstance(thing, Address | Neighbour | Fdb | WireGuard | WireGuardPeer | Tbf | Redirect) or (
        isinstance(thing, Route) and thing.dev
    ):
        yield thing.dev
    if isinstance(thing, Redirect) and thing.to:
        yield thing.to


def _device(thing: Object) -> str:
    """Return the link that `thing` is on, empty where it is on none."""
    if isinstance(thing, Sysctl):
        words = thing.name.split("/")
        return words[3] if words[2:3] == ["conf"] else ""
    return getattr(thing, "dev", "")


def settled(link: Link) -> Link:
    """Return `link` as the kernel lists it."""
    return replace(link, peer="", queues=0, mtu=link.mtu or 1500, mac=link.mac or "02:00:00:00:00:01")
