"""nodes.yaml, watched with the kernel's own inotify: every way in which files change, without polling."""

import os
import select
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from podnet.cluster import NodesWatch
from podnet.errors import DecodingFailure, InvalidConfiguration, IOFailure, NodeNotReady

PATIENCE = 20


def listing(*names: str) -> str:
    """Return a list of nodes of these names."""
    return "nodes:\n" + "".join(
        f"- {{name: {name}, addresses: [10.0.0.{i}], pod-cidrs: [10.1.{i}.0/24]}}\n" for i, name in enumerate(names, 1)
    )


def names(watch: NodesWatch) -> list[str]:
    """Return the names of the nodes that the watch holds."""
    return [node.name for node in watch.nodes]


def wait_until(watch: NodesWatch, condition: Callable[[], bool]) -> list[bool]:
    """Wait on the descriptor as the daemon does until `condition` holds; return what changed() said each time."""
    limit = time.monotonic() + PATIENCE
    told = []
    while not condition():
        readable, _, _ = select.select([watch], [], [], max(0.0, limit - time.monotonic()))
        assert readable, f"nothing happened any more; nodes {names(watch)}, error {watch.error}"
        told.append(watch.changed())
    return told


def wait_for_names(watch: NodesWatch, wanted: list[str]) -> None:
    """Wait until the nodes are those."""
    wait_until(watch, lambda: names(watch) == wanted)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a list with node a, in a folder of its own."""
    folder = tmp_path / "podnet"
    folder.mkdir()
    path = folder / "nodes.yaml"
    path.write_text(listing("a"), encoding="utf-8")
    return path


@pytest.fixture
def watch(path: Path) -> Iterator[NodesWatch]:
    """Return a watch of that list."""
    watch = NodesWatch(str(path))
    yield watch
    watch.close()


def test_the_first_reading_needs_no_event(watch: NodesWatch) -> None:
    """The nodes are there at once, and nothing is pending."""
    assert names(watch) == ["a"]
    assert watch.error is None
    assert not watch.changed()
    assert select.select([watch], [], [], 0)[0] == []


def test_a_file_written_in_place(watch: NodesWatch, path: Path) -> None:
    """What a shell's redirection does is seen, with one change told."""
    path.write_text(listing("a", "b"), encoding="utf-8")
    assert wait_until(watch, lambda: names(watch) == ["a", "b"])[-1]
    assert not watch.changed()


def test_a_file_renamed_over(watch: NodesWatch, path: Path) -> None:
    """What editors do is seen, and again: the second rename as well as the first."""
    for wanted in (["a", "b"], ["c"], ["a"]):
        temporary = path.with_suffix(".swp")
        temporary.write_text(listing(*wanted), encoding="utf-8")
        temporary.rename(path)
        wait_for_names(watch, wanted)


def test_a_half_written_file_keeps_the_last_good_nodes(watch: NodesWatch, path: Path) -> None:
    """While the file is not whole the nodes stay and the error is told; when it is, they are the new ones."""
    whole = listing("a", "b")
    with path.open("w", encoding="utf-8") as file:
        file.write(whole[: len(whole) - 20])
    told = wait_until(watch, lambda: watch.error is not None)
    assert told[-1]
    assert names(watch) == ["a"]
    assert isinstance(watch.error, DecodingFailure)
    assert str(path) in watch.error.msg
    with path.open("a", encoding="utf-8") as file:
        file.write(whole[len(whole) - 20 :])
    wait_until(watch, lambda: names(watch) == ["a", "b"])
    assert watch.error is None


def test_an_invalid_file_keeps_the_last_good_nodes(watch: NodesWatch, path: Path) -> None:
    """A contradiction, bytes that are no text, and the file's end are told, and the nodes stay."""
    path.write_text(listing("a", "a"), encoding="utf-8")
    wait_until(watch, lambda: isinstance(watch.error, InvalidConfiguration))
    path.write_bytes(b"nodes: \xff")
    wait_until(watch, lambda: isinstance(watch.error, DecodingFailure))
    path.unlink()
    wait_until(watch, lambda: isinstance(watch.error, NodeNotReady))
    assert names(watch) == ["a"]
    path.mkdir()
    wait_until(watch, lambda: isinstance(watch.error, IOFailure))
    path.rmdir()
    path.write_text(listing("a"), encoding="utf-8")
    wait_until(watch, lambda: watch.error is None)
    assert names(watch) == ["a"]


def test_the_same_content_is_no_change(watch: NodesWatch, path: Path) -> None:
    """A file touched, rewritten with the same bytes, or written to beside is an event but no change."""
    path.touch()
    path.write_text(listing("a"), encoding="utf-8")
    (path.parent / "other.yaml").write_text("x", encoding="utf-8")
    before = watch.nodes
    assert select.select([watch], [], [], PATIENCE)[0]
    assert not watch.changed()
    assert watch.nodes is before


def test_a_folder_replaced(watch: NodesWatch, path: Path, tmp_path: Path) -> None:
    """Where the whole folder is renamed away and another put in its place, the new one is watched."""
    path.parent.rename(tmp_path / "old")
    wait_until(watch, lambda: watch.error is not None)
    new = tmp_path / "new"
    new.mkdir()
    (new / path.name).write_text(listing("n"), encoding="utf-8")
    new.rename(path.parent)
    wait_until(watch, lambda: names(watch) == ["n"])
    path.write_text(listing("n", "m"), encoding="utf-8")
    wait_until(watch, lambda: names(watch) == ["n", "m"])


def test_a_folder_that_comes_later(tmp_path: Path) -> None:
    """A list whose folders do not exist yet is found when they come, however fast."""
    path = tmp_path / "x" / "y" / "nodes.yaml"
    watch = NodesWatch(str(path))
    assert isinstance(watch.error, NodeNotReady)
    assert watch.nodes == ()
    path.parent.mkdir(parents=True)
    path.write_text(listing("late"), encoding="utf-8")
    wait_until(watch, lambda: names(watch) == ["late"])
    path.unlink()
    path.parent.rmdir()
    wait_until(watch, lambda: watch.error is not None)
    path.parent.mkdir()
    path.write_text(listing("later"), encoding="utf-8")
    wait_until(watch, lambda: names(watch) == ["later"])
    watch.close()


def test_a_mounted_configmap(tmp_path: Path) -> None:
    """A symbolic link beside the file is swapped, as kubelet does: nothing happens to the file's own name."""
    folder = tmp_path / "config"
    for version, name in (("v1", "one"), ("v2", "two")):
        (folder / version).mkdir(parents=True)
        (folder / version / "nodes.yaml").write_text(listing(name), encoding="utf-8")
    (folder / "..data").symlink_to("v1")
    (folder / "nodes.yaml").symlink_to("..data/nodes.yaml")
    watch = NodesWatch(str(folder / "nodes.yaml"))
    assert names(watch) == ["one"]
    (folder / "..data_tmp").symlink_to("v2")
    (folder / "..data_tmp").rename(folder / "..data")
    wait_until(watch, lambda: names(watch) == ["two"])
    (folder / "v2" / "nodes.yaml").write_text(listing("two", "three"), encoding="utf-8")
    wait_until(watch, lambda: names(watch) == ["two", "three"])
    watch.close()


def test_a_link_to_a_file_elsewhere(tmp_path: Path) -> None:
    """Where the name is a link to another folder's file, that folder is watched too."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "list.yaml").write_text(listing("far"), encoding="utf-8")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "nodes.yaml").symlink_to(elsewhere / "list.yaml")
    watch = NodesWatch(str(tmp_path / "here" / "nodes.yaml"))
    (elsewhere / "list.yaml").write_text(listing("far", "farther"), encoding="utf-8")
    wait_until(watch, lambda: names(watch) == ["far", "farther"])
    watch.close()


def test_the_clusters_cidrs_are_kept_to(path: Path) -> None:
    """The watch checks what it reads against the cluster's CIDRs."""
    watch = NodesWatch(str(path), (ip_network("172.16.0.0/12"),))
    assert isinstance(watch.error, InvalidConfiguration)
    watch.close()


def test_a_relative_path_means_what_it_meant(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A daemon that changes its working folder goes on watching the same file, and closing leaves no descriptor."""
    monkeypatch.chdir(path.parent)
    before = len(list(Path("/proc/self/fd").iterdir()))
    watch = NodesWatch("nodes.yaml")
    os.chdir(tmp_path)
    path.write_text(listing("b"), encoding="utf-8")
    wait_until(watch, lambda: names(watch) == ["b"])
    watch.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
