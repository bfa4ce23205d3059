"""Links that tunnel, podnet's and others': what kind each is, its port, and whether it is up."""

from collections.abc import Iterator

from podnet.diagnosis.tunnel_port import Device
from podnet.kernel.wireguard import read as read_wireguard
from podnet.netlink.rtnl import Link
from podnet.netlink.rtnl import Vxlan as VxlanOptions
from podnet.netlink.rtnl.link import IFF_UP
from podnet.plan.objects import WIREGUARD


def device(message: Link, port: int, *, own: bool) -> Iterator[Device]:
    """Yield a tunnel's device; podnet's own has its `port`, or is made anew."""
    kind = (message.linkinfo.kind if message.linkinfo else None) or ""
    data = message.linkinfo.data if message.linkinfo else None
    name, up = message.ifname or "", bool(message.flags & IFF_UP)
    if own and kind in {WIREGUARD, "tun"}:
        yield Device(name, "wireguard", port, up, own)
    elif kind == WIREGUARD and (found := read_wireguard(name, kind)) is not None:
        yield Device(name, "wireguard", found.listen_port or 0, up, own)
    elif kind == "vxlan" and isinstance(data, VxlanOptions):
        yield Device(name, "vxlan", data.port or 0, up, own, data.id or 0)
