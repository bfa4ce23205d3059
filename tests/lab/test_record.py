"""What is written down of a lab, and what is said where nothing is."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podnet.errors import IOFailure
from podnet.lab import record
from podnet.lab.topology import topology


@pytest.fixture(autouse=True)
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have the folder of all labs in a temporary one."""
    monkeypatch.setattr(record, "RUN", tmp_path)
    return tmp_path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    nodes=st.integers(1, 9),
    pods=st.integers(0, 9),
    datapath=st.sampled_from(["ptp", "bridge"]),
    families=st.sampled_from([(4,), (6,), (4, 6)]),
)
def test_a_lab_is_read_as_it_was_written(
    nodes: int, pods: int, datapath: str, families: tuple[int, ...], run_folder: Path
) -> None:
    """The record gives the same topology back, and pods with the addresses that they were given."""
    lab = topology(nodes=nodes, pods=pods, datapath=datapath, families=families)  # type: ignore[arg-type] # of the two
    (run_folder / "lab").mkdir(exist_ok=True)
    given_: dict[str, tuple[str, ...]] = {
        f"n1-{pod}": (f"10.244.1.{index + 2}",) for index, pod in enumerate(lab.nodes[0].pods)
    }
    record.write(lab, given_, ready=True)
    read = record.read("lab")
    assert read.topology == lab
    assert {name: tuple(map(str, held)) for name, held in read.pod_addresses.items()} == given_
    assert len(read.endpoints) == len(given_) + nodes + 1
    assert [p.name for p in (run_folder / "lab").iterdir()] == ["lab.json"], "no temporary file is left"


def test_a_lab_half_up_is_no_lab(run_folder: Path) -> None:
    """Before `up` has finished the record is not used: the error names `down`."""
    (run_folder / "mine").mkdir()
    record.write(topology(name="mine"), {}, ready=False)
    with pytest.raises(IOFailure, match="podnet lab down --name mine"):
        record.read("mine")


def test_no_lab_names_those_that_are_there(run_folder: Path) -> None:
    """Whoever asks for a lab that is not there is told which are."""
    with pytest.raises(IOFailure, match=r"labs here: none.*`podnet lab up`"):
        record.read("lab")
    (run_folder / "other").mkdir()
    with pytest.raises(IOFailure, match=r"labs here: other.*`podnet lab up --name mine`"):
        record.read("mine")


def test_a_daemon_that_does_not_run_has_no_id(run_folder: Path) -> None:
    """No file, no number in it, and a process that is not in the node's namespace are all no daemon."""
    lab = topology()
    assert record.pid(lab, "n1") is None
    (run_folder / "lab/n1").mkdir(parents=True)
    for content in ("", "x", "1", "999999999"):
        (run_folder / "lab/n1/daemon.pid").write_text(content)
        assert record.pid(lab, "n1") is None
