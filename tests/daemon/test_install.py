"""Installation into the CNI folders: whole or not at all, and nobody else's files."""

import os
import stat
import subprocess
import threading
from pathlib import Path

import inotify_simple
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet import shim
from podnet.daemon.install import (
    before,
    install_conflist,
    install_loopback,
    install_shim,
    is_shim,
    remove_file,
    settle,
)
from podnet.errors import InvalidConfiguration, IOFailure

MARKER = b"PODNET-SETTINGS\0"
paths = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20).map(lambda t: f"/{t}")


def settings_of(program: bytes) -> list[bytes]:
    """Return the three settings in a shim, NULs and all."""
    fields = program.partition(MARKER)[2]
    return [fields[i : i + 256] for i in (0, 256, 512)]


@given(socket=paths, interpreter=paths, spool=paths)
def test_settings_replace_only_themselves(socket: str, interpreter: str, spool: str) -> None:
    """The installed program is the built one but for its three fields, each NUL-padded."""
    program = b"before" + MARKER + b"x" * 768 + b"after"
    settled = settle(program, socket, interpreter, spool)
    assert len(settled) == len(program)
    assert settled.startswith(b"before" + MARKER)
    assert settled.endswith(b"after")
    assert settings_of(settled) == [text.encode().ljust(256, b"\0") for text in (socket, interpreter, spool)]


def test_the_installed_shim_uses_its_settings(tmp_path: Path) -> None:
    """A shim installed with a spool of its own keeps DEL there."""
    spool = tmp_path / "spool"
    assert install_shim(str(tmp_path / "bin"), "/nonexistent/podnet.sock", spool=str(spool))
    program = tmp_path / "bin" / "podnet"
    assert stat.S_IMODE(program.stat().st_mode) == 0o755
    subprocess.run([program], input=b"{}", env={"CNI_COMMAND": "DEL"}, check=True, timeout=30)
    assert len(list(spool.iterdir())) == 1


@pytest.mark.parametrize(
    ("socket", "interpreter", "spool", "named"),
    [
        ("run/podnet.sock", "", "/s", "socket"),
        ("/" + "s" * 107, "", "/s", "socket"),
        ("/s", "python3", "/s", "interpreter"),
        ("/s", "/" + "i" * 255, "/s", "interpreter"),
        ("/s", "", "", "spool"),
        ("/s", "", "/a\0b", "spool"),
    ],
)
def test_a_path_the_shim_cannot_hold(socket: str, interpreter: str, spool: str, named: str, tmp_path: Path) -> None:
    """A relative path, a NUL in it, or one too long for its field is refused by name, and nothing is installed."""
    with pytest.raises(InvalidConfiguration, match=f"^the {named}'s path"):
        install_shim(str(tmp_path), socket, interpreter, spool)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("program", [b"", MARKER * 2 + b"x" * 768, MARKER + b"x" * 767])
def test_what_is_not_the_shim_is_not_installed(program: bytes) -> None:
    """A program without the marker, with two, or cut short is refused."""
    with pytest.raises(IOFailure, match="is not podnet's shim"):
        settle(program, "/s", "", "/s")


def test_a_running_shim_is_replaced(tmp_path: Path) -> None:
    """The daemon can install a new shim while a runtime executes the old one, which goes on."""
    install_shim(str(tmp_path), spool="/one")
    program = tmp_path / "podnet"
    process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"CNI_COMMAND": "XX"})
    assert install_shim(str(tmp_path), spool="/two")
    output, _ = process.communicate(b"", timeout=30)
    assert process.returncode == 1
    assert b"XX" in output
    assert settings_of(program.read_bytes())[2].rstrip(b"\0") == b"/two"


def test_what_is_installed_already_is_left_alone(tmp_path: Path) -> None:
    """A second installation changes no file, so that whoever watches the folder is not woken."""
    assert install_shim(str(tmp_path))
    assert install_conflist(str(tmp_path), "10-podnet.conflist", "{}\n")
    before = {path.name: path.stat() for path in tmp_path.iterdir()}
    folder = tmp_path.stat()
    assert not install_shim(str(tmp_path))
    assert not install_conflist(str(tmp_path), "10-podnet.conflist", "{}\n")
    assert {path.name: path.stat().st_ino for path in tmp_path.iterdir()} == {k: v.st_ino for k, v in before.items()}
    assert tmp_path.stat().st_mtime_ns == folder.st_mtime_ns


@pytest.mark.parametrize("damage", ["deleted", "emptied", "not executable", "symbolic link", "changed"])
def test_a_damaged_shim_is_repaired(damage: str, tmp_path: Path) -> None:
    """Whatever became of the file, the next installation puts the right one in its place."""
    install_shim(str(tmp_path))
    program, elsewhere = tmp_path / "podnet", tmp_path / "elsewhere"
    good = program.read_bytes()
    if damage in {"deleted", "symbolic link"}:
        program.unlink()
    if damage == "symbolic link":
        elsewhere.write_bytes(b"somebody's")
        program.symlink_to(elsewhere)
    if damage == "emptied":
        program.write_bytes(b"")
    if damage == "not executable":
        program.chmod(0o644)
    if damage == "changed":
        program.write_bytes(good[:-1] + b"?")
    assert install_shim(str(tmp_path))
    assert (program.read_bytes(), program.is_symlink()) == (good, False)
    assert stat.S_IMODE(program.stat().st_mode) == 0o755
    assert not elsewhere.exists() or elsewhere.read_bytes() == b"somebody's"


def test_a_reader_never_meets_half_a_list(tmp_path: Path) -> None:
    """While the list is replaced again and again, a reader of the folder sees the old or the new one, whole."""
    one, other = "1" * 50_000, "2" * 60_000
    install_conflist(str(tmp_path), "10-podnet.conflist", one)
    stop = threading.Event()

    def replace() -> None:
        while not stop.is_set():
            install_conflist(str(tmp_path), "10-podnet.conflist", other)
            install_conflist(str(tmp_path), "10-podnet.conflist", one)

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        for _ in range(300):
            assert (tmp_path / "10-podnet.conflist").read_text(encoding="utf-8") in {one, other}
            read = {path.name for path in tmp_path.iterdir() if path.suffix in {".conf", ".conflist", ".json"}}
            assert read <= {"10-podnet.conflist"}, "what runtimes take for a configuration, by its ending"
    finally:
        stop.set()
        thread.join(timeout=30)


def test_others_configurations_are_left_alone(tmp_path: Path) -> None:
    """A rival that sorts first, and a file that another of its kind left, stay as they are."""
    for name in ("00-rival.conflist", "05-old.conf", ".10-podnet.conflist.0.tmp"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    install_conflist(str(tmp_path), "10-podnet.conflist", "{}")
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {
        "00-rival.conflist": "00-rival.conflist",
        "05-old.conf": "05-old.conf",
        ".10-podnet.conflist.0.tmp": ".10-podnet.conflist.0.tmp",
        "10-podnet.conflist": "{}",
    }
    assert stat.S_IMODE((tmp_path / "10-podnet.conflist").stat().st_mode) == 0o644


def test_what_a_killed_process_left_does_not_stop_the_next(tmp_path: Path) -> None:
    """A temporary file of the same process id is overwritten, not an error."""
    (tmp_path / f".10-podnet.conflist.{os.getpid()}.tmp").write_text("half", encoding="utf-8")
    install_conflist(str(tmp_path), "10-podnet.conflist", "{}")
    assert [path.name for path in tmp_path.iterdir()] == ["10-podnet.conflist"]


@pytest.mark.parametrize(
    "name", ["podnet.conf", "podnet", "../podnet.conflist", ".podnet.conflist", "a/b.conflist", ""]
)
def test_a_name_no_runtime_reads_is_refused(name: str, tmp_path: Path) -> None:
    """The list's name must be one that runtimes look for, in the folder itself."""
    with pytest.raises(InvalidConfiguration, match=r"use one such as 10-podnet\.conflist"):
        install_conflist(str(tmp_path / "conf"), name, "{}")
    assert not (tmp_path / "conf").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Where the folder's name is a file's, the error names what was to be installed and leaves nothing."""
    (tmp_path / "bin").touch()
    with pytest.raises(IOFailure, match=r"bin/podnet cannot be installed: .*make .*bin a folder"):
        install_shim(str(tmp_path / "bin"))
    (tmp_path / "podnet").mkdir()
    with pytest.raises(IOFailure, match=r"podnet cannot be installed: .*directory"):
        install_shim(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"bin", "podnet"}, "no temporary file is left"


def test_the_built_program_is_not_touched(tmp_path: Path) -> None:
    """Settings go into the copy: the program in the package keeps its own."""
    before = Path(shim.path()).read_bytes()
    install_shim(str(tmp_path), "/elsewhere/socket", "/usr/bin/python3", "/elsewhere/spool")
    assert Path(shim.path()).read_bytes() == before
    assert settings_of((tmp_path / "podnet").read_bytes())[1].rstrip(b"\0") == b"/usr/bin/python3"


def test_no_event_of_the_folder_shows_half_a_list(tmp_path: Path) -> None:
    """Whoever watches the folder and reads at each event, as runtimes do, finds no list or a whole one."""
    content, flags = "x" * 200_000, inotify_simple.flags
    with inotify_simple.INotify() as watch:
        watch.add_watch(tmp_path, flags.CREATE | flags.MODIFY | flags.CLOSE_WRITE | flags.MOVED_TO | flags.ATTRIB)
        thread = threading.Thread(target=install_conflist, args=(str(tmp_path), "10-podnet.conflist", content))
        thread.start()
        events: list[tuple[str, int]] = []
        while all(name != "10-podnet.conflist" for name, _ in events):
            for event in watch.read(timeout=30_000):
                lists = [path.read_text(encoding="utf-8") for path in tmp_path.iterdir() if path.suffix == ".conflist"]
                assert lists in ([], [content])
                events.append((event.name, event.mask))
        thread.join(timeout=30)
    assert [mask for name, mask in events if name == "10-podnet.conflist"] == [flags.MOVED_TO]


def test_loopback_is_installed_where_there_is_none(tmp_path: Path) -> None:
    """It is the shim under another name, and replaced when the shim is another one."""
    assert install_loopback(str(tmp_path), spool="/one")
    install_shim(str(tmp_path), spool="/one")
    assert (tmp_path / "loopback").read_bytes() == (tmp_path / "podnet").read_bytes()
    assert install_loopback(str(tmp_path), spool="/one") is False
    assert install_loopback(str(tmp_path), spool="/two")
    assert settings_of((tmp_path / "loopback").read_bytes())[2].rstrip(b"\0") == b"/two"
    assert {path.name for path in tmp_path.iterdir()} == {"loopback", "podnet"}


@pytest.mark.parametrize("kind", ["program", "link to the shim", "dangling link", "folder"])
def test_a_strangers_loopback_is_left_alone(kind: str, tmp_path: Path) -> None:
    """Whatever has the name and is not a file of podnet's stays what it is."""
    install_shim(str(tmp_path))
    path = tmp_path / "loopback"
    if kind == "program":
        path.write_bytes(b"\x7fELF" + bytes(1 << 21) + MARKER)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("podnet" if kind == "link to the shim" else "nowhere")
    status = path.lstat()
    assert install_loopback(str(tmp_path)) is None
    assert path.lstat() == status
    assert not is_shim(str(path))


def test_a_loopback_that_comes_meanwhile_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the installation somebody else's may appear: it is not replaced, and nothing is left."""
    link = os.link

    def late(source: str, target: str) -> None:
        Path(target).write_text("theirs", encoding="utf-8")
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    assert install_loopback(str(tmp_path)) is None
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [("loopback", "theirs")]


def test_removal_takes_what_a_killed_installation_left(tmp_path: Path) -> None:
    """The file goes, and halves of its own name; whatever else is there stays.  A second time there is none."""
    install_shim(str(tmp_path))
    for name in (".podnet.17.tmp", ".podnet.x.tmp", ".other.17.tmp", "podnet2"):
        (tmp_path / name).touch()
    assert remove_file(str(tmp_path), "podnet")
    assert {path.name for path in tmp_path.iterdir()} == {".podnet.x.tmp", ".other.17.tmp", "podnet2"}
    assert not remove_file(str(tmp_path), "podnet")
    assert not remove_file(str(tmp_path / "nowhere"), "podnet")
    (tmp_path / "podnet").mkdir()
    with pytest.raises(IOFailure, match=r"podnet cannot be removed"):
        remove_file(str(tmp_path), "podnet")


def test_what_sorts_before(tmp_path: Path) -> None:
    """Configurations that come before ours in the order of bytes are told; other files and later ones are not."""
    for name in (
        "05-a.conf",
        "10-Podnet.json",
        "10-podnet.conflist",
        "20-b.conf",
        "00-readme",
        ".05.conflist",
        "é.conf",
    ):
        (tmp_path / name).touch()
    assert before(str(tmp_path), "10-podnet.conflist") == [".05.conflist", "05-a.conf", "10-Podnet.json"]
    assert before(str(tmp_path / "nowhere"), "10-podnet.conflist") == []
