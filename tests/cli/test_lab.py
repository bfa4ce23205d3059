"""`podnet lab cut` and `heal`: a name that nothing has is answered with those there are."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from podnet.lab import cuts, record
from podnet.lab.topology import topology

Run = Callable[..., Result]


@pytest.fixture
def _recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a lab recorded, of which nothing is there."""
    monkeypatch.setattr(record, "RUN", tmp_path)
    (tmp_path / "lab").mkdir()
    record.write(topology(nodes=3, pods=1, backend="bgp"), {}, ready=True)


def test_a_lab_names_what_can_be_cut() -> None:
    """Nodes' cables, and the router's legs: as many as there are LANs, and that to the outside."""
    assert cuts.links(topology(nodes=2, backend="bgp")) == {
        "n1": "the cable of n1",
        "n2": "the cable of n2",
        "lan": "the router's leg on lan",
        "lan2": "the router's leg on lan2",
        "out": "the router's link to the outside",
    }
    assert list(cuts.links(topology(nodes=1))) == ["n1", "lan", "out"]


@pytest.mark.usefixtures("_recorded")
@pytest.mark.parametrize("verb", ["cut", "heal"])
def test_what_cannot_be_cut_is_answered_with_the_nearest(podnet: Run, verb: str) -> None:
    """Or with all; a pod is none."""
    near = podnet("lab", verb, "lam2")
    assert (near.exit_code, near.stderr) == (1, "podnet: lab 'lab' has nothing 'lam2' to cut: did you mean lan2?\n")
    far = podnet("lab", verb, "everything")
    assert far.stderr == (
        "podnet: lab 'lab' has nothing 'everything' to cut: there are n1, n2, n3, lan, lan2, out\n"
    )  # fmt: skip


@pytest.mark.usefixtures("_recorded")
def test_a_cut_needs_a_lab_and_a_name(podnet: Run) -> None:
    """One that is not up is named with those that are."""
    assert "no lab 'other' is up (labs here: lab)" in podnet("lab", "cut", "--name", "other", "n1").stderr
    assert podnet("lab", "cut").exit_code == 2
