"""Rivals: what a runtime would take instead of podnet's list, asked before that list is there."""

from collections.abc import Callable
from pathlib import Path

import pytest

from podnet.inspection import Finding, rivals
from podnet.inspection.files import Root
from tests.inspection.conftest import PODNET, Put

RIVAL = '{"cniVersion": "1.0.0", "name": "rival", "plugins": [{"type": "bridge"}]}'
NAME = "10-podnet.conflist"


@pytest.fixture
def found(root: Path, put: Put) -> Callable[[], tuple[Finding, ...]]:
    """Return the rivals on the machine, where the shim is installed and the list is not."""
    put("/opt/cni/bin/podnet")
    put("/opt/cni/bin/bridge")
    return lambda: rivals(Root(str(root)), NAME, PODNET.encode())


def test_an_empty_folder_has_none(found: Callable[[], tuple[Finding, ...]]) -> None:
    """With no other configuration, or one that sorts after podnet's, podnet's would be taken."""
    assert found() == ()


def test_one_that_sorts_after_is_none(found: Callable[[], tuple[Finding, ...]], put: Put) -> None:
    """The first is taken, and that is podnet's."""
    put("/etc/cni/net.d/20-rival.conflist", RIVAL)
    assert found() == ()


@pytest.mark.parametrize("runtime", ["", "/usr/bin/containerd", "/etc/crio/crio.conf"])
def test_one_that_sorts_before_is_told(found: Callable[[], tuple[Finding, ...]], put: Put, runtime: str) -> None:
    """The file is named, what takes it and why, and the remedy."""
    put("/etc/cni/net.d/05-rival.conflist", RIVAL)
    if runtime:
        put(runtime, "" if runtime.endswith("conf") else None)
    (rival,) = found()
    assert rival.place == "/etc/cni/net.d/05-rival.conflist"
    assert "takes it before /etc/cni/net.d/10-podnet.conflist" in rival.what
    assert "move it out of the folder" in rival.remedy


def test_a_broken_one_hides_podnets_from_containerd_only(found: Callable[[], tuple[Finding, ...]], put: Put) -> None:
    """Containerd fails with the first file that does not load, cri-o passes over it."""
    put("/etc/cni/net.d/05-broken.conflist", "{")
    put("/etc/crio/crio.conf", "")
    assert found() == ()
    put("/usr/bin/containerd")
    (rival,) = found()
    assert "containerd takes none at all" in rival.what
    assert "05-broken.conflist" in rival.what


def test_another_network_by_name(found: Callable[[], tuple[Finding, ...]], put: Put) -> None:
    """A cri-o that is told a network's name takes that, wherever it sorts."""
    put("/etc/crio/crio.conf", '[crio.network]\ncni_default_network = "rival"\n')
    put("/etc/cni/net.d/20-rival.conflist", RIVAL)
    (rival,) = found()
    assert rival.place == "/etc/cni/net.d/20-rival.conflist"
    assert "name the network of /etc/cni/net.d/10-podnet.conflist" in rival.remedy


def test_another_folder(found: Callable[[], tuple[Finding, ...]], put: Put) -> None:
    """A runtime that reads elsewhere is told with the option that installs there."""
    put("/etc/crio/crio.conf", '[crio.network]\nnetwork_dir = "/etc/other"\n')
    (rival,) = found()
    assert "cri-o reads /etc/other, not /etc/cni/net.d" in rival.what
    assert rival.remedy == "install with --cni-conf-dir /etc/other"
