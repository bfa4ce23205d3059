"""A rule of iptables-nft as ``iptables -S`` prints it."""

from collections.abc import Iterable, Mapping
from struct import error, unpack_from

from podnet.diagnosis.firewall import xtables
from podnet.diagnosis.firewall.ruleset import Lookups, Rule
from podnet.diagnosis.firewall.words import Phrase, phrases

_OPTIONS = {
    "ip saddr": "-s", "ip6 saddr": "-s", "ip daddr": "-d", "ip6 daddr": "-d", "iifname": "-i", "oifname": "-o",
    "meta l4proto": "-p", "sport": "--sport", "dport": "--dport",
}  # fmt: skip
_FIRST = ("-s", "-d", "-i", "-o", "-p")
_PORTS = ("sport", "dport")
_VERDICTS = {"accept": "ACCEPT", "drop": "DROP", "return": "RETURN"}
_REJECT_WITH = {
    "ip": ("net-unreachable", "host-unreachable", "proto-unreachable", "port-unreachable", "echo-reply",
           "net-prohibited", "host-prohibited", "tcp-reset", "admin-prohibited"),
    "ip6": ("no-route", "adm-prohibited", "not-neighbour", "addr-unreachable", "port-unreachable", "echo-reply",
            "tcp-reset", "policy-fail", "reject-route"),
}  # fmt: skip


def saved(rule: Rule, sets: Mapping[str, Lookups], family: str, chain: str) -> str:
    """Return the line; of modules that podnet does not know the name alone."""
    if rule.line:
        return rule.line
    return " ".join([f"-A {chain}", *_ordered(_options(phrases(rule, sets, family), family))])


def _options(found: Iterable[Phrase], family: str) -> Iterable[str]:
    for phrase in found:
        if phrase.extension is not None:
            yield _target(phrase.extension, family) if phrase.kind == "target" else xtables.text(phrase.extension)
        elif phrase.left != "counter":
            yield _option(phrase, family)


def _option(phrase: Phrase, family: str) -> str:
    left, negated = phrase.left, "! " if phrase.operator.startswith("!") else ""
    protocol, _, port = left.partition(" ")
    option = _OPTIONS.get(port if port in _PORTS else left)
    if option is None:
        return _statement(phrase)
    right = phrase.right.strip('"').replace("*", "+") if option in {"-i", "-o"} else phrase.right
    if option in {"-s", "-d"} and "/" not in right:
        right += "/32" if family == "ip" else "/128"
    module = f"-m {protocol} " if port in _PORTS and protocol != "th" else ""
    return f"{module}{negated}{option} {right.replace('-', ':') if port in _PORTS else right}"


def _statement(phrase: Phrase) -> str:
    verb, _, chain = phrase.left.partition(" ")
    if phrase.left in _VERDICTS:
        return f"-j {_VERDICTS[phrase.left]}"
    if verb in {"jump", "goto"}:
        return f"-{verb[0]} {chain}"
    if phrase.left.startswith("meta mark & "):
        mask, value = (int(word, 16) for word in (phrase.left.split()[-1], phrase.right))
        return f"-m mark {'! ' if phrase.operator.startswith('!') else ''}--mark {value:#x}/{mask:#x}"
    if verb == "limit":
        return f"-m limit --limit {phrase.left.split()[-1].replace('second', 'sec').replace('minute', 'min')}"
    return phrase.text


def _target(target: xtables.Extension, family: str) -> str:
    if target.name == "REJECT":
        try:
            word = _REJECT_WITH[family][unpack_from("=I", target.info)[0]]
        except (error, IndexError):
            return "-j REJECT"
        prefix = "" if word == "tcp-reset" else "icmp-" if family == "ip" else "icmp6-"
        return f"-j REJECT --reject-with {prefix}{word}"
    return f"-j {target.name}"


def _ordered(options: Iterable[str]) -> list[str]:
    """Put what iptables prints first in front: addresses, links, protocol."""
    return sorted(options, key=lambda option: _rank(option.removeprefix("! ").split(" ", 1)[0]))


def _rank(option: str) -> int:
    return _FIRST.index(option) if option in _FIRST else len(_FIRST)
