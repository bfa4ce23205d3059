"""A plan as text: the `ip`, `bridge`, `tc`, `wg` and `nft` commands it amounts to, each with its reason.

The text is not a picture of the plan but the plan in another language: run by `sh` in a fresh namespace, it leaves
the kernel in the state that applying the plan leaves it in.  One message may take two commands, since `ip link add`
and `ip link set` share what RTM_NEWLINK does at once.
"""

from collections.abc import Callable, Iterator
from shlex import quote
from typing import Any, NamedTuple

from podnet.plan.objects import (
    PROTOCOL_BOOT,
    TUN,
    Address,
    Fdb,
    Link,
    Neighbour,
    Place,
    Redirect,
    Route,
    Sysctl,
    Tbf,
    WireGuard,
    WireGuardPeer,
)
from podnet.plan.plan import Plan, Step, Verb, peers_made

NAMED_NAMESPACES = "/run/netns/"


BORN_AFTER = ("alias", "ipv6_autoconf")
"""What the kernel does not take from the message by which a link is born."""

_OPTIONS = {"bridge": " mcast_snooping 0 no_linklocal_learn 1"}
"""What a kind of link is always born with: see :mod:`podnet.plan.encode`."""


class Line(NamedTuple):
    """One command, where it acts, and the reason of the step that asks for it."""

    command: str
    at: Place
    reason: str


class Links(NamedTuple):
    """The pod's links that a plan speaks of, and which of them are born as a peer, MAC and MTU included."""

    pod: dict[str, Link]
    born: frozenset[str]


class Speaker(NamedTuple):
    """How commands address the pod's namespace: by a name of ip-netns(8) or by a path."""

    namespace: str

    @property
    def _name(self) -> str:
        """The namespace's name where it has one."""
        bare = self.namespace.removeprefix("/var").removeprefix(NAMED_NAMESPACES)
        return "" if "/" in bare else bare

    @property
    def veth_target(self) -> str:
        """What follows `netns` in `ip link add`: a name, or a path that ip(8) opens as one."""
        return quote(self._name or self.namespace)

    def ip(self, at: Place) -> str:
        """Return the words that begin an `ip` command."""
        return self._in("ip", at)

    def tc(self, at: Place) -> str:
        """Return the words that begin a `tc` command."""
        return self._in("tc", at)

    def bridge(self, at: Place) -> str:
        """Return the words that begin a `bridge` command."""
        return self._in("bridge", at)

    def inside(self, at: Place) -> str:
        """Return the prefix of any other command."""
        if at == "node":
            return ""
        if self._name:
            return f"ip netns exec {quote(self._name)} "
        return f"nsenter --net={quote(self.namespace)} "

    def _in(self, command: str, at: Place) -> str:
        """Return the beginning of a command that enters a namespace by itself, given the name of one."""
        return f"{command} -n {quote(self._name)}" if at == "pod" and self._name else f"{self.inside(at)}{command}"


def explain(plan: Plan, namespace: str = "pod") -> list[Line]:
    """Return the commands of `plan` in order; `namespace` is the pod's, a name under /run/netns or a path."""
    speaker = Speaker(namespace)
    links = Links(
        {s.object.name: s.object for s in plan.steps if isinstance(s.object, Link) and s.object.at == "pod"},
        peers_made(plan),
    )
    return [
        Line(command, getattr(step.object, "at", "node"), step.reason)
        for step in plan.steps
        for command in _commands(step, speaker, links)
    ]


def script(plan: Plan, namespace: str = "pod") -> str:
    """Return `plan` as a shell script with its reasons as comments."""
    lines = ["set -eu"]
    reason = ""
    for line in explain(plan, namespace):
        if line.reason != reason:
            reason = line.reason
            lines.append(f"# {reason}")
        lines.append(line.command)
    return "\n".join(lines) + "\n"


def headline(step: Step, namespace: str = "pod") -> str:
    """Return the first command of one step: what errors call it."""
    commands = _commands(step, Speaker(namespace), Links({}, frozenset()))
    return next(iter(commands), f"{step.verb} {step.object}")


def _commands(step: Step, speaker: Speaker, links: Links) -> Iterator[str]:
    speak: Callable[[Any, Verb, Speaker, Links], Iterator[str]] = _SPOKEN.get(type(step.object), _nft)
    return speak(step.object, step.verb, speaker, links)


def _link(link: Link, verb: Verb, speaker: Speaker, links: Links) -> Iterator[str]:
    ip, name = speaker.ip(link.at), quote(link.name)
    if verb == "delete":
        yield f"{ip} link del {name}"
        return
    if verb == "add" and link.kind == TUN:
        yield f"{speaker.inside(link.at)}wireguard-go {name}"
        # It sets an MTU of its own before it answers: what changes nothing is asked of it first.
        yield f"{speaker.inside(link.at)}wg set {name} fwmark 0"
    made_here = verb == "add" and link.kind and link.kind != TUN and not (link.kind == "veth" and not link.peer)
    if made_here:
        kind = f"{link.kind}{_OPTIONS.get(link.kind, '')}{_tunnel(link)}{_peer(link, speaker, links)}"
        yield f"{ip} link add {name}{_born_with(link)} type {kind}"
    if link.isolated:
        yield f"{ip} link set {name} type bridge_slave isolated on"
    born = made_here or (link.at == "pod" and link.name in links.born)
    settings = _settings(link, BORN_AFTER if born else ("mac", "mtu", "group", *BORN_AFTER, "master"))
    down = "" if link.up or made_here else " down"
    if settings or down:
        yield f"{ip} link set {name}{settings}{down}"
    if link.route_localnet:
        yield f"{speaker.inside(link.at)}sysctl -qw {quote(f'net/ipv4/conf/{link.name}/route_localnet=1')}"
    if link.up:
        yield f"{ip} link set {name} up"


def _born_with(link: Link) -> str:
    return _settings(link, ("mtu", "mac", "queues", "group", "master"))


def _settings(link: Link, names: tuple[str, ...]) -> str:
    words = {
        "mtu": f" mtu {link.mtu}" if link.mtu else "",
        "mac": f" address {link.mac}" if link.mac else "",
        "queues": f" numtxqueues {link.queues} numrxqueues {link.queues}" if link.queues else "",
        "group": f" group {link.group}" if link.group else "",
        "alias": f" alias {quote(link.alias)}" if link.alias else "",
        "master": f" master {quote(link.master)}" if link.master else "",
        "ipv6_autoconf": "" if link.ipv6_autoconf else " addrgenmode none",
    }
    return "".join(words[name] for name in names)


def _tunnel(link: Link) -> str:
    if link.vxlan is None:
        return ""
    vxlan = link.vxlan
    checksum = " noudpcsum" if vxlan.local.version == 4 else ""  # noqa: PLR2004 - IP version
    by = f" dev {quote(vxlan.dev)}" if vxlan.dev else ""
    return f" id {vxlan.vni} local {vxlan.local}{by} dstport {vxlan.port} nolearning{checksum}"


def _peer(link: Link, speaker: Speaker, links: Links) -> str:
    if not link.peer:
        return ""
    peer = links.pod.get(link.peer, Link(at="pod", name=link.peer))
    return f" peer name {quote(peer.name)}{_settings(peer, ('mtu', 'mac', 'queues'))} netns {speaker.veth_target}"


def _address(address: Address, verb: Verb, speaker: Speaker, _links: Links) -> Iterator[str]:
    words = {"add": "add", "set": "replace", "delete": "del"}[verb]
    flags = ("" if address.address.version == 4 or verb == "delete" else " nodad") + (  # noqa: PLR2004 - IP version
        "" if address.prefix_route or verb == "delete" else " noprefixroute"
    )
    yield f"{speaker.ip(address.at)} addr {words} {address.address}/{address.prefixlen} dev {quote(address.dev)}{flags}"


def _route(route: Route, verb: Verb, speaker: Speaker, _links: Links) -> Iterator[str]:
    words = {"add": "add", "set": "replace", "delete": "del"}[verb]
    family = " -6" if route.dst.version == 6 else ""  # noqa: PLR2004 - IP version
    default = "default" if not route.dst.prefixlen else str(route.dst)
    yield " ".join(
        word
        for word in (
            f"{speaker.ip(route.at)}{family} route {words}",
            "unreachable" if route.type == "unreachable" else "",
            default,
            f"via {route.via}" if route.via else "",
            f"dev {quote(route.dev)}" if route.dev else "",
            f"proto {route.protocol}" if route.protocol != PROTOCOL_BOOT else "",
            f"src {route.src}" if route.src and verb != "delete" else "",
            f"metric {route.metric}" if route.metric else "",
            "onlink" if route.onlink and verb != "delete" else "",
        )
        if word
    )


def _neighbour(entry: Neighbour, verb: Verb, speaker: Speaker, _links: Links) -> Iterator[str]:
    ip = speaker.ip(entry.at)
    if verb == "delete":
        yield f"{ip} neigh del {entry.address} dev {quote(entry.dev)}"
    else:
        words = {"add": "add", "set": "replace"}[verb]
        yield f"{ip} neigh {words} {entry.address} lladdr {entry.mac} dev {quote(entry.dev)} nud permanent"


def _fdb(entry: Fdb, verb: Verb, speaker: Speaker, _links: Links) -> Iterator[str]:
    words = {"add": "add", "set": "replace", "delete": "del"}[verb]
    permanent = "" if verb == "delete" else " permanent"
    dev = quote(entry.dev)
    yield f"{speaker.bridge(entry.at)} fdb {words} {entry.mac} dev {dev} dst {entry.dst} self{permanent}"


def _wireguard(device: WireGuard, verb: Verb, speaker: Speaker, _links: Links) -> Iterator[str]:
    port, key = (0, "/dev/null") if verb == "delete" else (device.port, device.private_key)
    yield f"{speaker.inside(device.at)}wg set {quote(device.dev)} listen-port {port} private-key {quote(key)}"


def _peer_of(peer: WireGuardPeer, verb: Verb, speaker: Speaker, _links: Links) -> Iterator[str]:
    words = [f"{speaker.inside(peer.at)}wg set {quote(peer.dev)} peer {peer.public_key}"]
    if verb == "delete":
        words.append("remove")
    else:
        if peer.endpoint is not None:
            host = f"[{peer.endpoint}]" if peer.endpoint.version == 6 else str(peer.endpoint)  # noqa: PLR2004 - IPv6
            words.append(f"endpoint {quote(f'{host}:{peer.port}')}")
        words.append(f"allowed-ips {quote(','.join(map(str, peer.allowed_ips)))}")
    yield " ".join(words)


def _tbf(tbf: Tbf, verb: Verb, speaker: Speaker, _links: Links) -> Iterator[str]:
    tc, dev = speaker.tc(tbf.at), quote(tbf.dev)
    if verb == "delete":
        yield f"{tc} qdisc del dev {dev} root"
    else:
        numbers = f"rate {8 * tbf.rate}bit burst {tbf.burst}b limit {tbf.limit}b"
        yield f"{tc} qdisc replace dev {dev} root tbf {numbers}"


def _redirect(redirect: Redirect, verb: Verb, speaker: Speaker, _links: Links) -> Iterator[str]:
    tc, dev = speaker.tc(redirect.at), quote(redirect.dev)
    words = {"add": "add", "set": "replace", "delete": "del"}[verb]
    yield f"{tc} qdisc {words} dev {dev} ingress"
    if verb == "delete":
        return
    if verb == "set":
        yield f"{tc} filter del dev {dev} ingress"
    yield (
        f"{tc} filter add dev {dev} ingress protocol all prio 1 handle 800::800 u32 match u32 0 0 "
        f"action mirred egress redirect dev {quote(redirect.to)}"
    )


def _sysctl(sysctl: Sysctl, _verb: Verb, speaker: Speaker, _links: Links) -> Iterator[str]:
    yield f"{speaker.inside(sysctl.at)}sysctl -qw {quote(f'{sysctl.name}={sysctl.value}')}"


def _nft(thing: Any, verb: Verb, _speaker: Speaker, _links: Links) -> Iterator[str]:
    yield f"nft {quote(thing.nft('add' if verb == 'set' else verb))}"


_SPOKEN: dict[type, Callable[[Any, Verb, Speaker, Links], Iterator[str]]] = {
    Link: _link,
    Address: _address,
    Route: _route,
    Neighbour: _neighbour,
    Fdb: _fdb,
    WireGuard: _wireguard,
    WireGuardPeer: _peer_of,
    Tbf: _tbf,
    Redirect: _redirect,
    Sysctl: _sysctl,
}
