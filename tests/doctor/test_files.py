"""What the doctor reads, as a machine in trouble has it: files of the kernel, of CNI's folders and of the database."""

import sys
from collections.abc import Callable

import pytest

from podnet.testing.node import Node
from tests.doctor.conftest import APART, PEER, ask

pytestmark = pytest.mark.live

BOOT_ID = "/proc/sys/kernel/random/boot_id"
UPDATE = (
    "import sqlite3, sys\nwith sqlite3.connect('/var/lib/podnet/podnet.db') as database: database.execute(sys.argv[1])"
)


def set_aside(node: Node, path: str, content: str) -> None:
    """Have a file of the kernel's read otherwise on this node."""
    node.sh(f"echo '{content}' > /run/set-aside; mount --bind /run/set-aside {path}")


@pytest.mark.parametrize(("entries", "most", "severity"), [(1, 1, "broken"), (9, 10, "soon"), (7, 10, ""), (5, 0, "")])
def test_the_table_of_connections_fills(serving: Callable[..., Node], entries: int, most: int, severity: str) -> None:
    """Full, nearly, and not; a table without a bound is never."""
    node = serving()
    set_aside(node, "/proc/sys/net/netfilter/nf_conntrack_max", str(most))
    node.sh(f"echo {entries} > /run/count; mount --bind /run/count /proc/sys/net/netfilter/nf_conntrack_count")
    told = ask(node, "env")
    assert [finding["severity"] for finding in told.of("conntrack")] == [severity] * bool(severity)


def test_connections_are_counted_as_the_kernel_does(serving: Callable[..., Node]) -> None:
    """A pod's exchange is an entry: with room for a single one the table is full."""
    node = serving("ptp", "backend: vxlan")
    set_aside(node, "/proc/sys/net/netfilter/nf_conntrack_max", "1")
    node.exchange("red", "outside", "10.99.0.1")
    (found,) = ask(node, "env").of("conntrack")
    assert (found["severity"], "nf_conntrack_max = 1" in found["evidence"]) == ("broken", True)


@pytest.mark.parametrize(
    ("boot_id", "severity", "said"),
    [
        ("6f1c9e0e-0f0f-4c4c-8a8a-0123456789ab", "soon", "leases of another boot"),
        ("00000000-0000-0000-0000-000000000000", "broken", "has no id"),
        ("", "broken", "has no id"),
    ],
)
def test_the_boot_is_not_what_it_was(serving: Callable[..., Node], boot_id: str, severity: str, said: str) -> None:
    """Leases of another boot are void; without an id nobody knows."""
    node = serving()
    set_aside(node, BOOT_ID, boot_id)
    (found,) = ask(node, "env").of("clock")
    assert (found["severity"], said in found["what"]) == (severity, True)


def test_the_clock_has_gone_back(serving: Callable[..., Node]) -> None:
    """A lease is newer than it is; with WireGuard, whose handshakes carry the time, pods are cut off."""
    node = serving()
    node.stop()
    node.run(sys.executable, "-I", "-S", "-c", UPDATE, "UPDATE lease SET created = created + 86400")
    (found,) = ask(node).of("clock")
    assert found["severity"] == "soon"
    assert "gone back 86" in found["what"]
    settings = node.root / "etc/podnet/podnet.yaml"
    settings.write_text(f"{settings.read_text()}backend: wireguard\n")
    assert [finding["severity"] for finding in ask(node).of("clock")] == ["broken", "soon"]


@pytest.mark.parametrize(("pods", "severity"), [(11, ""), (12, "soon"), (13, "broken")])
def test_addresses_run_out(bare: Node, pods: int, severity: str) -> None:
    """A /28 has thirteen for pods: with the last but one it is told, with the last it is broken."""
    bare.configure()
    listed = bare.root / "etc/podnet/nodes.yaml"
    listed.write_text(listed.read_text().replace("10.244.1.0/24", "10.244.1.0/28"))
    bare.start()
    for number in range(pods):
        bare.attach(f"pod{number}")
    told = ask(bare)
    assert [finding["severity"] for finding in told.of("exhaustion")] == [severity] * bool(severity)
    if severity:
        assert f"13 usable, {pods} of pods" in told.of("exhaustion")[0]["evidence"]


def test_the_network_list_is_gone(serving: Callable[..., Node]) -> None:
    """Nobody puts it back while the daemon is away."""
    node = serving()
    node.stop()
    node.sh("rm /etc/cni/net.d/10-podnet.conflist")
    (found,) = ask(node).of("lists")
    assert (found["severity"], found["evidence"]) == ("broken", "/etc/cni/net.d/10-podnet.conflist does not exist")
    assert found["remedy"].startswith("systemctl start podnet")


def test_a_runtime_that_does_not_run_is_worth_a_note(serving: Callable[..., Node]) -> None:
    """As one that came with something else, and looks elsewhere."""
    node = serving()
    node.sh("""printf '[plugins.cri.cni]\\nbin_dir = "/usr/lib/none"\\n' > /etc/containerd/config.toml""")
    assert {finding["severity"] for finding in ask(node).of("lists")} == {"broken"}
    told = ask(node, *APART)
    assert {finding["severity"] for finding in told.of("lists")} == {"note"}
    assert told.status == 0


@pytest.mark.parametrize("plugin", ["podnet", "loopback"])
@pytest.mark.parametrize(
    ("harm", "said"), [("rm", "missing"), ("chmod 600", "not executable"), ("truncate -s0", "empty")]
)
def test_a_plugin_cannot_be_executed(serving: Callable[..., Node], plugin: str, harm: str, said: str) -> None:
    """The runtime, containerd, needs podnet's and `loopback`, each of them whole."""
    node = serving()
    node.stop()
    node.sh(f"{harm} /opt/cni/bin/{plugin}")
    (found,) = ask(node).of("lists")
    assert found["severity"] == "broken"
    assert f"plugin {plugin}" in found["what"]
    assert said in found["what"]


@pytest.mark.parametrize(
    ("address", "said"),
    [("10.244.1.1", "node n1's pods"), ("10.99.0.9", "the subnet of up0"), ("10.96.0.1", ""), ("192.0.2.10", "")],
)
def test_services_have_others_addresses(serving: Callable[..., Node], address: str, said: str) -> None:
    """Known by what kubelet tells each pod, whatever server is asked: those of pods, of the nodes' own subnet."""
    node = serving()
    told = ask(node, KUBERNETES_PORT=f"tcp://{address}:443")
    assert [said in finding["what"] for finding in told.of("overlap")] == [True] * bool(said)


def test_a_router_between_nodes_tells_a_narrower_way(bare: Node) -> None:
    """A note with what to write, which ends it."""
    far = "  - {name: n2, addresses: [10.98.0.2], pod-cidrs: [10.244.2.0/24]}\n"
    bare.configure(more="backend: vxlan", peers=far)
    bare.sh(
        "ip netns add far; ip -n outside link add down0 mtu 1400 type veth peer name up2 mtu 1400 netns far\n"
        "ip -n outside addr add 10.98.0.1/24 dev down0; ip -n outside link set down0 up\n"
        "ip -n far addr add 10.98.0.2/24 dev up2; ip -n far link set up2 up\n"
        "ip -n far route add default via 10.98.0.1\n"
        "ip netns exec outside sysctl -qw net.ipv4.ip_forward=1"
    )
    bare.start()
    (found,) = ask(bare).of("path_mtu")
    assert (found["severity"], "1400 bytes" in found["what"]) == ("note", True)
    assert "`mtu: 1350`" in found["remedy"]
    settings = bare.root / "etc/podnet/podnet.yaml"
    settings.write_text(f"{settings.read_text()}mtu: 1350\n")
    assert ask(bare).of("path_mtu") == []


def test_in_a_pod_the_machines_own_files_are_read(serving: Callable[..., Node]) -> None:
    """Below the root of who runs the container; what the container has at those paths is nothing."""
    node = serving()
    node.sh("mkdir -p /etc/sysctl.d; echo net.ipv4.ip_forward=0 > /etc/sysctl.d/99-x.conf")
    container = 'mount -t tmpfs none /etc/sysctl.d; exec "$@"'
    inside = ("sh", "-c", "unshare --mount --propagation private sh -c '" + container + '\' sh "$@"; exit $?', "sh")
    (found,) = ask(node, *inside, KUBERNETES_SERVICE_HOST="10.96.0.1").of("forwarding")
    assert "/etc/sysctl.d/99-x.conf:1" in found["evidence"]
    assert ask(node, *inside).of("forwarding") == []
    told = ask(node, "unshare", "--pid", "--fork", "--mount-proc", KUBERNETES_SERVICE_HOST="10.96.0.1")
    assert [finding["remedy"].partition(":")[0] for finding in told.of("place")] == ["hostPID"]


def test_peers_are_looked_up_from_all_over_a_long_list(bare: Node) -> None:
    """Of two hundred nodes some are asked, and the answer comes all the same."""
    peers = "".join(
        f"  - {{name: m{number}, addresses: [10.99.0.{number + 20}], pod-cidrs: [10.244.{number + 20}.0/24]}}\n"
        for number in range(200)
    )
    bare.configure(peers=PEER + peers)
    bare.start()
    told = ask(bare)
    assert [finding["severity"] for finding in told.findings] == ["note"]
    assert "cannot be told" in told.findings[0]["what"]
