"""Where Kubernetes' programs are kept, of what they are built, and which Go is new enough."""

import json
from pathlib import Path

import pytest

from tests.cluster.building import CACHE, ETCD, KUBERNETES, SOURCES, build, cache, folder, go_mod
from tests.cluster.configuration import PAIRS
from tests.cluster.go import LEAST, WHEEL, find_go, release
from tests.cluster.lan import Port, node_port


def program(path: Path, says: str) -> Path:
    """Make a program that says something."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)
    return path


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its own variable comes first, then the user's folder of caches."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(CACHE, raising=False)
    assert cache() == tmp_path / "podnet/cluster"
    monkeypatch.setenv(CACHE, str(tmp_path / "own"))
    assert cache() == tmp_path / "own"


def test_what_is_built_is_not_built_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The folder of these versions is taken as it is: no Go is looked for."""
    monkeypatch.setenv("PATH", "")
    made = folder(tmp_path)
    assert KUBERNETES in made.name
    assert ETCD in made.name
    made.mkdir()
    assert build(tmp_path) == made
    assert list(tmp_path.iterdir()) == [made]


@pytest.mark.parametrize(
    ("says", "found"), [("go1.24.0", (1, 24)), ("go1.27rc1", (1, 27)), ("devel +4f", (0, 0)), ("", (0, 0))]
)
def test_releases_of_go(tmp_path: Path, says: str, found: tuple[int, int]) -> None:
    """A Go is asked what it is; one that does not say so counts as none."""
    assert release(str(program(tmp_path / "go", says))) == found
    assert release(None) == (0, 0)


def test_a_go_that_is_too_old_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the one on PATH is too old, the one that the wheel left in the cache is taken."""
    old = program(tmp_path / "bin/go", "go1.19.8")
    new = program(tmp_path / "cache" / WHEEL.replace("==", "-") / "go/bin/go", f"go{LEAST[0]}.{LEAST[1]}.3")
    monkeypatch.setenv("PATH", f"{old.parent}:/usr/bin:/bin")
    assert find_go(tmp_path / "cache") == str(new)


def test_replaced_modules_are_those_that_are_published() -> None:
    """What Kubernetes has in its own repository is built from the modules that belong to its version."""
    (kubernetes, _) = SOURCES
    lines = go_mod(kubernetes, ["k8s.io/api"]).splitlines()
    assert f"require k8s.io/kubernetes v{KUBERNETES}" in lines
    assert f"replace k8s.io/api => k8s.io/api v0.{KUBERNETES.removeprefix('1.')}" in lines


def test_every_pair_of_backend_datapath_and_families_is_tried() -> None:
    """For each two of them every combination is in some configuration, and so are both modes of kube-proxy."""
    for one, other in (("backend", "datapath"), ("backend", "families"), ("datapath", "families")):
        found = {(getattr(c, one), getattr(c, other)) for c in PAIRS}
        assert len(found) == len({a for a, _ in found}) * len({b for _, b in found}), json.dumps(
            sorted(map(str, found))
        )
    assert {c.proxy for c in PAIRS} == {"nftables", "iptables"}
    assert {c.nodes for c in PAIRS} == {2, 3}


def test_the_last_node_is_alone_in_the_second_subnet() -> None:
    """With two subnets there are both kinds of ways where there are three nodes; with one all share it."""
    assert [node_port(n, 3, 2).subnet for n in (1, 2, 3)] == [0, 0, 1]
    assert [node_port(n, 3, 1).subnet for n in (1, 2, 3)] == [0, 0, 0]
    assert node_port(3, 3, 2).router == Port(1, 1)
