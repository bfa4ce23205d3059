"""Host ports: which packets to this node reach a pod, from where, and whom the pod sees; and which are not touched."""

import errno
import json
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from podnet.testing.node import ADDRESSES, Node, Outcome
from podnet.testing.talk import asked, listener, mapped, port, refusal

pytestmark = pytest.mark.live

OUTSIDE = {4: "10.99.0.1", 6: "fd99::1"}
SECOND = {4: "10.99.0.12", 6: "fd99::12"}
SERVICE = {4: "10.96.0.1", 6: "fd96::1"}
BOTH = pytest.mark.parametrize("version", [4, 6])
PROTOCOL = pytest.mark.parametrize("protocol", ["tcp", "udp"])


def renewed(node: Node, name: str, *ports: dict[str, Any]) -> Outcome:
    """Attach the pod `name`, whose namespace is there, with other host ports than before."""
    assert node.cni("DEL", name).status == 0
    return node.cni("ADD", name, configuration=mapped(*ports))


def ports_of(node: Node, name: str) -> list[Any]:
    """Return the elements of a map of podnet's table as nft lists them."""
    return node.elements(name, "map")


class Ported(Node):
    """A node with pods: `red` has host port 8080, `blue` none, `green` those that a test gives it."""

    addresses: dict[str, list[str]]


@pytest.fixture(scope="module", params=["ptp", "bridge"])
def ported(request: pytest.FixtureRequest) -> Iterator[Ported]:
    """Give a node of either datapath, both families, with a second address of each from which it does not speak."""
    with ExitStack() as ends:
        node = Ported(ends)
        node.configure(request.param, (4, 6))
        node.start()
        node.run("ip", "addr", "add", f"{SECOND[4]}/24", "dev", "up0")
        node.run("ip", "addr", "add", f"{SECOND[6]}/64", "dev", "up0", "nodad", "preferred_lft", "0")
        given = [port(8080, 80, protocol) for protocol in ("tcp", "udp", "sctp")]
        red = node.cni("ADD", node.pod("red"), configuration=mapped(*given))
        node.addresses = {"red": red.addresses, "blue": node.cni("ADD", node.pod("blue")).addresses}
        node.pod("green")
        node.pod("spare")
        yield node


@BOTH
@PROTOCOL
def test_a_host_port_is_reached_from_everywhere(ported: Ported, protocol: str, version: int) -> None:
    """From outside and from a pod the pod sees who asks; the node asks with its own address; hairpin is turned round.

    127.0.0.1 leads there too, and the pod sees an address of the node that it can answer.
    """
    at = "red", 80
    ask = (ADDRESSES[version], 8080)
    assert asked(ported, protocol, "outside", *ask, at=at) == OUTSIDE[version]
    assert asked(ported, protocol, "outside", SECOND[version], 8080, at=at) == OUTSIDE[version]
    assert asked(ported, protocol, "blue", *ask, at=at) == ported.addresses["blue"][version == 6]
    assert asked(ported, protocol, "", *ask, at=at) == ADDRESSES[version]
    turned = asked(ported, protocol, "red", *ask, at=at)
    assert turned not in (*ported.addresses["red"], *ported.addresses["blue"]), "a pod drops its own address"
    if version == 4:
        seen = asked(ported, protocol, "", "127.0.0.1", 8080, at=at)
        assert not seen.startswith("127.")
        assert seen in str(ported.json("ip", "-j", "addr"))


def test_no_host_port_at_the_ipv6_loopback(ported: Ported) -> None:
    """[::1] is refused at once, as where nobody listens: the kernel has no way for it to a pod."""
    assert refusal(ported, "", "::1", 8080) == errno.ECONNREFUSED


def test_a_nodes_own_servers_are_not_in_the_way(ported: Ported) -> None:
    """At every other port the node answers itself, at [::1] also at the port that is a pod's elsewhere."""
    assert asked(ported, "tcp", "outside", ADDRESSES[4], 8081, at=("", 8081)) == OUTSIDE[4]
    assert asked(ported, "tcp", "", "127.0.0.1", 8081, at=("", 8081)) == "127.0.0.1"
    assert asked(ported, "tcp", "", "::1", 8080, at=("", 8080)) == "::1"


@BOTH
def test_a_port_of_one_address_is_that_addresss(ported: Ported, version: int) -> None:
    """With hostIP only that address leads to the pod; another of the node's does not, nor does 127.0.0.1."""
    given = renewed(ported, "green", port(8443, 443, ip=SECOND[version]))
    assert given.status == 0, given.stdout
    assert asked(ported, "tcp", "outside", SECOND[version], 8443, at=("green", 443)) == OUTSIDE[version]
    assert asked(ported, "tcp", "", SECOND[version], 8443, at=("green", 443))
    assert refusal(ported, "outside", ADDRESSES[version], 8443) == errno.ECONNREFUSED
    assert refusal(ported, "", "127.0.0.1", 8443) == errno.ECONNREFUSED
    assert refusal(ported, "outside", SECOND[10 - version], 8443) == errno.ECONNREFUSED


def test_a_port_of_the_nodes_loopback_is_seen_by_the_node_alone(ported: Ported) -> None:
    """HostIP 127.0.0.1 leads the node to the pod, and nobody outside."""
    assert renewed(ported, "green", port(8443, 443, ip="127.0.0.1")).status == 0
    assert asked(ported, "tcp", "", "127.0.0.1", 8443, at=("green", 443))
    assert refusal(ported, "outside", ADDRESSES[4], 8443) == errno.ECONNREFUSED


@pytest.mark.parametrize(("every", "version"), [("0.0.0.0", 4), ("::", 6)])  # noqa: S104 - a host port's
def test_every_address_of_one_family(ported: Ported, every: str, version: int) -> None:
    """0.0.0.0 and :: mean every address of their family, and none of the other."""
    assert renewed(ported, "green", port(8443, 443, ip=every)).status == 0
    for address in (ADDRESSES, SECOND):
        assert asked(ported, "tcp", "outside", address[version], 8443, at=("green", 443)) == OUTSIDE[version]
        assert refusal(ported, "outside", address[10 - version], 8443) == errno.ECONNREFUSED


def test_host_port_0_is_passed_over(ported: Ported) -> None:
    """An entry with hostPort 0, or without one, asks for nothing; the others are served."""
    before = ports_of(ported, "hostports4")
    given = renewed(ported, "green", port(0, 53), {"containerPort": 54, "protocol": "udp"}, port(8443, 443))
    assert given.status == 0, given.stdout
    assert [e for e in ports_of(ported, "hostports4") if e not in before] == [
        [{"concat": ["tcp", 8443]}, {"concat": [given.addresses[0], 443]}]
    ]
    assert asked(ported, "tcp", "outside", ADDRESSES[4], 8443, at=("green", 443)) == OUTSIDE[4]


@pytest.mark.parametrize("held", [None, "10.99.0.12", "0.0.0.0"])  # noqa: S104 - a host port's
@pytest.mark.parametrize("wanted", [None, "10.99.0.12", "0.0.0.0"])  # noqa: S104 - likewise
def test_a_port_that_is_taken_is_refused_with_the_holders_name(
    ported: Ported, held: str | None, wanted: str | None
) -> None:
    """Error 113 names pod, container and address; one address stands against every address; nothing is left of it."""
    args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0"
    assert ported.cni("DEL", "green").status == 0
    assert ported.cni("ADD", "green", configuration=mapped(port(8443, 443, ip=held)), CNI_ARGS=args).status == 0
    before = ported.elements("pods4"), ports_of(ported, "hostports4"), ports_of(ported, "hostips4")
    refused = ported.cni("ADD", "late", netns="spare", configuration=mapped(port(8443, 1, ip=wanted)))
    assert (refused.status, refused.json["code"]) == (1, 113)
    for word in ("8443/tcp", "shop/web-0", "container green (eth0)", ":443"):
        assert word in refused.json["msg"]
    assert (ported.elements("pods4"), ports_of(ported, "hostports4"), ports_of(ported, "hostips4")) == before
    for free in (port(8443, 1, "udp", wanted), port(8443, 1, ip="10.99.0.11" if held == "10.99.0.12" else "::1")):
        if held is None and free["protocol"] == "tcp":
            continue  # every address is taken: there is no free one
        given = ported.cni("ADD", "late", netns="spare", configuration=mapped(free))
        assert given.status == 0, given.stdout
        assert ported.cni("DEL", "late", netns="spare").status == 0


def test_a_port_is_free_at_once_after_del(ported: Ported) -> None:
    """DEL answered, another container has the port, and is reached by it."""
    assert renewed(ported, "green", port(8443, 443)).status == 0
    assert asked(ported, "tcp", "outside", ADDRESSES[4], 8443, at=("green", 443)) == OUTSIDE[4]
    assert ported.cni("DEL", "green").status == 0
    assert refusal(ported, "outside", ADDRESSES[4], 8443) == errno.ECONNREFUSED
    again = ported.cni("ADD", "other", netns="green", configuration=mapped(port(8443, 444)))
    assert again.status == 0, again.stdout
    assert asked(ported, "tcp", "outside", ADDRESSES[4], 8443, at=("green", 444)) == OUTSIDE[4]
    assert ported.cni("DEL", "other", netns="green").status == 0


@BOTH
@PROTOCOL
def test_other_machines_ports_are_theirs(ported: Ported, protocol: str, version: int) -> None:
    """What pods and node ask of an outside server at the number of a host port reaches that server."""
    for source in ("blue", "red", ""):
        assert asked(ported, protocol, source, OUTSIDE[version], 8080, at=("outside", 8080)) == ADDRESSES[version]


@BOTH
@pytest.mark.parametrize("priority", [-101, -99])
def test_a_services_port_is_the_services(ported: Ported, priority: int, version: int) -> None:
    """A service address that another table DNATs, before podnet's or after, leads where that table says.

    Also where that is the node's own server at the number of a host port.
    """
    ip = {4: "ip", 6: "ip6"}[version]
    blue = ported.addresses["blue"][version == 6]
    for target, at in ((f"[{blue}]:4080", ("blue", 4080)), (f"[{ADDRESSES[version]}]:8081", ("", 8081))):
        told = target if version == 6 else target.replace("[", "").replace("]", "")
        rule = f"{ip} daddr {SERVICE[version]} tcp dport 8080 dnat {ip} to {told}"
        ported.sh(
            "nft add table inet services;"
            + "".join(
                f"nft 'add chain inet services {hook} {{ type nat hook {hook} priority {priority}; }}';"
                f"nft add rule inet services {hook} '{rule}';"
                for hook in ("prerouting", "output")
            )
        )
        try:
            for source in ("red", "green", ""):
                if source == "green":
                    renewed(ported, "green")
                assert asked(ported, "tcp", source, SERVICE[version], 8080, at=at)
        finally:
            ported.run("nft", "delete", "table", "inet", "services")


def crc32c(data: bytes) -> int:
    """Return the checksum of SCTP (RFC 9260, appendix A)."""
    crc = 0xFFFFFFFF
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_an_sctp_packet_reaches_the_pod(ported: Ported) -> None:
    """An INIT from outside arrives at the pod's port its checksum right, also where no socket speaks SCTP."""
    chunk = struct.pack(">BBHIIHHI", 1, 0, 20, 7, 65536, 1, 1, 7)
    head = struct.pack(">HHI", 4000, 8080, 0)
    packet = head + struct.pack("<I", crc32c(head + bytes(4) + chunk)) + chunk
    with (
        ported.open_socket("red", socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_SCTP) as hears,
        ported.open_socket("outside", socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_SCTP) as speaks,
    ):
        speaks.sendto(packet, (ADDRESSES[4], 0))
        arrived, (source, _) = hears.recvfrom(1 << 16)
    sctp = arrived[20:]
    assert source == OUTSIDE[4]
    assert struct.unpack_from(">HH", sctp) == (4000, 80)
    assert sctp[12:] == chunk
    assert struct.unpack_from("<I", sctp, 8) == (crc32c(sctp[:8] + bytes(4) + chunk),)


@BOTH
def test_an_sctp_association_through_a_host_port(ported: Ported, version: int) -> None:
    """Sockets of SOCK_STREAM over SCTP talk through the host port."""
    family = {4: socket.AF_INET, 6: socket.AF_INET6}[version]
    try:
        server = ported.open_socket("red", family, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
    except OSError as error:
        pytest.skip(f"the kernel has no SCTP sockets (CONFIG_IP_SCTP): {error}")
    with server, ported.open_socket("outside", family, socket.SOCK_STREAM, socket.IPPROTO_SCTP) as asker:
        server.bind(({4: "0.0.0.0", 6: "::"}[version], 80))  # noqa: S104 - in a namespace
        server.listen()
        asker.connect((ADDRESSES[version], 8080))
        assert server.accept()[1][0] == OUTSIDE[version]


def test_nft_lists_what_was_asked_for(ported: Ported) -> None:
    """Maps hold one element per host port and family, SCTP among them, as nft itself reads them."""
    red = ported.addresses["red"]
    for version, address in ((4, red[0]), (6, red[1])):
        for protocol in ("tcp", "udp", "sctp"):
            wanted = [{"concat": [protocol, 8080]}, {"concat": [address, 80]}]
            assert json.dumps(wanted) in json.dumps(ports_of(ported, f"hostports{version}"))


def test_a_listener_on_the_node_does_not_get_what_a_pod_has(ported: Ported) -> None:
    """A server of the node at the same port, begun before or after, hears nothing: the pod does."""
    with listener(ported, "udp", "", "0.0.0.0", 8080) as own:  # noqa: S104 - in a namespace
        assert asked(ported, "udp", "outside", ADDRESSES[4], 8080, at=("red", 80)) == OUTSIDE[4]
        own.setblocking(False)
        with pytest.raises(BlockingIOError):
            own.recv(64)
