"""Rulesets of others written as iptables-legacy-save prints them: what is found in them, whose it is, what to type."""

from ipaddress import ip_address, ip_network
from sys import byteorder

import msgspec
import pytest

from podnet.diagnosis import Finding
from podnet.diagnosis.firewall import Facts, Link, Port, Rulesets, Unread, findings
from podnet.diagnosis.firewall.iptables import tables
from podnet.diagnosis.firewall.ruleset import Chain, Lookups, Member, Rule, Ruleset
from podnet.nft import ACCEPT, DROP, Base, Table, Verdict
from podnet.nft.expr import Cmp, Ct, Expression, Immediate, Lookup, Meta, Notrack, Payload, Unknown, ct, meta, payload

FACTS = Facts(
    cidrs=(ip_network("10.244.1.0/24"),),
    uplink=Link("eth0", index=2, group=0),
    others=(ip_network("10.244.2.0/24"),),
    addresses=(ip_address("192.0.2.1"),),
    peers=(ip_address("192.0.2.2"),),
    ports=(Port("udp", 4789, "VXLAN"), Port("tcp", 179, "BGP")),
)
VERDICT_DROP = Immediate(dreg=0, data=DROP)


def table(lines: str, policies: str = "ACCEPT ACCEPT ACCEPT", name: str = "filter", family: str = "ip") -> Ruleset:
    """Return a table with the usual base chains; chains that lines append to are made."""
    bases = zip(("INPUT", "FORWARD", "OUTPUT"), policies.split(), strict=True)
    own = dict.fromkeys(line.split()[1] for line in lines.strip().splitlines())
    made = [f":{chain} {policy} [0:0]" for chain, policy in bases]
    made += [f":{chain} - [0:0]" for chain in own if chain not in {"INPUT", "FORWARD", "OUTPUT"}]
    (found,) = tables("\n".join([f"*{name}", *made, lines.strip(), "COMMIT"]), family)
    return found


def found_in(*rulesets: Ruleset) -> list[Finding]:
    """Return what is found in some rulesets."""
    return findings(Rulesets(rulesets), FACTS)


def nft_table(*rules: tuple[Expression, ...], hook: str = "forward", sets: dict[str, Lookups] | None = None) -> Ruleset:
    """Return a table of nft's with one base chain."""
    made = tuple(Rule(rule, handle=number) for number, rule in enumerate(rules, 10))
    return Ruleset(Table("inet", "theirs"), {"c": Chain("c", Base("filter", hook, 0), made)}, sets or {})


@pytest.mark.parametrize(
    ("lines", "policies", "who", "remedy"),
    [
        (
            "-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -j RETURN",
            "ACCEPT DROP ACCEPT",
            "docker",
            (
                "iptables-legacy -I DOCKER-USER -s 10.244.1.0/24 -j ACCEPT && "
                "iptables-legacy -I DOCKER-USER -d 10.244.1.0/24 -j ACCEPT"
            ),
        ),
        (
            (
                "-A FORWARD -j ufw-before-forward\n-A ufw-before-forward -m conntrack --ctstate ESTABLISHED -j ACCEPT\n"
                "-A DOCKER -i docker0 -j DROP"
            ),
            "ACCEPT DROP ACCEPT",
            "ufw",
            "ufw route allow from 10.244.1.0/24 && ufw route allow to 10.244.1.0/24",
        ),
        (
            (
                "-A INPUT -j ufw-user-input\n-A ufw-user-input -s 10.244.0.0/16 -j ACCEPT\n"
                "-A ufw-user-input -p tcp --dport 179 -j ACCEPT\n-A ufw-user-input -p tcp --sport 179 -j ACCEPT"
            ),
            "DROP ACCEPT ACCEPT",
            "ufw",
            "ufw allow in on eth0 to any port 4789 proto udp",
        ),
        (
            "-A FORWARD -i docker0 -j ACCEPT\n-A FORWARD -s 10.244.0.0/16 -d 10.244.0.0/16 -j REJECT",
            "ACCEPT ACCEPT ACCEPT",
            "somebody",
            (
                "iptables-legacy -I FORWARD 2 -s 10.244.1.0/24 -j ACCEPT && "
                "iptables-legacy -I FORWARD 2 -d 10.244.1.0/24 -j ACCEPT"
            ),
        ),
        (
            "-A OUTPUT -p tcp -m tcp --sport 179 -j DROP",
            "ACCEPT ACCEPT ACCEPT",
            "somebody",
            "iptables-legacy -I OUTPUT 1 -o eth0 -p tcp --sport 179 -j ACCEPT",
        ),
        (
            (
                "-A FORWARD -o eth0 -m set ! --match-set x dst -j ACCEPT\n-A FORWARD -j cali-FORWARD\n"
                "-A cali-FORWARD -d 10.244.0.0/16 -m comment --comment cali:1 -j DROP"
            ),
            "ACCEPT ACCEPT ACCEPT",
            "Calico",
            "`kubectl get networkpolicies -A` shows what is asked for; nothing is amiss if that is it",
        ),
    ],
)
def test_whose_a_drop_is_and_what_to_type(lines: str, policies: str, who: str, remedy: str) -> None:
    """By the names of chains; ufw's and docker's policies are told apart by theirs."""
    found = [f for f in found_in(table(lines, policies)) if f.severity == "broken"]
    assert len(found) == 1, found
    assert f" of {who} (table ip filter)" in found[0].what
    assert found[0].remedy == remedy


@pytest.mark.parametrize(
    "lines",
    [
        "-A FORWARD -s 172.17.0.0/16 -j DROP",
        "-A FORWARD -m conntrack --ctstate INVALID -j DROP",
        "-A FORWARD -i docker0 ! -o docker0 -j DROP",
        "-A FORWARD -m mark --mark 0x8000/0x8000 -j DROP",
        "-A FORWARD -d 10.244.3.0/24 -j DROP",
        "-A INPUT -i eth0 -p udp --dport 161 -j DROP\n-A INPUT ! -i eth0 -d 127.0.0.0/8 -j DROP",
        "-A FORWARD -j EMPTY\n-A EMPTY -j RETURN\n-A EMPTY -j DROP",
        "-A FORWARD -g LAST\n-A FORWARD -j DROP\n-A LAST -j ACCEPT",
    ],
)
def test_what_pods_do_not_send_may_be_dropped(lines: str) -> None:
    """No finding, sure or not."""
    assert found_in(table(lines)) == []


def test_a_mark_that_rules_set_is_seen_by_later_hooks() -> None:
    """Set before routing in the table mangle, dropped by when it is forwarded."""
    mangle = tables(
        "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -s 10.244.0.0/16 -j MARK --set-xmark 0x8000/0x8000\nCOMMIT",
        "ip",
    )
    drop = table("-A FORWARD -m mark --mark 0x8000/0x8000 -j DROP")
    assert [f.severity for f in found_in(*mangle, drop)] == ["broken"]
    assert found_in(drop) == []


def test_an_open_accept_makes_a_drop_behind_it_perhaps() -> None:
    """What podnet cannot tell may have accepted the packet: a note, that names the rule all the same."""
    (found,) = found_in(table("-A FORWARD -m string --algo bm --string x -j ACCEPT", "ACCEPT DROP ACCEPT"))
    assert found.severity == "note"
    assert "may drop" in found.what
    assert "-P FORWARD DROP" in found.evidence


def test_an_open_drop_hides_no_sure_one() -> None:
    """The first may drop, the second does, whether the first did or not."""
    found = found_in(table("-A FORWARD -m string --algo bm --string x -j DROP\n-A FORWARD -j DROP"))
    assert [f.severity for f in found] == ["note", "broken"]
    assert "-A FORWARD -j DROP" in found[1].evidence


def test_a_line_that_cannot_be_parsed_leaves_the_others() -> None:
    """It may do anything, and the policy behind it is told."""
    found = found_in(table("-A FORWARD -s nonsense -j DROP\n-A FORWARD -d 10.244.0.0/16 -j DROP"))
    assert any(f.severity == "broken" and "-d 10.244.0.0/16" in f.evidence for f in found)


def test_part_of_a_cidr_is_perhaps() -> None:
    """A rule about some pods is a note."""
    (found,) = found_in(table("-A FORWARD -s 10.244.1.7/32 -j DROP"))
    assert found.severity == "note"
    assert "may drop" in found.what


def test_a_port_of_the_node_that_pods_ask_is_a_note() -> None:
    """A node need not answer pods; that it hears their answers, it must."""
    new = table("-A INPUT -i veth-+ -m conntrack --ctstate NEW -j DROP")
    assert [f.severity for f in found_in(new)] == ["note"]
    assert "TCP port 10250" in found_in(new)[0].what
    answers = table("-A INPUT -i veth-+ -m conntrack --ctstate ESTABLISHED -j DROP")
    assert [f.severity for f in found_in(answers)] == ["broken"]


def test_untracked_packets_are_neither_new_nor_established() -> None:
    """A rule that turns tracking off before is seen."""
    accept_new = (
        Ct(key=ct.KEYS["state"], dreg=1),
        Cmp(sreg=1, operation=1, data=(64).to_bytes(4, byteorder)),
        Immediate(dreg=0, data=ACCEPT),
    )
    judged = nft_table(accept_new, (VERDICT_DROP,))
    assert found_in(judged) == []
    raw = nft_table((Notrack(),), hook="prerouting")
    assert {f.severity for f in found_in(judged, raw)} == {"broken"}


def test_packets_given_to_a_program_are_a_note() -> None:
    """It may drop them; nothing else says so."""
    (found,) = found_in(nft_table((Unknown(name="queue"),)))
    assert (found.severity, "gives to a program" in found.what) == ("note", True)


def test_a_map_to_verdicts_leads_on_whatever_else_is_in_it() -> None:
    """The element for everything else too."""
    load = Meta(key=meta.KEYS["iifname"], dreg=1)
    known = Member(b"lo".ljust(16, b"\0"), b"lo".ljust(16, b"\0"), ACCEPT)
    rest = Member(bytes(16), b"\xff" * 16, Verdict("drop"))
    chain = nft_table((load, Lookup(set="v", sreg=1, dreg=0)), sets={"v": Lookups(16, (known, rest))})
    assert [f.severity for f in found_in(chain)] == ["broken"]
    without = msgspec.structs.replace(chain, sets={"v": Lookups(16, (known,))})
    assert found_in(without) == []
    unread = msgspec.structs.replace(chain, sets={"v": Lookups(16, (known,), whole=False)})
    assert [f.severity for f in found_in(unread)] == []


def test_many_nodes_are_one_packet_to_what_their_cidrs_share() -> None:
    """What drops all of them does surely, what drops one perhaps."""
    others = tuple(ip_network(f"10.244.{n}.0/24") for n in range(3, 60, 2))
    facts = msgspec.structs.replace(FACTS, others=others)
    every = findings(Rulesets((table("-A FORWARD -d 10.244.0.0/16 -o eth0 -j DROP"),)), facts)
    assert [f.severity for f in every] == ["broken"]
    one = findings(Rulesets((table("-A FORWARD -d 10.244.5.0/24 -j DROP"),)), facts)
    assert [f.severity for f in one] == ["note"]


def test_rules_of_a_family_that_pods_do_not_have_say_nothing() -> None:
    """IPv6 dropped whole, where pods speak IPv4."""
    assert found_in(table("", "DROP DROP DROP", family="ip6")) == []


def test_what_could_not_be_read_is_told() -> None:
    """By where it is and why."""
    (found,) = findings(Rulesets((), (Unread("iptables-legacy", "no program"),)), FACTS)
    assert (found.severity, found.evidence) == ("note", "no program")
    assert "iptables-legacy" in found.what


def test_a_rule_cut_short_says_nothing_of_what_follows() -> None:
    """Expressions that could not be decoded leave open whether the verdict behind them is reached."""
    odd = (Payload(dreg=1, base=9, offset=0, length=4), Unknown(name="inner", data=b"\1"), VERDICT_DROP)
    (found,) = found_in(nft_table(odd))
    assert found.severity == "note"
    assert "[ inner (1 bytes) ]" in found.evidence


def test_intervals_side_by_side_are_all_of_a_cidr() -> None:
    """Two halves of a pod CIDR are it; one half is a part."""
    load = Payload(dreg=1, base=payload.NETWORK, offset=12, length=4)
    halves = tuple(
        Member(half.network_address.packed, half.broadcast_address.packed)
        for half in FACTS.cidrs[0].subnets(prefixlen_diff=1)
    )
    for members, severity in ((halves, "broken"), (halves[:1], "note")):
        rule = load, Lookup(set="s", sreg=1), VERDICT_DROP
        assert [f.severity for f in found_in(nft_table(rule, sets={"s": Lookups(4, members)}))] == [severity]


def test_what_may_be_untracked_may_be_dropped_as_such() -> None:
    """Tracking that an open rule turns off leaves the state open."""
    raw = nft_table((Unknown(name="quota"), Notrack()), hook="prerouting")
    untracked = (
        Ct(key=ct.KEYS["state"], dreg=1),
        Cmp(sreg=1, operation=0, data=(64).to_bytes(4, byteorder)),
        VERDICT_DROP,
    )
    assert {f.severity for f in found_in(raw, nft_table(untracked))} == {"note"}
    assert found_in(nft_table(untracked)) == []


def test_a_rule_that_names_dockers_bridge_is_dockers() -> None:
    """In a chain where everybody has rules."""
    (found,) = found_in(table("-A FORWARD ! -i docker0 -o eth0 -j DROP"))
    assert " of docker (" in found.what
