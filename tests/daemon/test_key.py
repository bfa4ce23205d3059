"""This node's key: made once, kept from others, told in public only."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from podnet.daemon.key import own_public_key
from podnet.errors import IOFailure, StateError
from podnet.wireguard.key import clamped, from_text, public_key, to_text


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a path in a folder that is not there yet."""
    return tmp_path / "podnet" / "wireguard.key"


def test_a_key_is_made_once(path: Path) -> None:
    """The file is root's alone and has a clamped key as `wg genkey` writes it; nothing is left beside it."""
    told = own_public_key(str(path))
    private = from_text(path.read_text().removesuffix("\n"))
    assert clamped(private) == private
    assert told == to_text(public_key(private))
    assert own_public_key(str(path)) == told
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["wireguard.key"]


def test_two_nodes_have_two_keys(tmp_path: Path) -> None:
    """They are drawn."""
    assert len({own_public_key(str(tmp_path / f"{n}")) for n in range(8)}) == 8


def test_two_that_begin_at_once_come_to_one_key(path: Path) -> None:
    """The daemon and `podnet node key`: the first file stays."""
    for _ in range(20):
        path.unlink(missing_ok=True)
        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(lambda _: own_public_key(str(path)), range(4)))) == 1


def test_whoever_only_looks_makes_none(path: Path) -> None:
    """`podnet explain` changes nothing."""
    assert own_public_key(str(path), make=False) == ""
    assert not path.parent.exists()


@pytest.mark.parametrize("content", ["", "half a secret", "A" * 44, to_text(bytes(32))[:-1], "\xff" * 44])
def test_what_is_no_key_is_named_and_not_shown(path: Path, content: str) -> None:
    """It is not replaced: others know the node by the key that was."""
    path.parent.mkdir()
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(StateError) as caught:
        own_public_key(str(path))
    assert str(path) in caught.value.msg
    assert len(content) < 8 or content not in caught.value.msg
    assert path.read_text() == content


def test_a_key_that_others_may_read_is_refused(path: Path) -> None:
    """With what mends it."""
    own_public_key(str(path))
    path.chmod(0o640)
    with pytest.raises(StateError, match=f"chmod 600 {path}"):
        own_public_key(str(path))


def test_a_key_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file where the folder should be, a folder where the file should be."""
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for wrong in (tmp_path / "file" / "key", tmp_path / "folder"):
        with pytest.raises(IOFailure, match=str(wrong)):
            own_public_key(str(wrong))


def test_a_key_is_on_disk_before_it_has_its_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash leaves no half a key; the folder is synced after."""
    calls: list[str] = []
    real_fsync, real_link = os.fsync, os.link

    def fsync(descriptor: int) -> None:
        calls.append("fsync")
        real_fsync(descriptor)

    def link(source: str, name: str) -> None:
        calls.append("link")
        real_link(source, name)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", link)
    own_public_key(str(path))
    assert calls == ["fsync", "link", "fsync"]
