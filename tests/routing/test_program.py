"""The process of BIRD: known by its files, started, and ended with what it has in the kernel."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from podnet.bird import parse_protocols
from podnet.errors import IOFailure, NodeNotReady
from podnet.routing import Control, Places, end, program, running
from podnet.routing.sessions import read_sessions
from podnet.testing.waiting import eventually

pytestmark = pytest.mark.live

PLAIN = "router id 192.0.2.1;\nprotocol device podnet_links {}\n"
ROUTE = """\
protocol static { ipv4; route 198.51.100.0/24 via 10.99.0.102; }
protocol kernel { ipv4 { export all; }; }
"""
SESSIONS = """\
protocol bgp 'podnet.n2.4' { local 10.99.0.101 as 64512; neighbor 10.99.0.102 as 64512; ipv4; }
protocol bgp tor { local 10.99.0.101 as 64512; neighbor 10.99.0.103 as 64512; ipv4; }
"""


def write(places: Places, text: str = PLAIN) -> None:
    """Write BIRD's configuration."""
    Path(places.configuration).write_text(text, encoding="utf-8")


def pid(places: Places) -> int | None:
    """Return the id of the BIRD that runs."""
    descriptor = running(places)
    if descriptor is None:
        return None
    os.close(descriptor)
    return int(Path(places.pid).read_text(encoding="ascii"))


def routes() -> str:
    """Return the routes of the namespace that the test is in."""
    return subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("content", ["", "x", "0", "-1", "4194305", "9" * 30, "9" * 5000, "1 2", "\xff", "this test"])
def test_a_file_alone_is_no_bird(places: Places, content: str) -> None:
    """Damaged, of a process that is gone, or of another program, which has that id now."""
    assert running(places) is None
    content = str(os.getpid()) if content == "this test" else content
    Path(places.pid).write_text(content, encoding="latin-1")
    assert running(places) is None
    assert end(places) is False


def test_a_bird_of_another_folder_is_anothers(places: Places) -> None:
    """Also where a file here has its id."""
    write(places)
    os.close(program.start(places))
    other = Places(f"{places.folder}-2")
    Path(other.folder).mkdir()
    Path(other.pid).write_text(Path(places.pid).read_text(encoding="ascii"), encoding="ascii")
    assert running(other) is None
    assert end(other) is False
    assert pid(places)


def test_it_is_started_and_ended(places: Places) -> None:
    """Its routes and its files go with it, the folder too; a file of a BIRD that is gone is in nobody's way."""
    write(places, PLAIN + ROUTE)
    Path(places.pid).write_text("1\n", encoding="ascii")
    os.close(program.start(places))
    eventually(lambda: "198.51.100.0/24" in routes(), "the route")
    with Control(places.socket) as control:
        names = [one.name for one in parse_protocols(control.ask("show protocols").lines)]
        assert names == ["podnet_links", "static1", "kernel1"]
    assert end(places) is True
    assert "198.51.100.0/24" not in routes()
    assert not Path(places.folder).exists()
    assert end(places) is False


def test_it_outlives_who_started_it(places: Places) -> None:
    """It has no terminal, no parent here, and the root as its folder."""
    write(places)
    os.close(program.start(places))
    status = Path(f"/proc/{pid(places)}/status").read_text(encoding="utf-8")
    assert f"PPid:\t{os.getpid()}\n" not in status
    assert str(Path(f"/proc/{pid(places)}/cwd").readlink()) == "/"


def test_what_bird_does_not_read_is_told_in_its_words(places: Places) -> None:
    """With its command and the place in the file; nothing runs."""
    write(places, "router id nonsense;\n")
    with pytest.raises(IOFailure) as caught:
        program.start(places)
    assert f"{places.configuration}:1:" in caught.value.msg
    assert "syntax error" in caught.value.msg
    assert f"see {places.log}" in caught.value.msg
    assert running(places) is None


LATE = """\
#!/bin/sh
%s -c '
import os, signal, sys, time
time.sleep(0.3)
with open(sys.argv[1], "w") as file: file.write(str(os.getpid()))
signal.pause()
' "$7" "$5" >/dev/null 2>&1 &
"""


def test_its_id_may_come_late(places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """BIRD writes it when its parent, which was waited for, has ended already."""
    (tmp_path / "bird").write_text(LATE % sys.executable, encoding="utf-8")
    (tmp_path / "bird").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    os.close(program.start(places))
    assert pid(places)


def test_one_that_ends_in_the_background_is_no_success(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log has the reason."""
    (tmp_path / "bird").write_text("#!/bin/sh\n", encoding="utf-8")
    (tmp_path / "bird").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(program, "START_SECONDS", 0.05)
    with pytest.raises(IOFailure, match=f"ended at once; see {places.log}"):
        program.start(places)


def test_without_bird_what_to_install_is_said(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or which key names one that runs."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(program, "_FOLDERS", ())
    with pytest.raises(NodeNotReady, match=r"BIRD is not installed: `apt install bird2`, or name the `socket`"):
        program.start(places)


def test_one_that_does_not_end_is_named_with_the_remedy(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where somebody removed its socket; its files stay, by which it is found."""
    monkeypatch.setattr(program, "END_SECONDS", 0.05)
    write(places)
    os.close(program.start(places))
    Path(places.socket).unlink()
    with pytest.raises(IOFailure, match=r"does not end: `kill \$\(cat .*/bird.pid\)`"):
        end(places)
    assert pid(places)


def test_sessions_are_podnets_by_name_with_their_counts(places: Places) -> None:
    """Others of a host's BIRD are left out; what the daemon has counted is beside it; without BIRD it is an error."""
    write(places, PLAIN + SESSIONS + SESSIONS.splitlines()[0].replace("n2", "n1").replace("102", "104"))
    with pytest.raises(IOFailure, match="see that BIRD runs"):
        read_sessions(places.folder)
    os.close(program.start(places))
    Path(places.flaps).write_text('{"podnet.n2.4":{"since":"x","established":true,"flaps":3}}', encoding="utf-8")
    for sessions, flaps in (read_sessions(places.folder), read_sessions(places.folder, places.socket)):
        assert [(one.name, one.neighbour, one.asn) for one in sessions] == [
            ("podnet.n1.4", "10.99.0.104", 64512),
            ("podnet.n2.4", "10.99.0.102", 64512),
        ]
        assert flaps == {"podnet.n2.4": 3}
