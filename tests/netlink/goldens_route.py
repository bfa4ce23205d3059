"""Goldens of addresses and routes: name, scene, request, its command, what shows it, its bytes.

`test_goldens.py` says what is done with them; scenes and views are in `conftest.py`.
"""

from ipaddress import ip_address as ip
from ipaddress import ip_network as network

from podnet.netlink.message import Request
from podnet.netlink.rtnl import AF_INET, Addr, Metrics, NextHop, Route
from podnet.netlink.rtnl import addr as a
from podnet.netlink.rtnl import route as r

Row = tuple[str, str, Request, str, str, str]

ONLINK = r.RTNH_F_ONLINK


GATEWAY6 = Route.to(network("10.9.0.0/16"), via=ip("fd00::5"), oif=50)


LINKLOCAL = Route.to(network("169.254.1.1/32"), oif=50, scope=r.RT_SCOPE_LINK, protocol=99)


HOPS = (NextHop(ifindex=50, gateway=ip("10.0.0.2")), NextHop(ifindex=50, hops=4, gateway=ip("10.0.0.3")))

ROWS: tuple[Row, ...] = (
    (
        "addr",
        "veth",
        Addr.of(ip("10.0.0.1"), 24, 50).add(),
        "ip addr add 10.0.0.1/24 dev e0",
        "addrs",
        "0218000032000000080002000a000001080001000a0000010800080000000000",
    ),
    (
        "peer addr",
        "veth",
        Addr(family=AF_INET, prefixlen=32, index=50, local=ip("10.0.0.1"), address=ip("10.0.0.2"), label="e0:x").add(),
        "ip addr add 10.0.0.1 peer 10.0.0.2/32 dev e0 label e0:x",
        "addrs",
        "0220000032000000080002000a000001080001000a0000020900030065303a7800000000",
    ),
    (
        "addr6",
        "up",
        Addr.of(ip("fd00::1"), 64, 50, flags=a.IFA_F_NODAD | a.IFA_F_NOPREFIXROUTE).add(),
        "ip addr add fd00::1/64 dev e0 nodad noprefixroute",
        "addrs and routes",
        (
            "0a4000003200000014000200fd00000000000000000000000000000114000100fd0000000000000000000000000000010800"
            "080002020000"
        ),
    ),
    (
        "addr scope link",
        "veth",
        Addr.of(ip("169.254.1.1"), 32, 50, scope=a.RT_SCOPE_LINK).replace(),
        "ip addr replace 169.254.1.1/32 dev e0 scope link",
        "addrs",
        "022000fd3200000008000200a9fe010108000100a9fe01010800080000000000",
    ),
    (
        "addr del",
        "net",
        Addr.of(ip("10.0.0.1"), 24, 50).delete(),
        "ip addr del 10.0.0.1/24 dev e0",
        "routes",
        "0218000032000000080002000a000001080001000a0000010800080000000000",
    ),
    (
        "default onlink",
        "net",
        Route.to(network("0.0.0.0/0"), gateway=ip("169.254.1.1"), oif=50, flags=ONLINK).add(),
        "ip route add default via 169.254.1.1 dev e0 onlink",
        "routes",
        "02000000000300010400000008000f00fe00000008000500a9fe01010800040032000000",
    ),
    (
        "to link",
        "net",
        LINKLOCAL.add(),
        "ip route add 169.254.1.1 dev e0 scope link proto 99",
        "routes",
        "022000000063fd010000000008000f00fe00000008000100a9fe01010800040032000000",
    ),
    (
        "via inet6",
        "net",
        GATEWAY6.add(),
        "ip route add 10.9.0.0/16 via inet6 fd00::5 dev e0",
        "routes",
        (
            "02100000000300010000000008000f00fe000000080001000a090000160012000a00fd000000000000000000000000000005"
            "00000800040032000000"
        ),
    ),
    (
        "route6",
        "net",
        Route.to(network("fd01::/64"), gateway=ip("fd00::2"), oif=50, priority=77, table=100).add(),
        "ip route add fd01::/64 via fd00::2 dev e0 metric 77 table 100",
        "routes",
        (
            "0a400000000300010000000008000f006400000014000100fd01000000000000000000000000000014000500fd0000000000"
            "000000000000000000020800040032000000080006004d000000"
        ),
    ),
    (
        "metrics",
        "net",
        Route.to(network("10.7.0.0/16"), oif=50, prefsrc=ip("10.0.0.1"), metrics=Metrics(mtu=1300, advmss=1260)).add(),
        "ip route add 10.7.0.0/16 dev e0 scope global src 10.0.0.1 mtu 1300 advmss 1260",
        "routes",
        (
            "02100000000300010000000008000f00fe000000080001000a070000080007000a0000010800040032000000140008800800"
            "02001405000008000800ec040000"
        ),
    ),
    (
        "blackhole",
        "up",
        Route.to(network("10.244.0.0/16"), type=r.RTN_BLACKHOLE, protocol=99).replace(),
        "ip route replace blackhole 10.244.0.0/16 proto 99",
        "routes",
        "02100000006300060000000008000f00fe000000080001000af40000",
    ),
    (
        "unreachable6",
        "up",
        Route.to(network("fd02::/48"), type=r.RTN_UNREACHABLE).add(),
        "ip route add unreachable fd02::/48",
        "routes",
        "0a300000000300070000000008000f00fe00000014000100fd020000000000000000000000000000",
    ),
    (
        "multipath",
        "net",
        Route.to(network("10.6.0.0/16"), multipath=HOPS).add(),
        "ip route add 10.6.0.0/16 nexthop via 10.0.0.2 dev e0 nexthop via 10.0.0.3 dev e0 weight 5",
        "routes",
        (
            "02100000000300010000000008000f00fe000000080001000a060000240009001000000032000000080005000a0000021000"
            "000432000000080005000a000003"
        ),
    ),
    (
        "route del",
        "route",
        Route.to(network("169.254.1.1/32"), oif=50, scope=r.RT_SCOPE_NOWHERE, type=0, protocol=0).delete(),
        "ip route del 169.254.1.1 dev e0",
        "routes",
        "022000000000ff000000000008000f00fe00000008000100a9fe01010800040032000000",
    ),
)
