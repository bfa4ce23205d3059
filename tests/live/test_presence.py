"""podnet's files in the CNI folders: what somebody deletes or overwrites there is put back, and told."""

from collections.abc import Callable
from pathlib import Path

import pytest

from podnet.testing.node import Node
from podnet.testing.waiting import eventually

pytestmark = pytest.mark.live

BIN, CONF = "opt/cni/bin", "etc/cni/net.d"
FILES = (f"{BIN}/podnet", f"{BIN}/loopback", f"{CONF}/10-podnet.conflist")


def contents(node: Node) -> dict[str, tuple[bytes, int]]:
    """Return what podnet has in the folders: bytes and mode."""
    return {name: ((node.root / name).read_bytes(), (node.root / name).stat().st_mode) for name in FILES}


def harms(path: Path) -> dict[str, Callable[[], object]]:
    """Return what may be done to a file by somebody who tidies up."""
    beside = path.with_name(".theirs")
    return {
        "deleted": path.unlink,
        "overwritten": lambda: path.write_bytes(b"theirs"),
        "renamed over": lambda: (beside.write_bytes(b"{}"), beside.rename(path)),
        "made unreadable": lambda: path.chmod(0),
    }


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("harm", harms(Path("/file")))
def test_a_file_that_is_harmed_is_put_back(node: Node, name: str, harm: str) -> None:
    """Whole, with its mode; one line says which and what was found."""
    if (name, harm) in {(FILES[1], "overwritten"), (FILES[1], "renamed over")}:
        return  # a loopback plugin that somebody brings is theirs: see the next test
    before = contents(node)
    assert node.daemon is not None
    logged = len(node.daemon.log)
    harms(node.root / name)[harm]()
    told = node.daemon.wait_log(f"drift: /{name}: expected podnet's, found ")
    assert told.split("found ")[1].startswith("none" if harm == "deleted" else "another content or mode")
    assert contents(node) == before
    assert len([line for line in node.daemon.log[logged:] if "drift:" in line]) == 1


def test_a_loopback_plugin_that_somebody_brings_stays(node: Node) -> None:
    """Podnet's stands in where there is none."""
    loopback = node.root / FILES[1]
    loopback.write_bytes(b"theirs")
    (node.root / FILES[0]).unlink()
    assert node.daemon is not None
    node.daemon.wait_log(f"drift: /{FILES[0]}")
    assert loopback.read_bytes() == b"theirs"


def test_folders_that_are_removed_come_back_with_what_was_in_them(node: Node) -> None:
    """`rm -rf` of both."""
    before = contents(node)
    node.sh("rm -rf /opt/cni /etc/cni/net.d")
    eventually(lambda: all((node.root / name).exists() for name in FILES), "the files are there")
    eventually(lambda: contents(node) == before, "as they were")


def test_a_rival_is_told_when_it_comes(node: Node) -> None:
    """A configuration that sorts before podnet's is another's: it is left, and named with the remedy."""
    node.sh("echo '{}' > /etc/cni/net.d/05-rival.conflist")
    assert node.daemon is not None
    assert "sorts before 10-podnet.conflist" in node.daemon.wait_log("/etc/cni/net.d/05-rival.conflist")
    assert (node.root / CONF / "05-rival.conflist").read_text() == "{}\n"
