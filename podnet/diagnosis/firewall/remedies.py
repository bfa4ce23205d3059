"""What to type so that a rule lets pass what it drops: in the words of the program that made the rule."""

from collections.abc import Iterable, Iterator, Sequence

from podnet.diagnosis.firewall import owners
from podnet.diagnosis.firewall.owners import Owner
from podnet.diagnosis.firewall.packet import IPNetwork
from podnet.diagnosis.firewall.walk import Hit
from podnet.diagnosis.firewall.ways import Opening

POLICIES = "`kubectl get networkpolicies -A` shows what is asked for; nothing is amiss if that is it"


def remedy(hit: Hit, owner: Owner, openings: Sequence[Opening], pods: Sequence[IPNetwork]) -> str:
    """Return commands, joined by ``&&``; `pods` are the CIDRs of all nodes' pods."""
    if owner.policy:
        return POLICIES
    if owner is owners.FIREWALLD:
        return " && ".join([*_firewalld(openings, pods), "firewall-cmd --reload"])
    if owner is owners.UFW:
        return " && ".join(dict.fromkeys(_ufw(openings, hit)))
    if hit.ruleset.iptables:
        return " && ".join(_iptables(hit, owner, openings))
    return " && ".join(_nft(hit, openings))


def _firewalld(openings: Sequence[Opening], pods: Sequence[IPNetwork]) -> Iterator[str]:
    command = "firewall-cmd --permanent"
    if any(not opening.protocol for opening in openings):
        yield from (f"{command} --zone=trusted --add-source={cidr}" for cidr in pods)
    for port in dict.fromkeys(_port(opening) for opening in openings if opening.protocol):
        yield f"{command} --add-port={port}"


def _port(opening: Opening) -> str:
    return f"{opening.dport or opening.sport}/{opening.protocol}"


def _ufw(openings: Iterable[Opening], hit: Hit) -> Iterator[str]:
    route = "route " if hit.chain.name.endswith(("FORWARD", "forward")) else ""
    for opening in openings:
        if opening.protocol:
            way = f"in on {opening.iif}" if opening.iif else f"out on {opening.oif}"
            yield f"ufw allow {way} to any port {opening.dport or opening.sport} proto {opening.protocol}"
        elif opening.source:
            yield f"ufw {route}allow from {opening.source}"
        else:
            yield f"ufw {route or 'allow out to '}{'allow to ' if route else ''}{opening.destination}"


def _iptables(hit: Hit, owner: Owner, openings: Iterable[Opening]) -> Iterator[str]:
    """Yield a rule before that which drops; docker keeps a chain for what its users want to let pass."""
    chain, number = hit.chain.name, f" {hit.number}" if hit.number else ""
    if owner is owners.DOCKER and owners.DOCKER_USER in hit.ruleset.chains and _is_forward(hit):
        chain, number = owners.DOCKER_USER, ""
    table = "" if hit.ruleset.table.name == "filter" else f" -t {hit.ruleset.table.name}"
    for opening in openings:
        yield f"{hit.ruleset.iptables}{table} -I {chain}{number} {_options(opening)} -j ACCEPT"


def _is_forward(hit: Hit) -> bool:
    base = hit.ruleset.chains.get("FORWARD")
    return hit.ruleset.table.name == "filter" and base is not None and hit.hook == "forward"


def _options(opening: Opening) -> str:
    words = []
    for option, value in (
        ("-s", opening.source),
        ("-d", opening.destination),
        ("-i", opening.iif),
        ("-o", opening.oif),
        ("-p", opening.protocol),
        ("--sport", opening.sport),
        ("--dport", opening.dport),
    ):
        if value:
            words.append(f"{option} {value}")
    return " ".join(words)


def _nft(hit: Hit, openings: Iterable[Opening]) -> Iterator[str]:
    """Yield a rule in front of that which drops, or at the end of a chain whose policy does."""
    table, chain, rule = hit.ruleset.table, hit.chain.name, hit.rule
    verb = f"add rule {table} {chain}" if rule is None else f"insert rule {table} {chain} handle {rule.handle}"
    for opening in openings:
        yield f"nft {verb} {_matches(opening)} accept"


def _matches(opening: Opening) -> str:
    words = []
    if opening.iif or opening.oif:
        words.append(f'iifname "{opening.iif}"' if opening.iif else f'oifname "{opening.oif}"')
    for word, network in (("saddr", opening.source), ("daddr", opening.destination)):
        if network:
            words.append(f"{'ip' if network.version == 4 else 'ip6'} {word} {network}")  # noqa: PLR2004 - IPv4
    for word, port in (("sport", opening.sport), ("dport", opening.dport)):
        if port:
            words.append(f"{opening.protocol} {word} {port}")
    return " ".join(words)
