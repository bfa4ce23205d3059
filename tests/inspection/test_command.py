"""`podnet inspect`: the table, the JSON object, the exit status."""

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from podnet.cli.inspect import command

Put = Callable[..., Path]


def test_json_holds_the_whole_report(installed: Put, root: Path) -> None:
    """One JSON object with folders, runtimes and findings; status 0 when nothing is an error."""
    installed("/etc/containerd/config.toml", "version = 2\n")
    result = CliRunner().invoke(command, ["--root", str(root), "--json"])
    report = json.loads(result.stdout)
    assert result.exit_code == 0
    assert report["sound"] is True
    assert report["findings"] == []
    (runtime,) = report["runtimes"]
    assert runtime["choice"]["path"] == "/etc/cni/net.d/10-podnet.conflist"
    assert report["bin_folders"][0]["names"] == ["podnet"]
    assert [p["path"] for p in runtime["plugins"]] == ["/opt/cni/bin/podnet"]


def test_the_table_names_the_winner_and_why(installed: Put, root: Path) -> None:
    """The tables hold the file that wins, the reason, the plugin's state; brackets in names are text, not markup."""
    installed("/etc/crio/crio.conf", "")
    installed("/etc/cni/net.d/00-broken[red].conf", "{")
    result = CliRunner().invoke(command, ["--root", str(root)], env={"COLUMNS": "300"})
    assert result.exit_code == 1
    assert "10-podnet.conflist <- cri-o" in result.stdout
    assert "after passing over 00-broken[red].conf" in result.stdout
    assert "executable" in result.stdout
    assert "not JSON" in result.stdout


def test_a_sound_machine_says_so(installed: Put, root: Path) -> None:
    """Without findings there is a sentence instead of an empty table."""
    installed("/etc/crio/crio.conf", "")
    result = CliRunner().invoke(command, ["--root", str(root)])
    assert result.exit_code == 0
    assert "Nothing to mend." in result.stdout
    assert "Findings" not in result.stdout


def test_netavark_is_shown_without_a_choice(installed: Put, root: Path) -> None:
    """A podman that reads no CNI configuration has its settings shown and no configuration chosen."""
    installed("/usr/bin/podman")
    installed("/usr/bin/kubelet")
    result = CliRunner().invoke(command, ["--root", str(root)], env={"COLUMNS": "300"})
    assert "netavark" in result.stdout
    assert "found by" in result.stdout


def test_an_unreadable_root_is_refused() -> None:
    """A root that does not exist is a usage error."""
    assert CliRunner().invoke(command, ["--root", "/no/such/root"]).exit_code == 2
