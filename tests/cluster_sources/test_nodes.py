"""nodes.yaml: a list that contradicts itself nowhere, or an error that says where it does."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from podnet.cluster.nodes import own_node, parse_nodes, read_nodes
from podnet.errors import DecodingFailure, InvalidConfiguration, NodeNotReady
from podnet.model import Node
from podnet.wireguard.key import to_text

PATH = "/etc/podnet/nodes.yaml"


def written(nodes: list[Node]) -> str:
    """Return `nodes` as YAML."""
    entries = [
        {"name": n.name, "addresses": [str(a) for a in n.addresses], "pod-cidrs": [str(c) for c in n.pod_cidrs]}
        for n in nodes
    ]
    return str(yaml.safe_dump({"nodes": entries}))


def test_a_list_as_people_write_it() -> None:
    """Both families, in block and flow style, in the file's order."""
    text = """
nodes:
  - name: n2
    addresses: [10.99.0.12, "fd99::12"]
    pod-cidrs: [10.244.2.0/24, "fd00:10:244:2::/64"]
  - name: n1
    addresses:
    - 10.99.0.11
"""
    assert parse_nodes(text, PATH) == (
        Node(
            "n2",
            (ip_address("10.99.0.12"), ip_address("fd99::12")),
            (ip_network("10.244.2.0/24"), ip_network("fd00:10:244:2::/64")),
        ),
        Node("n1", (ip_address("10.99.0.11"),), ()),
    )


def test_a_reflector_as_people_write_it() -> None:
    """`route-reflector: true`; left out it is none, and a value that is neither is refused."""
    text = "nodes:\n- {name: a, addresses: [10.0.0.1], route-reflector: true}\n- {name: b, addresses: [10.0.0.2]}\n"
    assert [node.reflector for node in parse_nodes(text, PATH)] == [True, False]
    with pytest.raises(InvalidConfiguration, match=r":2: nodes\[0\].route-reflector .* Expected `bool`, got `int`"):
        parse_nodes(text.replace("true", "1"), PATH)
    with pytest.raises(InvalidConfiguration, match=r"reflector is not known; did you mean route-reflector\?"):
        parse_nodes(text.replace("route-reflector", "reflector"), PATH)


def test_a_key_as_people_write_it() -> None:
    """Base64 needs no quotes, and one that is none, or another's, is refused with where the right one is."""
    key = to_text(bytes(range(32)))
    text = f"nodes:\n- {{name: a, addresses: [10.0.0.1]}}\n- name: b\n  addresses: [10.0.0.2]\n  wireguard: {key}\n"
    assert [node.wireguard for node in parse_nodes(text, PATH)] == ["", key]
    with pytest.raises(InvalidConfiguration, match=r":5: nodes\[1\].wireguard is not a key.*`podnet node key`"):
        parse_nodes(text.replace(key, key[1:]), PATH)
    with pytest.raises(InvalidConfiguration, match=r":8: nodes\[2\].wireguard of c is b's key already"):
        parse_nodes(f"{text}- name: c\n  addresses: [10.0.0.3]\n  wireguard: {key}\n", PATH)


@given(data=st.data())
def test_every_sound_cluster_is_read_as_written(data: st.DataObject, clusters: st.SearchStrategy[list[Node]]) -> None:
    """Writing a cluster down and reading it gives the same nodes in the same order."""
    nodes = data.draw(clusters)
    assert parse_nodes(written(nodes), PATH, (ip_network("10.96.0.0/11"), ip_network("fd00::/16"))) == tuple(nodes)


networks = st.builds(
    lambda number, length: ip_network((number << 24, length), strict=False), st.integers(1, 12), st.integers(8, 12)
) | st.builds(
    lambda number, length: ip_network(f"fd00:{number:x}::/{length}", strict=False),
    st.integers(0, 9),
    st.integers(48, 52),
)


@given(st.lists(networks, min_size=2, max_size=6))
def test_overlaps_are_found_as_by_comparing_all_pairs(cidrs: list[IPv4Network | IPv6Network]) -> None:
    """The list is refused exactly when some two CIDRs of any two nodes overlap."""
    nodes = [Node(f"n{i}", (ip_address(f"192.0.2.{i + 1}"),), (cidr,)) for i, cidr in enumerate(cidrs)]
    overlap = any(a.version == b.version and a.overlaps(b) for a, b in combinations(cidrs, 2))
    if overlap:
        with pytest.raises(InvalidConfiguration, match=r"nodes\[\d\]\.pod-cidrs\[0\] .* overlaps .*; move one"):
            parse_nodes(written(nodes), PATH)
    else:
        assert parse_nodes(written(nodes), PATH) == tuple(nodes)


@given(networks, networks)
def test_outsiders_are_found_as_by_subnet_of(
    cidr: IPv4Network | IPv6Network, cluster: IPv4Network | IPv6Network
) -> None:
    """A pod CIDR must be a subnet of one of the cluster's."""
    assume(ip_address("192.0.2.1") not in cidr)
    text = written([Node("n1", (ip_address("192.0.2.1"),), (cidr,))])
    if cidr.version == cluster.version and cidr.subnet_of(cluster):  # type: ignore[arg-type] # one family
        assert parse_nodes(text, PATH, (cluster,))[0].pod_cidrs == (cidr,)
    else:
        with pytest.raises(InvalidConfiguration, match="is outside the cluster-cidrs"):
            parse_nodes(text, PATH, (cluster,))


A = "- {name: a, addresses: [10.0.0.1], pod-cidrs: [10.1.0.0/24]}\n"


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        (A + "- {name: a, addresses: [10.0.0.2]}", ":3: nodes[1].name a is the name of nodes[0] already; rename one"),
        (A + "- {name: b, addresses: [10.0.0.1]}", ":3: nodes[1].addresses[0] 10.0.0.1 is a's address already"),
        (
            A + "- {name: b, addresses: [10.0.0.2], pod-cidrs: [10.1.0.128/25]}",
            ":3: nodes[1].pod-cidrs[0] 10.1.0.128/25 of b overlaps 10.1.0.0/24 of a; move one",
        ),
        (
            A + "- {name: b, addresses: [10.1.0.77]}",
            ":3: nodes[1].addresses[0] 10.1.0.77 of b lies in a's pod CIDR 10.1.0.0/24",
        ),
        (
            "- {name: a, addresses: [10.1.0.0], pod-cidrs: [10.1.0.0/24]}",
            ":2: nodes[0].addresses[0] 10.1.0.0 of a lies in a's pod CIDR 10.1.0.0/24",
        ),
        ("- {addresses: [10.0.0.1]}", ":2: nodes[0] is not what it should be: Object missing required field `name`"),
        ("- {name: a b, addresses: [10.0.0.1]}", ":2: nodes[0].name 'a b' is not a name"),
        ("- {name: a}", ":2: nodes[0] a has no addresses"),
        ("- {name: a, addresses: [10.0.0.256]}", ":2: nodes[0].addresses[0] '10.0.0.256' is not an IP address"),
        ("- {name: a, addresses: [10.0.0.1, 10.0.0.2]}", "[1] 10.0.0.2 is the second IPv4 address of a; keep one"),
        ("- {name: a, addresses: [127.0.0.1]}", "127.0.0.1 cannot be reached from other nodes"),
        ("- {name: a, addresses: ['fe80::1']}", "fe80::1 cannot be reached from other nodes"),
        ("- {name: a, addresses: ['::']}", ":: cannot be reached from other nodes"),
        ("- {name: a, addresses: [224.0.0.1]}", "224.0.0.1 cannot be reached from other nodes"),
        ("- {name: a, addresses: [10.0.0.1], pod-cidrs: [10.1.0.0/31]}", "prefix length outside 8 to 30"),
        ("- {name: a, addresses: [10.0.0.1], pod-cidrs: [8.0.0.0/7]}", "prefix length outside 8 to 30"),
        ("- {name: a, addresses: [10.0.0.1], pod-cidrs: ['fd00::/47']}", "prefix length outside 48 to 126"),
        ("- {name: a, addresses: [10.0.0.1], pod-cidrs: ['fd00::/127']}", "prefix length outside 48 to 126"),
        ("- {name: a, addresses: [10.0.0.1], pod-cidrs: [239.0.0.0/24]}", "is not unicast space for pods"),
        ("- {name: a, addresses: [10.0.0.1], pod-cidr: []}", "nodes[0].pod-cidr is not known; did you mean pod-cidrs?"),
        ("- name: a\n  addresses:\n  - 10.0.0.1\n  - 7", ":5: nodes[0].addresses[1] is not what it should be"),
    ],
)
def test_a_contradiction_is_named_with_its_place(entries: str, complaint: str) -> None:
    """What cannot be meant is refused with the line, the entry and the remedy."""
    with pytest.raises(InvalidConfiguration) as caught:
        parse_nodes(f"nodes:\n{entries}\n", PATH)
    assert caught.value.msg.startswith(PATH)
    assert complaint in caught.value.msg


@pytest.mark.parametrize("text", ["", "nodes: []", "{}"])
def test_an_empty_list_is_a_list(text: str) -> None:
    """A cluster without nodes is no error of the file."""
    assert parse_nodes(text, PATH) == ()


def test_this_node_must_be_listed() -> None:
    """A node that is missing, or has nothing to give its pods, is told what to do."""
    nodes = parse_nodes(f"nodes:\n{A}- {{name: b, addresses: [10.0.0.2]}}\n", PATH)
    assert own_node(nodes, "a") is nodes[0]
    with pytest.raises(NodeNotReady, match=r"called c and .* \(it has: a, b\); add it to nodes.yaml, or set `node`"):
        own_node(nodes, "c")
    with pytest.raises(NodeNotReady, match="it has: none"):
        own_node((), "c")
    with pytest.raises(NodeNotReady, match="node b has no pod-cidrs"):
        own_node(nodes, "b")


def test_files(tmp_path: Path) -> None:
    """A file is read, and a missing or broken one is named."""
    path = tmp_path / "nodes.yaml"
    with pytest.raises(NodeNotReady, match=r"nodes\.yaml: no such file; list the cluster's nodes"):
        read_nodes(str(path))
    path.write_text(f"nodes:\n{A}", encoding="utf-8")
    assert [node.name for node in read_nodes(str(path))] == ["a"]
    with pytest.raises(InvalidConfiguration, match="outside the cluster-cidrs"):
        read_nodes(str(path), (ip_network("172.16.0.0/12"),))
    path.write_text(f"nodes:\n{A}- {{name: b", encoding="utf-8")
    with pytest.raises(DecodingFailure, match=r"nodes\.yaml:4: not YAML"):
        read_nodes(str(path))
