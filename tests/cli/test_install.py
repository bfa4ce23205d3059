"""`podnet install` and `podnet uninstall` as commands: what they print, and what an error leaves."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from podnet.cli.install import tell
from podnet.installation import Did

Run = Callable[..., Result]


@pytest.fixture
def install(podnet: Run, tmp_path: Path) -> Callable[[], Result]:
    """Give a function that installs below a folder of the test's."""
    (tmp_path / "podnet.yaml").touch()
    words = ["--config", f"{tmp_path}/podnet.yaml", "--cni-conf-dir", f"{tmp_path}/conf", "--cni-bin-dir"]
    return lambda: podnet("install", "--no-systemd", *words, f"{tmp_path}/bin")


def test_each_step_is_a_line(install: Callable[[], Result], tmp_path: Path) -> None:
    """What was done and where, one line each; a second time it was there already."""
    first = install()
    assert first.exit_code == 0, first.output
    assert f"installed     {tmp_path}/bin/podnet\n" in first.output
    assert f"next          {tmp_path}/nodes.yaml: list the nodes" in first.output
    assert f"there already {tmp_path}/bin/loopback\n" in install().output
    assert list((tmp_path / "conf").iterdir()) == [], "the list is the daemon's to install"


def test_settings_that_are_wrong_come_first(install: Callable[[], Result], tmp_path: Path) -> None:
    """An error in podnet.yaml is told before anything is installed."""
    (tmp_path / "podnet.yaml").write_text("datapth: ptp\n", encoding="utf-8")
    result = install()
    assert result.exit_code == 1
    assert "datapth" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["podnet.yaml"]


def test_a_remark_stands_behind_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    """A step with a remark and one without."""
    tell([Did("left", "/etc/podnet", "yours"), Did("removed", "/opt/cni/bin/podnet")])
    assert capsys.readouterr().out == "left          /etc/podnet: yours\nremoved       /opt/cni/bin/podnet\n"
