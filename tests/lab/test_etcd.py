"""Real labs whose nodes hear of each other by a real etcd: they claim their pods' addresses there themselves."""

from typing import TYPE_CHECKING

import pytest

from podnet.lab.topology import BACKENDS
from tests.lab.bgp import restart, wait

if TYPE_CHECKING:
    from tests.lab.conftest import Machine

pytestmark = pytest.mark.live


@pytest.mark.parametrize("families", [[], ["--dual-stack"]], ids=["IPv4", "dual"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_pods_of_all_nodes_reach_each_other(machine: "Machine", backend: str, families: list[str]) -> None:
    """With every backend all probes are as expected, with a node that joins too; and all goes again."""
    before = machine.snapshot()
    machine.podnet("lab", "up", "--source", "etcd", "--backend", backend, "--nodes", "3", "--pods", "1", *families)
    assert machine.wrong() == []
    machine.podnet("lab", "add-node", "--pods", "1")
    assert machine.wrong() == []
    machine.podnet("lab", "down")
    assert machine.snapshot() == before


def test_nodes_have_the_prefixes_that_they_claimed(machine: "Machine") -> None:
    """Each node's pods are in its own prefix of the cluster's range, which no other has and etcd has as its claim."""
    machine.podnet("lab", "up", "--source", "etcd", "--nodes", "4", "--pods", "2")
    status = machine.json("lab", "status")
    claims = {node["name"]: node["pod_cidrs"] for node in status}
    assert len({cidr for cidrs in claims.values() for cidr in cidrs}) == 4
    for node in status:
        (cidr,) = node["pod_cidrs"]
        assert all(address.startswith(cidr.rpartition(".")[0]) for (address,) in node["pods"].values())
        told = machine.on(
            "router",
            f"ETCDCTL_API=3 etcdctl --endpoints http://10.99.0.1:2379 get --prefix /podnet/podnet/claims/{cidr}",
        )
        assert f'"{node["name"]}"' in told


def test_etcd_is_away_and_nothing_changes(machine: "Machine") -> None:
    """Killed: pods go on, a daemon that starts anew serves its node, with the prefix that it had."""
    machine.podnet("lab", "up", "--source", "etcd", "--nodes", "3", "--pods", "1")
    before = machine.json("lab", "status")
    machine.run("kill", "-9", machine.run("cat", "/run/podnet-lab/lab/etcd/etcd.pid").stdout.strip())
    assert machine.wrong() == []
    restart(machine, "n2")
    wait(machine, "n2", "grep -q serving /run/daemon.log")
    assert machine.wrong() == []
    after = machine.json("lab", "status")
    assert [node["pod_cidrs"] for node in after] == [node["pod_cidrs"] for node in before]
