"""The UDP port of a tunnel: while somebody else has it, the tunnel's device cannot be set up."""

from collections.abc import Iterator, Sequence

import msgspec

from podnet.diagnosis.finding import Finding

CHECK = "tunnel_port"


class Device(msgspec.Struct, frozen=True, gc=False):
    """A tunnel's device of `kind` "vxlan" or "wireguard": podnet's `own` or another's; `vni` 0 where it has none."""

    name: str
    kind: str
    port: int
    up: bool
    own: bool
    vni: int = 0


class Listener(msgspec.Struct, frozen=True, gc=False):
    """A UDP socket: the local `address` and `port`, and the `program` that has it, "" where none is seen."""

    address: str
    port: int
    program: str


def tunnel_port(
    backend: str, port: int, vni: int, devices: Sequence[Device], listeners: Sequence[Listener]
) -> Iterator[Finding]:
    """Yield who has the `port` that this node's tunnel takes, where podnet's device has it not.

    `backend` is podnet.yaml's key, "vxlan" or "wireguard".
    """
    others = [device for device in devices if not device.own and device.kind == backend and device.port == port]
    free = f"write another port into podnet.yaml of every node, `{backend}: {{port: …}}`"
    for device in others:
        if vni and device.vni == vni:
            what = f"{device.name}, which is not podnet's, has this cluster's VXLAN identifier and port"
            remedy = f"ip link del {device.name}, or write another into podnet.yaml of every node, `vxlan: {{vni: …}}`"
            yield Finding(
                CHECK, "broken", what, f"ip -d link show {device.name}: vxlan id {vni} dstport {port}", remedy
            )
            return
    if any(device.own and device.up for device in devices):
        return
    for device in others:
        if device.up:
            what = f"UDP port {port} is {device.name}'s, another's device: pods of other nodes are not reached"
            evidence = f"ip -d link show {device.name}: port {port}"
            yield Finding(CHECK, "broken", what, evidence, f"ip link del {device.name}, or {free}")
    if others:
        return
    for listener in listeners:
        if listener.port == port:
            holder = listener.program or "a socket of no process that is seen"
            what = f"UDP port {port} is taken by {holder}: podnet has no tunnel, other nodes' pods are not reached"
            remedy = f"end it (ss -lunp sport = :{port}), or {free}"
            yield Finding(CHECK, "broken", what, f"/proc/net/udp: {listener.address} port {port}", remedy)
            return
