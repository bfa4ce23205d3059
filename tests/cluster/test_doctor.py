"""`kubectl podnet doctor` on a real cluster: nothing is broken there, and what is made to be is told by its node."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from podnet.testing.node import REPOSITORY
from podnet.testing.waiting import PATIENCE
from tests.cluster.cluster import Cluster
from tests.cluster.configuration import PAIRS, on
from tests.cluster.node import Node
from tests.cluster.workload import Workload

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300), on(PAIRS[0], PAIRS[3])]

RUN = "from podnet.kubectl import main; main()"


def doctor(cluster: Cluster, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run `kubectl podnet doctor` as an administrator does, with kubectl from where the cluster's programs are."""
    command = [sys.executable, "-c", RUN, f"--kubeconfig={cluster.control.kubeconfig}", "doctor", *words]
    environment = [f"PATH={cluster.programs}:/usr/sbin:/usr/bin:/sbin:/bin", f"PYTHONPATH={REPOSITORY}"]
    return subprocess.run(
        cluster.machine.enter("env", *environment, *command),
        text=True, capture_output=True, check=False, timeout=4 * PATIENCE,
    )  # fmt: skip


def of_each(told: str) -> dict[str, list[str]]:
    """Return the lines that begin a finding, by node: those with its severity and what it is."""
    found: dict[str, list[str]] = {}
    for line in told.splitlines():
        if line.startswith("## "):
            found[line.removeprefix("## ")] = []
        elif line.startswith(("broken ", "soon ", "note ")):
            found[list(found)[-1]].append(line)
    return found


@contextmanager
def deaf(node: Node) -> Iterator[None]:
    """Have what arrives by the node's uplink not be forwarded while the block runs; podnet has no hand in that."""
    node.host.sh("sysctl -qw net.ipv4.conf.eth0.forwarding=0")
    try:
        yield
    finally:
        node.host.sh("sysctl -qw net.ipv4.conf.eth0.forwarding=1")


def test_nothing_is_broken_on_any_node(cluster: Cluster, workload: Workload) -> None:
    """Nor soon will be, nor is anything out of sight of the daemon's container; each node says so under its name."""
    assert workload.web
    done = doctor(cluster)
    assert of_each(done.stdout) == {node.name: [] for node in cluster.nodes}, done.stdout
    assert done.stdout.count("Nothing found by ") == len(cluster.nodes)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_node_with_a_trouble_tells_it_and_no_other(cluster: Cluster, workload: Workload) -> None:
    """With its remedy, and by the exit status; asked alone it says the same, another says that nothing is found."""
    assert workload.web
    first, other = cluster.nodes[:2]
    with deaf(first):
        done = doctor(cluster)
        told = of_each(done.stdout)
        assert [line.partition(":")[0] for line in told.pop(first.name)] == ["broken  forwarding"], done.stdout
        assert not any(told.values())
        assert "sysctl -w net.ipv4.conf.eth0.forwarding=1" in done.stdout
        assert done.returncode == 1
        assert list(of_each(doctor(cluster, first.name).stdout)) == [first.name]
        assert doctor(cluster, other.name).returncode == 0


def test_the_runtimes_own_files_are_seen_from_the_container(cluster: Cluster, workload: Workload) -> None:
    """A list that containerd takes before podnet's is told with the file's name on the node."""
    assert workload.web
    node = cluster.nodes[0]
    rival = "/etc/cni/net.d/05-rival.conf"
    node.host.sh(f"""printf '{{"cniVersion":"1.0.0","name":"rival","type":"bridge"}}' > {rival}""")
    try:
        done = doctor(cluster, node.name)
    finally:
        node.host.sh(f"rm {rival}")
    assert [line.partition(":")[0] for line in of_each(done.stdout)[node.name]] == ["broken  lists"], done.stdout
    assert f"containerd takes {rival} in place of /etc/cni/net.d/10-podnet.conflist" in done.stdout
