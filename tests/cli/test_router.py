"""`podnet router status` and `config`: BIRD as a table, as JSON, as its configuration; and where there is none."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import Result

from podnet.bird import Protocol
from podnet.cli import router
from podnet.kernel.namespace import OWN, entered, open_namespace
from podnet.testing.waiting import eventually
from tests.bird.speakers import Bird, cable

Run = Callable[..., Result]

SETTINGS = """\
node: n1
backend: bgp
uplink: up0
cluster-cidrs: [10.244.0.0/16]
bgp:
  mode: mesh
  password-file: bgp.password
  communities: ["64512:100"]
  routers: [{name: tor, addresses: [10.99.0.1], as: 65001}, {name: core, addresses: [10.99.0.2], role: client}]
"""
NODES = """\
nodes:
  - {name: n1, addresses: [10.99.0.11], pod-cidrs: [10.244.1.0/24]}
  - {name: n2, addresses: [10.99.0.12], pod-cidrs: [10.244.2.0/24]}
"""
SESSION = Protocol(
    name="podnet.n2.example.4",
    kind="BGP",
    state="start",
    since="2026-11-29 18:17:24.181",
    session="Active",
    neighbour="10.99.0.12",
    asn=64512,
    imported=1,
    filtered=2,
    exported=3,
    error="Socket: Connection refused",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with both files, and no password."""
    (tmp_path / "podnet.yaml").write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "nodes.yaml").write_text(NODES, encoding="utf-8")
    return tmp_path


@pytest.fixture
def names() -> Iterator[tuple[str, str]]:
    """Be in the namespace of n1; give its name and that of what is at the other end of its cable, which is n2."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    both = f"router-a-{os.getpid()}", f"router-b-{os.getpid()}"
    with ExitStack() as stack:
        cable(both, (["10.99.0.11/24", "10.99.0.1/24"], ["10.99.0.12/24"]), stack)
        home, descriptor = open_namespace(OWN), open_namespace(both[0])
        for one in (home, descriptor):
            stack.callback(os.close, one)
        stack.enter_context(entered(descriptor, home))
        yield both


def test_help_says_what_a_router_is(podnet: Run) -> None:
    """Each command in a line; what exit statuses mean, and what a name is."""
    told = podnet("router", "--help").output
    for command in ("run", "status", "config"):
        assert re.search(rf"^  {command} +\S", told, re.MULTILINE)
    assert "exit status 1 where one is down" in podnet("router", "status", "--help").output
    assert "passwords left out" in podnet("router", "config", "--help").output
    assert "[default: the machine's]" in " ".join(podnet("router", "run", "--help").output.split())


def test_a_slip_is_answered_with_the_nearest(podnet: Run) -> None:
    """As with all commands."""
    told = podnet("router", "stats")
    assert (told.exit_code, "status" in told.output) == (2, True)


def test_without_bird_its_socket_is_named(podnet: Run, folder: Path) -> None:
    """Podnet's own by default, else the host's as podnet.yaml names it; a wrong podnet.yaml is another error."""
    config = folder / "podnet.yaml"
    config.write_text(f"{SETTINGS}  socket: {folder}/bird.ctl\n", encoding="utf-8")
    told = podnet("router", "status", "--config", config)
    assert told.exit_code == 1
    assert told.stderr == (
        f"podnet: BIRD's control socket {folder}/bird.ctl: No such file or directory; see that BIRD runs\n"
    )
    config.write_text("bgp: {asn: 1}", encoding="utf-8")
    assert "bgp.asn is not known; did you mean as?" in podnet("router", "status", "--config", config).stderr


@pytest.mark.live
def test_sessions_are_shown_with_what_went_over_them(podnet: Run, folder: Path, names: tuple[str, str]) -> None:
    """Exit status 1 while one is down, 0 when all stand; a host's other sessions are not podnet's."""
    basis = "router id 192.0.2.%d;\nprotocol device {}\nprotocol direct { ipv4; }\ntimeformat protocol iso long ms;\n"
    ours = (
        f"{basis % 1}protocol static {{ ipv4; route 10.244.1.0/24 unreachable; }}\n"
        "protocol bgp 'podnet.n2.4' { local 10.99.0.11 as 64512; neighbor 10.99.0.12 as 64512; connect delay time 1; "
        "ipv4 { import keep filtered; import where net = 10.244.2.0/24; export where source = RTS_STATIC; }; }\n"
        "protocol bgp uplink { local 10.99.0.11 as 64512; neighbor 10.99.0.13 as 64512; ipv4; }\n"
    )
    theirs = (
        f"{basis % 2}protocol static {{ ipv4; route 10.244.2.0/24 unreachable; route 0.0.0.0/0 unreachable; }}\n"
        "protocol bgp n1 { local 10.99.0.12 as 64512; neighbor 10.99.0.11 as 64512; connect delay time 1; "
        "ipv4 { import all; export where source = RTS_STATIC; }; }\n"
    )
    config = folder / "podnet.yaml"
    with ExitStack() as stack:
        bird = Bird(names[0], ours, stack)
        config.write_text(f"{SETTINGS}  socket: {bird.socket}\n", encoding="utf-8")
        before = podnet("router", "status", "--config", config)
        assert before.exit_code == 1
        assert "0 of 1 sessions stand" in before.output
        Bird(names[1], theirs, stack)
        eventually(lambda: podnet("router", "status", "--config", config).exit_code == 0, "the session")
        eventually(
            lambda: bird.received("podnet.n2.4") == 2 and "1 exported" in bird.ask("show protocols all"), "routes"
        )
        told = podnet("router", "status", "--config", config)
        lines = told.output.splitlines()
        assert lines[0].split() == " ".join(router.HEADER).split()
        assert re.fullmatch(
            r"n2 +10\.99\.0\.12 +64512 +Established +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +1 +1 +1 +0 +-", lines[1].rstrip()
        )
        assert lines[2:] == ["1 of 1 sessions stand"]
        (found,) = json.loads(podnet("router", "status", "--json", "--config", config).output)
        assert found | {"since": ""} == {
            "neighbour": "n2", "family": "ipv4", "address": "10.99.0.12", "as": 64512, "state": "Established",
            "since": "", "taken": 1, "refused": 1, "told": 1, "flaps": 0, "error": "",
        }  # fmt: skip


@pytest.mark.live
def test_nobody_to_speak_to_is_no_failure(podnet: Run, folder: Path, names: tuple[str, str]) -> None:
    """It is said where neighbours come from."""
    config = folder / "podnet.yaml"
    with ExitStack() as stack:
        bird = Bird(names[0], "router id 192.0.2.1;\nprotocol device {}\n", stack)
        config.write_text(f"{SETTINGS}  socket: {bird.socket}\n", encoding="utf-8")
        told = podnet("router", "status", "--config", config)
        assert (told.exit_code, told.output) == (
            0, "no sessions: nobody is to be spoken to; see `bgp` in podnet.yaml and the list of nodes\n",
        )  # fmt: skip
        assert json.loads(podnet("router", "status", "--json", "--config", config).output) == []


def test_a_session_as_a_row_and_as_json() -> None:
    """A name may have dots; since when without parts of a second; the last error, where there is one."""
    assert router.row(SESSION, 4) == (
        "n2.example", "10.99.0.12", "64512", "Active", "2026-11-29 18:17:24", "1", "2", "3", "4",
        "Socket: Connection refused",
    )  # fmt: skip
    assert len(router.row(SESSION, 4)) == len(router.HEADER)
    assert router.document(SESSION, 4) == {
        "neighbour": "n2.example", "family": "ipv4", "address": "10.99.0.12", "as": 64512, "state": "Active",
        "since": "2026-11-29 18:17:24.181", "taken": 1, "refused": 2, "told": 3, "flaps": 4,
        "error": "Socket: Connection refused",
    }  # fmt: skip


def sessions(text: str) -> list[str]:
    """Return the names of the sessions in a configuration."""
    return re.findall(r"^protocol bgp '(.*)' from", text, re.MULTILINE)


@pytest.mark.live
@pytest.mark.usefixtures("names")
def test_the_configuration_is_what_bird_has_without_passwords(podnet: Run, folder: Path) -> None:
    """BIRD takes it as it is printed; the file of passwords need not be readable.  As a router it is another."""
    config = folder / "podnet.yaml"
    node = podnet("router", "config", "--config", config)
    assert node.exit_code == 0, node.output
    assert sessions(node.output) == ["podnet.n2.4", "podnet.tor.4", "podnet.core.4"]
    assert 'password "…";' in node.output
    as_router = podnet("router", "config", "--config", config, "--name", "tor")
    assert sessions(as_router.output) == ["podnet.n1.4", "podnet.n2.4"]
    assert "local 10.99.0.1 as 65001; neighbor 10.99.0.11 as 64512" in as_router.output
    config.write_text(SETTINGS.replace("node: n1", "node: tor"), encoding="utf-8")
    assert podnet("router", "config", "--config", config).output == as_router.output
    for text in (node.output, as_router.output):
        (folder / "bird.conf").write_text(text, encoding="utf-8")
        subprocess.run(["/usr/sbin/bird", "-p", "-c", folder / "bird.conf"], check=True)


@pytest.mark.live
@pytest.mark.usefixtures("names")
def test_a_name_that_is_neither_nodes_nor_routers_is_named_with_those_there_are(podnet: Run, folder: Path) -> None:
    """With the remedy, in podnet.yaml or in the list of nodes."""
    config = folder / "podnet.yaml"
    told = podnet("router", "config", "--config", config, "--name", "n1")
    assert told.exit_code == 1
    assert f"{config}: this router is called n1 and `bgp.routers` has no such name (it has: tor, core)" in told.stderr
    config.write_text(SETTINGS.replace("node: n1", "node: n9"), encoding="utf-8")
    assert "called n9 and the list of nodes has no such name (it has: n1, n2)" in podnet(
        "router", "config", "--config", config
    ).stderr  # fmt: skip


def test_a_router_needs_a_podnet_yaml_that_names_it(podnet: Run, tmp_path: Path) -> None:
    """Before anything is touched."""
    missing = podnet("router", "run", "--config", tmp_path / "podnet.yaml")
    assert (missing.exit_code, missing.stderr) == (
        1, f"podnet: {tmp_path}/podnet.yaml: no such file; write it, or name another\n",
    )  # fmt: skip
    (tmp_path / "podnet.yaml").write_text(SETTINGS, encoding="utf-8")
    told = podnet("router", "run", "--config", tmp_path / "podnet.yaml", "--name", "spine")
    assert "this router is called spine and `bgp.routers` has no such name (it has: tor, core); add it" in told.stderr
