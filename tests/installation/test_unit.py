"""The systemd unit: what it runs, what it hides, and what systemd itself says of it."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podnet.daemon.paths import Paths
from podnet.installation.unit import quoted, unit

COMMAND = ["/opt/podnet/bin/python3", "-I", "-m", "podnet.cli", "node", "run"]


def lines(command: list[str] | None = None, reads: tuple[str, ...] = (), paths: Paths | None = None) -> list[str]:
    """Return the lines of a unit."""
    return unit(command or COMMAND, reads, paths or Paths(), "1.2.3").splitlines()


def test_it_runs_the_command() -> None:
    """The command is ExecStart=, its release is named, and the CNI folders are writable."""
    found = lines()
    assert f"ExecStart={' '.join(COMMAND)}" in found
    assert "1.2.3" in found[0]
    assert "ReadWritePaths=/etc/cni/net.d /opt/cni/bin -/var/lib/cni" in found
    assert "ProtectHome=yes" in found
    assert "PrivateTmp=yes" in found


@pytest.mark.parametrize(
    ("reads", "told"),
    [
        ("/root/venv/bin/python3", ["ProtectHome=read-only", "PrivateTmp=yes"]),
        ("/home/me/podnet/__init__.py", ["ProtectHome=read-only", "PrivateTmp=yes"]),
        ("/tmp/venv/bin/python3", ["ProtectHome=yes", "PrivateTmp=no"]),  # noqa: S108 - a path
        ("/homes/python3", ["ProtectHome=yes", "PrivateTmp=yes"]),
    ],
)
def test_the_daemon_is_not_hidden_from_itself(reads: str, told: list[str]) -> None:
    """Where podnet or its interpreter lies in a home or in /tmp, that is not hidden."""
    found = lines(reads=("/usr/bin/python3", reads))
    assert [line for line in found if line.startswith(("ProtectHome=", "PrivateTmp="))] == told


def test_ip_sockets_are_for_who_asks_a_server() -> None:
    """Without one there are none."""
    (families,) = (line for line in lines() if line.startswith("RestrictAddressFamilies="))
    assert families == "RestrictAddressFamilies=AF_UNIX AF_NETLINK"
    asking = unit(COMMAND, (), Paths(), "1", asks=True).splitlines()
    assert f"{families} AF_INET AF_INET6" in asking


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("/usr/bin/python3", "/usr/bin/python3"),
        ("/a b", '"/a b"'),
        ("/100%", "/100%%"),
        ('/"', '"/\\""'),
        ("/\\", '"/\\\\"'),
    ],
)
def test_words_are_quoted(word: str, written: str) -> None:
    """Spaces, quotes, backslashes and specifiers are systemd's; a plain path stays plain."""
    assert quoted(word) == written


@given(st.text(st.characters(exclude_characters="\0\n", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20))
def test_no_path_becomes_a_line(name: str) -> None:
    """Whatever a path is made of, the unit has as many lines as any other."""
    assert len(lines(paths=Paths(cni_bin=f"/{name}"))) == len(lines()) or any(c in name for c in "\x85\u2028\u2029")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("folder", ["/opt/cni/bin", "/opt/cni 100% \"of\" 'it'"])
def test_systemd_finds_nothing_wrong(folder: str, tmp_path: Path) -> None:
    """systemd-analyze verify has nothing to say of the unit, an odd path in it or not."""
    path = tmp_path / "podnet.service"
    path.write_text(unit(["/bin/true", "--cni-bin-dir", folder], (), Paths(cni_bin=folder), "1.2.3"), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], text=True, capture_output=True, check=False
    )
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "podnet" in line]
    assert (done.returncode, ours) == (0, [])
