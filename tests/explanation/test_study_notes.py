"""The study notes' operations, each by the command of `podnet explain` that does it on a bridge node.

The notes build by hand what podnet builds: a bridge with an address, a veth pair from it into a pod's namespace, a
route in the pod and MASQUERADE.  Two of podnet's messages do more than one of the notes' lines.
"""

import json
import re
import subprocess
from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from podnet.daemon.explanation import Explanation, explain_container
from podnet.model import Lease

pytestmark = pytest.mark.live

POD_LINK = "eth0"


class Built(NamedTuple):
    """A bridge node with one leased pod, explained but not yet built."""

    node: Any
    pod: str
    lease: Lease
    explanation: Explanation

    def show(self, command: str, at: str = "node") -> Any:
        """Return the JSON that `command` prints in the node's namespace or in the pod's."""
        name = self.node.namespace.name if at == "node" else self.pod
        argv = ["nsenter", f"--net=/run/netns/{name}", *command.split()]
        return json.loads(subprocess.run(argv, text=True, capture_output=True, check=True).stdout or "[]")

    def link(self, name: str, at: str = "node") -> dict[str, Any]:
        """Return the link `name` as `ip -j -d` has it, empty where there is none."""
        return next((link for link in self.show("ip -j -d addr", at) if link["ifname"] == name), {})

    @property
    def version(self) -> int:
        """The IP version of the pod's address."""
        return self.lease.addresses[0].address.version

    @property
    def gateway(self) -> str:
        """The bridge's address."""
        return str(self.lease.addresses[0].gateway)

    @property
    def masquerade(self) -> list[Any]:
        """What `nft` lists: the postrouting rules that masquerade by source, and the sources."""
        listed = self.show("nft -j list ruleset")["nftables"]
        rules = [o["rule"] for o in listed if o.get("rule", {}).get("chain") == "postrouting"]
        sources = [o["set"].get("elem") for o in listed if o.get("set", {}).get("name") == f"masquerade{self.version}"]
        looked_up = f"@masquerade{self.version}"
        return [sources for rule in rules if looked_up in str(rule["expr"]) and "'masquerade'" in str(rule["expr"])]


def addresses(link: dict[str, Any]) -> list[str]:
    """Return ADDRESS/PREFIX of a link that `ip -j addr` shows."""
    return [f"{a['local']}/{a['prefixlen']}" for a in link.get("addr_info", ())]


class Note(NamedTuple):
    """One operation of the notes: podnet's command for it, what must have been done before, what is seen after."""

    operation: str
    part: str
    command: str
    after: tuple[str, ...]
    seen: Callable[[Built], bool]


NOTES = (
    Note(
        "bridge added",
        "node",
        r"ip link add br0 .*type bridge.*",
        (),
        lambda built: built.link("br0").get("linkinfo", {}).get("info_kind") == "bridge",
    ),
    Note(
        "bridge up",
        "node",
        r"ip link set br0 .*up",
        ("bridge added",),
        lambda built: "UP" in built.link("br0").get("flags", ()),
    ),
    Note(
        "bridge address",
        "node",
        r"ip addr add {gateway}/{prefixlen} dev br0.*",
        ("bridge up",),
        lambda built: f"{built.gateway}/{built.lease.addresses[0].prefixlen}" in addresses(built.link("br0")),
    ),
    Note(
        "veth pair",
        "pod",
        r"ip link add {link} .*type veth peer name eth0 .*",
        (),
        lambda built: built.link(built.lease.link).get("linkinfo", {}).get("info_kind") == "veth",
    ),
    Note(
        "namespace",
        "pod",
        r"ip link add {link} .* peer name eth0 .*netns {pod}",
        ("veth pair",),
        lambda built: bool(built.link(POD_LINK, "pod")) and not built.link(POD_LINK),
    ),
    Note(
        "pod address",
        "pod",
        r"ip -n {pod} addr add {address}/{prefixlen} dev eth0.*",
        ("namespace",),
        lambda built: str(built.lease.addresses[0].address) in str(addresses(built.link(POD_LINK, "pod"))),
    ),
    Note(
        "pod link up",
        "pod",
        r"ip -n {pod} link set eth0 up",
        ("namespace",),
        lambda built: "UP" in built.link(POD_LINK, "pod").get("flags", ()),
    ),
    Note(
        "host end up",
        "pod",
        r"ip link set {link} .*up",
        ("veth pair",),
        lambda built: "UP" in built.link(built.lease.link).get("flags", ()),
    ),
    Note(
        "master br0",
        "pod",
        r"ip link add {link} .*master br0 .*",
        ("veth pair", "namespace"),
        lambda built: built.link(built.lease.link).get("master") == "br0",
    ),
    Note(
        "route in the pod",
        "pod",
        r"ip -n {pod}( -6)? route add default via {gateway} dev eth0.*",
        ("master br0", "pod address", "pod link up", "host end up"),
        lambda built: (
            [r.get("gateway") for r in built.show(f"ip -j -{built.version} route show default", "pod")]
            == [built.gateway]
        ),
    ),
    Note(
        "MASQUERADE",
        "node",
        r"nft 'add rule inet podnet postrouting {ip} saddr @masquerade{version} .*masquerade.*'",
        ("bridge address",),
        lambda built: bool(built.masquerade),
    ),
    Note(
        "RANGE of MASQUERADE",
        "node",
        r"nft 'add element inet podnet masquerade{version} {{ {subnet} }}'",
        ("MASQUERADE",),
        lambda built: "'len': " in str(built.masquerade),
    ),
)


@pytest.fixture(scope="module", params=[4, 6], ids=["IPv4", "IPv6"])
def built(request: pytest.FixtureRequest, new_node: Callable[[], Any]) -> Built:
    """Give a bridge node, its pod's namespace and lease, and what `podnet explain CONTAINER` says of them."""
    node = new_node()
    node.configure("datapath: bridge", (request.param,))
    pod = f"red-{uuid4().hex[:8]}"
    node.namespace.pod(pod)
    lease = node.lease("red", netns=pod)
    with node.inside():
        return Built(node, pod, lease, explain_container(node.paths, "red"))


def position(note: Note, built: Built) -> int:
    """Return where in its part of the explanation the one command stands that does the note's operation."""
    leased = built.lease.addresses[0]
    words = {
        "link": built.lease.link,
        "pod": built.pod,
        "gateway": built.gateway,
        "address": leased.address,
        "prefixlen": leased.prefixlen,
        "version": built.version,
        "ip": {4: "ip", 6: "ip6"}[built.version],
        "subnet": {4: "10.244.1.0/24", 6: "fd00:10:244:1::/64"}[built.version],
    }
    lines = built.explanation.node if note.part == "node" else built.explanation.pod
    pattern = note.command.format(**words)
    (found,) = [number for number, line in enumerate(lines) if re.fullmatch(pattern, line.command)]
    return found


@pytest.mark.parametrize("note", NOTES, ids=lambda note: note.operation)
def test_one_command_does_the_operation_after_what_it_needs(built: Built, note: Note) -> None:
    """Exactly one command of its part does each operation; those it stands on come before, or with it."""
    own = position(note, built)
    for before in (other for other in NOTES if other.operation in note.after):
        assert before.part == note.part
        assert position(before, built) <= own


def test_within_each_part_the_notes_order_holds(built: Built) -> None:
    """Bridge, up, address; veth pair, namespace, master, route: each part is in the notes' order."""
    for order in (
        ("bridge added", "bridge up", "bridge address", "MASQUERADE", "RANGE of MASQUERADE"),
        ("veth pair", "namespace", "master br0", "route in the pod"),
        ("veth pair", "namespace", "pod address", "route in the pod"),
        ("veth pair", "namespace", "pod link up", "route in the pod"),
    ):
        notes = {note.operation: note for note in NOTES}
        places = [position(notes[operation], built) for operation in order]
        assert places == sorted(places), order


def test_every_line_has_its_reason(built: Built) -> None:
    """No command of either part comes without a reason."""
    assert built.explanation.node
    assert built.explanation.pod
    assert [line for line in (*built.explanation.node, *built.explanation.pod) if not line.reason.strip()] == []


def test_nothing_of_the_pods_part_is_in_the_nodes(built: Built) -> None:
    """The node's part does not speak of the pod: it stands before any pod comes."""
    text = "\n".join(line.command for line in built.explanation.node)
    assert built.lease.link not in text
    assert built.pod not in text
    assert {line.at for line in built.explanation.node} == {"node"}


def test_the_text_run_by_sh_has_every_effect(new_node: Callable[[], Any], built: Built) -> None:
    """In a fresh namespace no effect is seen; sh runs the node's part, then the pod's, and each note's is."""
    fresh = new_node()
    pod = f"red-{uuid4().hex[:8]}"
    fresh.namespace.pod(pod)
    target = built._replace(node=fresh, pod=pod)
    assert [note.operation for note in NOTES if note.seen(target)] == []
    commands = [line.command.replace(built.pod, pod) for line in (*built.explanation.node, *built.explanation.pod)]
    fresh.namespace.sh("\n".join(commands))
    assert [note.operation for note in NOTES if not note.seen(target)] == []
