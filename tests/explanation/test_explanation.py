"""`podnet explain` of a container, of a configuration file and of the node's own settings; what is missing is named."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from podnet import datapath
from podnet.daemon.explanation import explain_configuration, explain_container, first_lease
from podnet.errors import InvalidConfiguration, UnknownContainer, UnsupportedField
from podnet.kernel.facts import node_facts
from podnet.model import Network
from podnet.plan import explain
from podnet.store import Store
from podnet.testing.values import FACTS, a_range

pytestmark = pytest.mark.live


@pytest.fixture
def inside(node: Any, tmp_path: Path) -> Iterator[Any]:
    """Be in the namespace of the node, whose files say ptp and both families, with a database of the test's own."""
    node.configure("uplink: up0", (4, 6))
    node.paths = node.paths._replace(database=str(tmp_path / "podnet.db"))
    with node.inside():
        yield node


def commands(lines: list[Any]) -> str:
    """Return the commands alone, one a line."""
    return "\n".join(line.command for line in lines)


def test_the_nodes_own_settings_need_no_document(inside: Any) -> None:
    """Without a configuration file it is the first pod of the node's network, and the routes to other nodes."""
    told = explain_configuration(inside.paths, None)
    node, pod = commands(told.node), commands(told.pod)
    assert "ip route add 10.244.2.0/24 via 10.99.0.12 dev up0 proto 112" in node
    assert "ip -6 route add fd00:10:244:2::/64 via fd99::12 dev up0 proto 112" in node
    assert "ip -n pod addr add 10.244.1.2/32 dev eth0" in pod
    assert "ip -n pod addr add fd00:10:244:1::2/128 dev eth0 nodad" in pod
    assert "podnet:CONTAINER:eth0" in pod


def test_it_is_the_plan_that_the_engine_would_carry_out(inside: Any) -> None:
    """The lines are those of `node_plan` and `attach` over the same values."""
    told = explain_configuration(inside.paths, None, container="red")
    network = inside.network
    facts = node_facts("n1", uplink="up0", addresses=FACTS.addresses)
    assert told.pod == explain(datapath.attach(network, facts, first_lease(network, "red")), "pod")
    own_part = explain(datapath.node_plan([network], facts))
    assert told.node[: len(own_part)] == own_part  # after it come the ways to the other node


def test_a_documents_keys_are_seen_in_the_commands(inside: Any) -> None:
    """What a network configuration says of datapath, bridge, MTU, ranges and routes is in the lines."""
    document = {
        "cniVersion": "1.0.0",
        "name": "other",
        "type": "podnet",
        "datapath": "bridge",
        "bridge": "cni7",
        "mtu": 1400,
        "ipam": {
            "type": "podnet",
            "ranges": [[{"subnet": "10.7.0.0/16", "rangeStart": "10.7.0.9", "gateway": "10.7.0.1"}]],
            "routes": [{"dst": "10.0.0.0/8"}],
        },
    }
    told = explain_configuration(inside.paths, json.dumps(document).encode())
    node, pod = commands(told.node), commands(told.pod)
    assert "ip link add cni7 mtu 1400" in node
    assert "ip addr add 10.7.0.1/16 dev cni7" in node
    assert "master cni7" in pod
    assert "ip -n pod addr add 10.7.0.9/16 dev eth0" in pod
    assert "ip -n pod route add 10.0.0.0/8 via 10.7.0.1 dev eth0 onlink" in pod
    assert "route add default" not in pod


def test_a_document_that_is_wrong_is_refused(inside: Any) -> None:
    """An unknown key of a configuration is an error that names it, as it is for ADD."""
    document = b'{"cniVersion": "1.0.0", "name": "x", "type": "podnet", "datapth": "ptp"}'
    with pytest.raises(UnsupportedField, match=r"datapth.*datapath"):
        explain_configuration(inside.paths, document)


def test_a_node_without_ranges_is_told_where_they_come_from(inside: Any) -> None:
    """With no pod CIDR for the node and none in the configuration, both remedies are named."""
    settings = Path(inside.paths.config)
    settings.write_text(settings.read_text().replace("node: n1", "node: n9"))
    with pytest.raises(InvalidConfiguration, match=r"node n9 with pod-cidrs in .*nodes\.yaml, or give ipam\.ranges"):
        explain_configuration(inside.paths, None)
    with pytest.raises(InvalidConfiguration, match=r"ipam\.ranges"):
        explain_configuration(inside.paths, b'{"cniVersion": "1.0.0", "name": "x", "type": "podnet"}')


def test_a_container_is_explained_from_its_lease(inside: Any) -> None:
    """Addresses, link and namespace are the lease's own; the beginning of the id is enough."""
    lease = inside.lease("4f2vjg3container", netns="/proc/7/ns/net")
    told = explain_container(inside.paths, "4f2vjg")
    pod = commands(told.pod)
    assert lease.link in pod
    assert f"nsenter --net=/proc/7/ns/net ip addr add {lease.addresses[0].address}/32 dev eth0" in pod
    assert f"ipam: {lease.addresses[0].address} is leased to container 4f2vjg3container" in {
        line.reason for line in told.pod
    }
    assert "nft 'add table inet podnet'" in commands(told.node)


def test_every_interface_of_a_container_is_explained(inside: Any) -> None:
    """A container with two attachments has the lines of both, and the node's part once."""
    links = [inside.lease("two", ifname).link for ifname in ("eth0", "net1")]
    told = explain_container(inside.paths, "two")
    assert [line.command.split()[3] for line in told.pod if line.command.startswith("ip link add")] == links
    assert commands(told.node).count("add table inet podnet") == 1


def test_a_container_without_a_lease_is_unknown(inside: Any) -> None:
    """Who has no lease here is told what needs none."""
    inside.lease("somebody")
    with pytest.raises(UnknownContainer, match=r"container nobody has no live lease.*--conf FILE"):
        explain_container(inside.paths, "nobody")


def test_a_released_container_is_unknown(inside: Any) -> None:
    """After DEL there is nothing to explain."""
    lease = inside.lease("gone")
    with Store.open(Path(inside.paths.database), lease.boot_id, 2000.0) as store:
        store.close(store.cut([lease.attachment], 2000.0), 2001.0)
    with pytest.raises(UnknownContainer, match="gone"):
        explain_container(inside.paths, "gone")


def test_explaining_changes_nothing(inside: Any) -> None:
    """Kernel and database are as before."""
    inside.lease("red")
    before, rows = inside.namespace.state(), Path(inside.paths.database).read_bytes()
    explain_container(inside.paths, "red")
    explain_configuration(inside.paths, None)
    assert inside.namespace.state() == before
    assert Path(inside.paths.database).read_bytes() == rows


@pytest.mark.parametrize(("first", "expected"), [(1, "10.244.1.2"), (5, "10.244.1.5")])
def test_the_first_lease_is_not_the_gateways(first: int, expected: str) -> None:
    """The first address of the range is the first pod's, unless the gateway has it."""
    pool = a_range("10.244.1.0/24")
    shifted = msgspec.structs.replace(pool, first=pool.subnet[first])
    lease = first_lease(Network(name="n", ranges=((shifted,),)), "red")
    assert [str(a.address) for a in lease.addresses] == [expected]
