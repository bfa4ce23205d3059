"""Goldens of neighbours, rules, qdiscs and filters: name, scene, request, its command, what shows it, its bytes.

`test_goldens.py` says what is done with them; scenes and views are in `conftest.py`.
"""

from ipaddress import ip_address as ip

from podnet.netlink.message import Request
from podnet.netlink.rtnl import (
    AF_BRIDGE,
    AF_INET,
    AF_INET6,
    U32,
    Action,
    Filter,
    Matchall,
    Neigh,
    Qdisc,
    Rule,
    Selector,
    Tbf,
)
from podnet.netlink.rtnl import filter as f
from podnet.netlink.rtnl import neigh as n
from podnet.netlink.rtnl.tc import CLSACT_EGRESS, CLSACT_INGRESS, TC_H_ROOT

Row = tuple[str, str, Request, str, str, str]


def tc(kind: str, options: U32 | Matchall, parent: int = CLSACT_INGRESS, protocol: int = f.ETH_P_ALL) -> Filter:
    """Return a filter of priority 7 on link 50."""
    return Filter(ifindex=50, parent=parent, info=f.info(7, protocol), kind=kind, options=options)


SHAPED = Qdisc(ifindex=50, handle=0x10000, parent=TC_H_ROOT, kind="tbf", options=Tbf.shaping(1_250_000, 15000, 0.025))


FAST = Qdisc(ifindex=50, handle=0x10000, parent=TC_H_ROOT, kind="tbf", options=Tbf.shaping(5_000_000_000, 250_000, 0.1))


REDIRECT = (Action.redirect(62),)


def entry(dst: str) -> Neigh:
    """Return the forwarding entry of scene "vxlan entry", with a destination."""
    mac = "02:00:00:00:00:07"
    return Neigh(family=AF_BRIDGE, ifindex=61, state=n.NUD_PERMANENT, flags=n.NTF_SELF, dst=ip(dst), lladdr=mac)


ROWS: tuple[Row, ...] = (
    (
        "neigh",
        "up",
        Neigh.permanent(ip("10.0.0.2"), "02:00:00:00:00:09", 50, protocol=99).replace(),
        "ip neigh replace 10.0.0.2 lladdr 02:00:00:00:00:09 dev e0 nud permanent protocol 99",
        "neighs",
        "020000003200000080000000080001000a0000020a000200020000000009000005000c0063000000",
    ),
    (
        "neigh6",
        "up",
        Neigh.permanent(ip("fe80::1"), "02:00:00:00:00:09", 50).add(),
        "ip neigh add fe80::1 lladdr 02:00:00:00:00:09 dev e0 nud permanent",
        "neighs",
        "0a000000320000008000000014000100fe8000000000000000000000000000010a0002000200000000090000",
    ),
    (
        "proxy",
        "up",
        Neigh(family=AF_INET6, ifindex=50, dst=ip("fd00::9"), flags=n.NTF_PROXY).add(),
        "ip neigh add proxy fd00::9 dev e0",
        "neighs",
        "0a000000320000000000080014000100fd000000000000000000000000000009",
    ),
    (
        "fdb of vxlan",
        "vxlan",
        Neigh(
            family=AF_BRIDGE,
            ifindex=61,
            state=n.NUD_PERMANENT,
            flags=n.NTF_SELF,
            lladdr="02:00:00:00:00:07",
            dst=ip("10.0.0.7"),
        ).append(),
        "bridge fdb append 02:00:00:00:00:07 dev vx0 dst 10.0.0.7 self permanent",
        "fdb",
        "070000003d00000080000200080001000a0000070a0002000200000000070000",
    ),
    (
        "fdb of vxlan replaced",
        "vxlan entry",
        entry("10.0.0.8").replace(),
        "bridge fdb replace 02:00:00:00:00:07 dev vx0 dst 10.0.0.8 self permanent",
        "fdb",
        "070000003d00000080000200080001000a0000080a0002000200000000070000",
    ),
    (
        "fdb of vxlan deleted",
        "vxlan entry",
        entry("10.0.0.7").delete(),
        "bridge fdb del 02:00:00:00:00:07 dev vx0 dst 10.0.0.7 self",
        "fdb",
        "070000003d00000080000200080001000a0000070a0002000200000000070000",
    ),
    (
        "fdb of bridge",
        "port",
        Neigh(family=AF_BRIDGE, ifindex=50, state=n.NUD_NOARP, flags=n.NTF_MASTER, lladdr="02:00:00:00:00:08").add(),
        "bridge fdb add 02:00:00:00:00:08 dev e0 master static",
        "fdb",
        "0700000032000000400004000a0002000200000000080000",
    ),
    (
        "rule",
        "veth",
        Rule(
            family=AF_INET,
            src=ip("10.244.1.0"),
            src_len=24,
            fwmark=1,
            fwmask=0xFF,
            table=100,
            priority=500,
            iifname="e0",
            protocol=99,
        ).add(),
        "ip rule add from 10.244.1.0/24 fwmark 1/0xff iif e0 lookup 100 pref 500 protocol 99",
        "rules",
        (
            "02001800000000010000000008000600f4010000080002000af40100070003006530000008000a000100000008001000ff00"
            "000008000f00640000000500150063000000"
        ),
    ),
    (
        "rule6 suppress",
        "empty",
        Rule(family=AF_INET6, suppress_prefixlength=0, priority=600).add(),
        "ip -6 rule add lookup main suppress_prefixlength 0 pref 600",
        "rules",
        "0a0000000000000100000000080006005802000008000f00fe00000008000e0000000000",
    ),
    (
        "rule del",
        "empty",
        Rule(family=AF_INET, priority=32767, table=None, action=0).delete(),
        "ip rule del pref 32767",
        "rules",
        "02000000000000000000000008000600ff7f0000",
    ),
    (
        "tbf",
        "up",
        SHAPED.add(),
        "tc qdisc add dev e0 root handle 1: tbf rate 10mbit burst 15000 latency 25ms",
        "qdiscs",
        (
            "000000003200000000000100ffffffff000000000800010074626600340002002800010003010000ffff0000d01213000000"
            "00000000000000000000aab400006cdc02000000000008000600983a0000"
        ),
    ),
    (
        "tbf 40G",
        "up",
        FAST.replace(),
        "tc qdisc replace dev e0 root handle 1: tbf rate 40gbit burst 250000 latency 100ms",
        "qdiscs",
        (
            "000000003200000000000100ffffffff000000000800010074626600400002002800010003010000ffff0000ffffffff0000"
            "000000000000000000009035d11d8e030000000000000800060090d003000c00040000f2052a01000000"
        ),
    ),
    (
        "clsact",
        "up",
        Qdisc.clsact(50).add(),
        "tc qdisc add dev e0 clsact",
        "qdiscs",
        "00000000320000000000fffff1ffffff000000000b000100636c736163740000",
    ),
    (
        "ingress",
        "up",
        Qdisc.ingress(50).add(),
        "tc qdisc add dev e0 ingress",
        "qdiscs",
        "00000000320000000000fffff1ffffff000000000c000100696e677265737300",
    ),
    (
        "matchall",
        "clsact",
        tc("matchall", Matchall(act=REDIRECT)).add(),
        "tc filter add dev e0 ingress pref 7 matchall action mirred egress redirect dev ifb0",
        "filters",
        (
            "000000003200000000000000f2ffffff000307000d0001006d61746368616c6c000000003c00020038000200340001000b00"
            "01006d6972726564000024000280200002000000000000000000040000000000000000000000010000003e000000"
        ),
    ),
    (
        "u32 all",
        "clsact",
        tc("u32", U32(sel=Selector(), act=REDIRECT), CLSACT_EGRESS).add(),
        "tc filter add dev e0 egress pref 7 protocol all u32 match u32 0 0 action mirred egress redirect dev ifb0",
        "filters",
        (
            "000000003200000000000000f3ffffff00030700080001007533320060000200240005000100010000000000000000000000"
            "00000000000000000000000000000000000038000700340001000b0001006d69727265640000240002802000020000000000"
            "00000000040000000000000000000000010000003e000000"
        ),
    ),
    (
        "u32 src",
        "clsact",
        tc("u32", U32(classid=0x10001, sel=Selector.source(ip("10.0.0.7"))), protocol=f.ETH_P_IP).add(),
        "tc filter add dev e0 ingress pref 7 protocol ip u32 match ip src 10.0.0.7 classid 1:1",
        "filters",
        (
            "000000003200000000000000f2ffffff08000700080001007533320030000200080001000100010024000500010001000000"
            "00000000000000000000ffffffff0a0000070c00000000000000"
        ),
    ),
    (
        "u32 dst6",
        "clsact",
        tc("u32", U32(classid=0x10001, sel=Selector.destination(ip("fd00::7"))), protocol=f.ETH_P_IPV6).add(),
        "tc filter add dev e0 ingress pref 7 protocol ipv6 u32 match ip6 dst fd00::7 classid 1:1",
        "filters",
        (
            "000000003200000000000000f2ffffff86dd0700080001007533320060000200080001000100010054000500010004000000"
            "00000000000000000000fffffffffd0000001800000000000000ffffffff000000001c00000000000000ffffffff00000000"
            "2000000000000000ffffffff000000072400000000000000"
        ),
    ),
)
