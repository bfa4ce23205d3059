"""Goldens of links: name, scene, request, its command, what shows it, its bytes.

`test_goldens.py` says what is done with them; scenes and views are in `conftest.py`.
"""

from ipaddress import ip_address as ip
from typing import Any

from podnet.netlink.message import Request
from podnet.netlink.rtnl import AF_BRIDGE, IPV4_DEVCONF, AfSpec, Bridge, BridgePort, Inet6, Link, LinkInfo, Veth, Vxlan
from podnet.netlink.rtnl.link import IFF_UP
from podnet.netlink.rtnl.linkinfo import BR_BOOLOPT_NO_LL_LEARN, boolopt

Row = tuple[str, str, Request, str, str, str]


def veth(**fields: Any) -> Link:
    """Return the veth pair that `VETH` makes, with further fields of its first end."""
    peer = Link(ifname="p0", index=51, address="02:00:00:00:00:02")
    info = LinkInfo("veth", Veth(peer=peer))
    return Link(ifname="e0", index=50, address="02:00:00:00:00:01", linkinfo=info, **fields)


TUNNEL = Vxlan(id=42, local=ip("10.0.0.1"), port=4789, learning=0, udp_zero_csum6_rx=0, ageing=300, df=1)


OVER4 = LinkInfo("vxlan", Vxlan(id=28782, link=50, local=ip("10.0.0.1"), learning=0, port=4789, udp_csum=0))
OVER6 = LinkInfo("vxlan", Vxlan(id=28782, link=50, local6=ip("fd00::1"), learning=0, port=4789))
BRIDGE = Bridge(
    stp_state=0,
    ageing_time=6000,
    mcast_snooping=0,
    nf_call_iptables=1,
    forward_delay=400,
    multi_boolopt=boolopt(BR_BOOLOPT_NO_LL_LEARN, on=True),
)
FLAGS = BridgePort(isolated=1, learning=0, mode=1, unicast_flood=0, mcast_flood=0, bcast_flood=0, neigh_suppress=1)
BLOCKED = BridgePort(locked=1, isolated=1, proxyarp=1, mcast_to_ucast=1)

ROWS: tuple[Row, ...] = (
    (
        "veth",
        "empty",
        veth(mtu=1400, group=7).add(),
        (
            "ip link add e0 index 50 address 02:00:00:00:00:01 mtu 1400 group 7"
            " type veth peer name p0 index 51 address 02:00:00:00:00:02"
        ),
        "addrs",
        (
            "000000003200000000000000000000000a00010002000000000100000700030065300000080004007805000008001b000700"
            "00003c0012800900010076657468000000002c00028028000180000000003300000000000000000000000a00010002000000"
            "000200000700030070300000"
        ),
    ),
    (
        "alias",
        "veth",
        Link(index=50, alias="podnet:c1:eth0").set(),
        "ip link set e0 alias podnet:c1:eth0",
        "addrs",
        "0000000032000000000000000000000012001400706f646e65743a63313a657468300000",
    ),
    (
        "noalias",
        "alias",
        Link(index=50, alias="").set(),
        "ip link set e0 alias ''",
        "addrs",
        "0000000032000000000000000000000004001400",
    ),
    (
        "up",
        "veth",
        Link(index=50, flags=IFF_UP, change=IFF_UP).set(),
        "ip link set e0 up",
        "addrs",
        "00000000320000000100000001000000",
    ),
    (
        "down",
        "up",
        Link(index=50, change=IFF_UP).set(),
        "ip link set e0 down",
        "addrs",
        "00000000320000000000000001000000",
    ),
    (
        "rename",
        "veth",
        Link(index=50, ifname="e9").set(),
        "ip link set e0 name e9",
        "addrs",
        "000000003200000000000000000000000700030065390000",
    ),
    (
        "mtu",
        "veth",
        Link(index=50, mtu=1300, txqlen=77).set(),
        "ip link set e0 mtu 1300 txqueuelen 77",
        "addrs",
        "00000000320000000000000000000000080004001405000008000d004d000000",
    ),
    (
        "delete",
        "veth",
        Link(index=50).delete(),
        "ip link del e0",
        "addrs",
        "00000000320000000000000000000000",
    ),
    (
        "delete by name",
        "veth",
        Link(ifname="e0").delete(),
        "ip link del e0",
        "addrs",
        "000000000000000000000000000000000700030065300000",
    ),
    (
        "master",
        "veth and bridge",
        Link(index=50, master=60).set(),
        "ip link set e0 master br0",
        "ports",
        "0000000032000000000000000000000008000a003c000000",
    ),
    (
        "nomaster",
        "port",
        Link(index=50, master=0).set(),
        "ip link set e0 nomaster",
        "ports",
        "0000000032000000000000000000000008000a0000000000",
    ),
    (
        "bridge",
        "empty",
        Link(ifname="br0", index=60, address="02:00:00:00:00:60", linkinfo=LinkInfo("bridge", BRIDGE)).add(),
        (
            "ip link add br0 index 60 address 02:00:00:00:00:60 type bridge"
            " stp_state 0 ageing_time 6000 mcast_snooping 0 nf_call_iptables 1 forward_delay 400 no_linklocal_learn 1"
        ),
        "addrs",
        (
            "000000003c00000000000000000000000a00010002000000006000000800030062723000480012800b000100627269646765"
            "000038000280080001009001000008000400701700000800050000000000050017000000000005002400010000000c002e00"
            "0100000001000000"
        ),
    ),
    (
        "vxlan",
        "empty",
        Link(ifname="vx0", index=61, address="02:00:00:00:00:61", linkinfo=LinkInfo("vxlan", TUNNEL)).add(),
        (
            "ip link add vx0 index 61 address 02:00:00:00:00:61 type vxlan id 42 dstport 4789 local 10.0.0.1 nolearning"
            " noudp6zerocsumrx ageing 300 df set"
        ),
        "addrs",
        (
            "000000003d00000000000000000000000a000100020000000061000008000300767830004c0012800a00010076786c616e00"
            "00003c000280080001002a000000080004000a0000010500070000000000080008002c01000006000f0012b5000005001400"
            "0000000005001d0001000000"
        ),
    ),
    (
        "vxlan of an uplink",
        "net",
        Link(ifname="vx0", index=61, address="02:00:00:00:00:61", mtu=1450, group=7, linkinfo=OVER4).add(),
        (
            "ip link add vx0 index 61 address 02:00:00:00:00:61 mtu 1450 group 7"
            " type vxlan id 28782 dev e0 local 10.0.0.1 nolearning dstport 4789 noudpcsum"
        ),
        "links",
        (
            "000000003d00000000000000000000000a0001000200000000610000080003007678300008000400aa05000008001b000700"
            "0000440012800a00010076786c616e00000034000280080001006e7000000800030032000000080004000a00000105000700"
            "0000000006000f0012b500000500120000000000"
        ),
    ),
    (
        "vxlan over IPv6",
        "net",
        Link(ifname="vx0", index=61, address="02:00:00:00:00:61", linkinfo=OVER6).add(),
        (
            "ip link add vx0 index 61 address 02:00:00:00:00:61"
            " type vxlan id 28782 dev e0 local fd00::1 nolearning dstport 4789"
        ),
        "links",
        (
            "000000003d00000000000000000000000a00010002000000006100000800030076783000480012800a00010076786c616e00"
            "000038000280080001006e7000000800030032000000050007000000000006000f0012b5000014001100fd00000000000000"
            "0000000000000001"
        ),
    ),
    (
        "ifb",
        "empty",
        Link(ifname="ifb0", index=62, address="02:00:00:00:00:62", linkinfo=LinkInfo("ifb")).add(),
        "ip link add ifb0 index 62 address 02:00:00:00:00:62 type ifb",
        "addrs",
        ("000000003e00000000000000000000000a00010002000000006200000900030069666230000000000c0012800800010069666200"),
    ),
    (
        "bridge port",
        "port",
        Link(family=AF_BRIDGE, index=50, port=FLAGS).set_port(),
        (
            "bridge link set dev e0 isolated on learning off hairpin on flood off mcast_flood off bcast_flood off"
            " neigh_suppress on"
        ),
        "ports",
        (
            "070000003200000000000000000000003c000c8005000400010000000500080000000000050009000000000005001b000000"
            "000005001e000000000005002000010000000500210001000000"
        ),
    ),
    (
        "bridge slave",
        "port",
        Link(index=50, linkinfo=LinkInfo(slave_kind="bridge", slave_data=BLOCKED)).set(),
        "ip link set e0 type bridge_slave locked on isolated on proxy_arp on mcast_to_unicast on",
        "ports",
        (
            "00000000320000000000000000000000340012800b00040062726964676500002400058005000a000100000005001c000100"
            "000005002100010000000500270001000000"
        ),
    ),
    (
        "addrgenmode",
        "veth",
        Link(index=50, af_spec=AfSpec(inet6=Inet6(1))).set(),
        "ip link set e0 addrgenmode none",
        "links",
        "0000000032000000000000000000000010001a800c000a800500080001000000",
    ),
    (
        "conf",
        "veth",
        Link(index=50, af_spec=AfSpec({IPV4_DEVCONF["proxy_arp"]: 1, IPV4_DEVCONF["route_localnet"]: 1})).set(),
        "sysctl -q net.ipv4.conf.e0.proxy_arp=1 net.ipv4.conf.e0.route_localnet=1",
        "conf",
        "000000003200000000000000000000001c001a801800028014000180080003000100000008001a0001000000",
    ),
)
