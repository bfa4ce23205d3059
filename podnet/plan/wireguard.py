"""WireGuard devices and peers of a plan as what is said of them to the kernel or a program, and back.  Pure.

Apart from the other encoders since a private key is needed, which no plan has: the edge reads it from its file.
"""

from podnet.netlink.generic.wireguard import (
    WGPEER_F_REMOVE_ME,
    WGPEER_F_REPLACE_ALLOWEDIPS,
    Device,
    Endpoint,
    Peer,
    allowed,
    networks,
)
from podnet.plan.objects import Place, WireGuard, WireGuardPeer
from podnet.plan.plan import Object, Verb
from podnet.wireguard.key import KEY_BYTES, from_text, public_key, to_text

NO_KEY = bytes(KEY_BYTES)
"""What takes a device's key away (linux/wireguard.h, WGDEVICE_A_PRIVATE_KEY)."""


def told(thing: WireGuard | WireGuardPeer, verb: Verb, private_key: bytes = NO_KEY) -> Device:
    """Return what brings `thing` about, or takes it away; `private_key` is what is in the file that it names."""
    if isinstance(thing, WireGuard):
        gone = verb == "delete"
        return Device(
            ifname=thing.dev, private_key=NO_KEY if gone else private_key, listen_port=0 if gone else thing.port
        )  # fmt: skip
    key = from_text(thing.public_key)
    if verb == "delete":
        return Device(ifname=thing.dev, peers=(Peer(public_key=key, flags=WGPEER_F_REMOVE_ME),))
    peer = Peer(
        public_key=key,
        flags=WGPEER_F_REPLACE_ALLOWEDIPS,
        endpoint=None if thing.endpoint is None else Endpoint(thing.endpoint, thing.port),
        allowed_ips=allowed(thing.allowed_ips),
    )
    return Device(ifname=thing.dev, peers=(peer,))


def shown(device: Device, dev: str, at: Place) -> list[Object]:
    """Return what `device`, the link `dev`, is and who its peers are; in which file its key is cannot be seen."""
    own = device.public_key or (public_key(device.private_key) if device.private_key else b"")
    found: list[Object] = [
        WireGuard(at=at, dev=dev, private_key="", public_key=to_text(own), port=device.listen_port or 0)
    ]
    found += [
        WireGuardPeer(
            at=at,
            dev=dev,
            public_key=to_text(peer.public_key or b""),
            endpoint=peer.endpoint.address if peer.endpoint else None,
            port=peer.endpoint.port if peer.endpoint else 0,
            allowed_ips=networks(peer.allowed_ips or ()),
        )
        for peer in device.peers or ()
    ]
    return found
