"""Reaping ends what is doomed and podnet's, with one message, and nothing else."""

import socket
import struct
from pathlib import Path

import pytest

from podnet.kernel.namespace import identity, is_network
from podnet.plan import GROUP_DOOMED
from podnet.testing.namespaces import NodeNamespace

pytestmark = pytest.mark.live

RTM_NEWLINK, RTM_DELLINK, RTMGRP_LINK = 16, 17, 1


def doom(name: str, alias: str) -> str:
    """Return the command that makes a veth pair whose end `name` is in the doomed group."""
    return (
        f"ip link add {name} type veth peer name {name}p;"
        f"ip link set {name} group {GROUP_DOOMED}; ip link set {name} alias {alias};"
    )


def test_only_doomed_links_of_podnet_are_ended(space: NodeNamespace) -> None:
    """A stranger in the doomed group is moved out and told of; links outside of it stay, whatever their alias."""
    space.sh(
        doom("one", "podnet:red:eth0") + doom("two", "podnet:blue:eth0") + doom("alien", "docker:x")
        + "ip link add live type veth peer name livep; ip link set live alias podnet:green:eth0;"
        + f"ip link add bare type veth peer name barep; ip link set bare group {GROUP_DOOMED}"
    )  # fmt: skip
    with space.inside():
        reaped = space.kernel.reap()
        assert set(reaped.links) == {"one", "two"}
        assert set(reaped.strangers) == {"alien", "bare"}
        left = space.sh("ip -o link")
        assert "one" not in left
        assert "two" not in left
        assert f"group {GROUP_DOOMED}" not in left
        assert all(name in left for name in ("alien", "bare", "live"))
        assert space.kernel.reap() == ((), ())


def test_an_ifb_is_reaped_with_the_link_that_leads_to_it(space: NodeNamespace) -> None:
    """Podnet's ifb in the doomed group ends with the others, a stranger's is moved out."""
    space.sh(
        doom("one", "podnet:red:eth0")
        + "".join(
            f"ip link add {name} type ifb; ip link set {name} group {GROUP_DOOMED}; ip link set {name} alias {alias};"
            for name, alias in (("ifb-one", "podnet:red:eth0"), ("ifb-alien", "somebody"))
        )
        + "tc qdisc add dev ifb-one root tbf rate 1mbit burst 2000b limit 2000b; tc qdisc add dev one ingress;"
        + "tc filter add dev one ingress protocol all u32 match u32 0 0 action mirred egress redirect dev ifb-one"
    )
    with space.inside():
        reaped = space.kernel.reap()
        assert set(reaped.links) == {"one", "ifb-one"}
        assert reaped.strangers == ("ifb-alien",)
        left = space.sh("ip -o link; tc qdisc")
        assert "ifb-one" not in left
        assert "ifb-alien" in left


def test_a_group_ends_in_one_go(space: NodeNamespace) -> None:
    """The kernel tells of the end of 30 links, peers too, in a row: nothing else happens between them."""
    space.sh("".join(doom(f"veth{number}", f"podnet:pod{number}:eth0") for number in range(30)))
    with space.inside():
        monitor = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    with monitor:
        monitor.bind((0, RTMGRP_LINK))
        monitor.setblocking(False)
        with space.inside():
            assert len(space.kernel.reap().links) == 30
        kinds = []
        try:
            while data := monitor.recv(1 << 16):
                kinds.append(struct.unpack_from("=IH", data)[1])
        except BlockingIOError:
            pass
    assert kinds.count(RTM_DELLINK) == 60
    first = kinds.index(RTM_DELLINK)
    assert kinds[first:] == [RTM_DELLINK] * 60


def test_a_reaped_links_index_is_not_remembered(space: NodeNamespace) -> None:
    """A link made by hand under a reaped link's name is a link of its own to later plans."""
    with space.inside():
        space.sh(doom("one", "podnet:red:eth0"))
        space.kernel.reap()
        space.sh("ip link add one type veth peer name onep")
        assert space.kernel.reap().links == ()
        assert "one" in space.sh("ip -o link")


def test_a_namespace_is_told_from_other_files(space: NodeNamespace) -> None:
    """Only a network namespace is one; its identity is the same by every path."""
    pod = space.pod(f"{space.name}-p")
    assert is_network(pod.descriptor)
    with Path(f"/run/netns/{pod.path}").open("rb") as other:
        assert identity(other.fileno()) == identity(pod.descriptor)
    for path in ("/proc/self/ns/mnt", "/dev/null", "/proc/self/status"):
        with Path(path).open("rb") as file:
            assert not is_network(file.fileno())
