"""The outermost command: lazy groups, help, errors, and the daemon's short way in."""

import subprocess
import sys
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner, Result

from podnet.cli.group import Command, LazyGroup, RootGroup
from podnet.cli.root import COMMANDS, root
from podnet.errors import InvalidConfiguration, IOFailure

Run = Callable[..., Result]


def test_help_names_every_command_and_imports_none(podnet: Run) -> None:
    """`podnet --help` lists all commands with a line each."""
    result = podnet("--help")
    assert result.exit_code == 0
    for name, command in COMMANDS.items():
        assert f"  {name} " in result.output
        assert command.help in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_where_it_is_said_to_be(podnet: Run, name: str) -> None:
    """Each command can be imported and explains itself."""
    result = podnet(name, "--help")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: podnet {name}") or result.output.startswith(f"Usage: root {name}")


def test_an_unknown_command_is_named_with_the_nearest(podnet: Run) -> None:
    """A slip is answered with the command that was likely meant, or with all there are."""
    slip = podnet("explian")
    assert slip.exit_code == 2
    assert "no command 'explian': did you mean 'explain'?" in slip.output
    assert "there are lab, node, router, add, del, explain" in podnet("qqq").output


def _raising(error: Exception) -> RootGroup:
    """Return a root whose one command raises `error`."""

    @click.command()
    def boom() -> None:
        """Raise."""
        raise error

    class OneCommand(RootGroup):
        """A root of one command."""

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            """Return it."""
            del ctx, cmd_name
            return boom

    debug = click.Option(["--debug"], is_flag=True)
    return OneCommand(commands_at={"boom": Command("", "")}, params=[debug])


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (InvalidConfiguration("mtu is odd; make it even"), "podnet: mtu is odd; make it even\n"),
        (IOFailure("no", "a log\nof two lines"), "podnet: no\na log\nof two lines\n"),
        (FileNotFoundError(2, "No such file or directory", "nft"), "podnet: nft: No such file or directory\n"),
        (ExceptionGroup("two", [IOFailure("one"), IOFailure("other")]), "podnet: one\npodnet: other\n"),
    ],
)
def test_an_error_is_one_line_and_its_details(error: Exception, told: str) -> None:
    """What is raised on purpose goes to standard error as a line, with exit status 1 and no traceback."""
    result = CliRunner().invoke(_raising(error), ["boom"])
    assert (result.exit_code, result.stderr, result.stdout) == (1, told, "")


def test_debug_shows_where_an_error_comes_from() -> None:
    """With --debug the error itself comes out."""
    result = CliRunner().invoke(_raising(IOFailure("no")), ["--debug", "boom"])
    assert isinstance(result.exception, IOFailure)


def test_a_fault_of_the_program_is_not_hidden() -> None:
    """An error that nobody foresaw keeps its traceback, also inside a group."""
    assert isinstance(CliRunner().invoke(_raising(ZeroDivisionError()), ["boom"]).exception, ZeroDivisionError)
    mixed = ExceptionGroup("two", [IOFailure("one"), KeyError("x")])
    assert isinstance(CliRunner().invoke(_raising(mixed), ["boom"]).exception, KeyError)


def test_version_names_both_versions(podnet: Run) -> None:
    """`podnet version` names podnet's and CNI's, as text and as JSON; `--version` podnet's."""
    assert "1.1.0" in podnet("version").output
    assert '"cni": ["0.1.0"' in podnet("version", "--json").output
    assert podnet("--version").output.startswith("podnet 0.")


@pytest.mark.parametrize(
    ("words", "config"),
    [
        (["node", "run"], "/etc/podnet/podnet.yaml"),
        (["node", "run", "--config", "/x.yaml"], "/x.yaml"),
        (["node", "run", "--no-oneshot"], "/etc/podnet/podnet.yaml"),
        (["--debug", "node", "run", "--config", "/x.yaml"], "/x.yaml"),
    ],
    ids=" ".join,
)
def test_the_daemon_starts_with_its_configuration(words: list[str], config: str) -> None:
    """`podnet node run` runs the daemon with the named settings; its short way in needs no click."""
    program = f"""
import sys
import podnet.daemon.run as module
module.run = lambda paths, **_: print(paths.config, "click" in sys.modules) or 7
sys.argv = ["podnet", *{words}]
from podnet.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, check=False)
    by_click = words[0] != "node"
    assert (done.stdout, done.returncode) == (f"{config} {by_click}\n", 7), done.stderr


@pytest.mark.parametrize("before", [[], ["--debug"]], ids=["the short way in", "click"])
def test_in_a_container_the_plugin_is_told_of_no_interpreter(before: list[str]) -> None:
    """With --no-oneshot what the shim is to execute is nothing; without, this interpreter; either way in."""
    for option, expected in (["--no-oneshot"], ""), ([], sys.executable):
        program = f"""
import sys
import podnet.daemon.run as module
module.run = lambda paths, *, interpreter, **_: print(interpreter) or 0
sys.argv = ["podnet", *{before}, "node", "run", *{option}]
from podnet.cli import main
main()
"""
        done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, check=True)
        assert done.stdout == f"{expected}\n"


@pytest.mark.parametrize("role", ["node", "router"])
def test_etcd_is_named_on_the_command_line(role: str) -> None:
    """Each option reaches the daemon as podnet.yaml calls it."""
    words = ["--etcd", "https://a,https://b", "--etcd-ca", "ca", "--etcd-user", "u", "--etcd-password-file", "p"]
    program = f"""
import sys
import podnet.daemon.router, podnet.daemon.run
def shown(etcd):
    print({{key: value for key, value in etcd.items() if value}})
    return 0
podnet.daemon.run.run = lambda paths, *, etcd, **_: shown(etcd)
podnet.daemon.router.run_router = lambda paths, name, kubeconfig, etcd: shown(etcd)
sys.argv = ["podnet", "{role}", "run", *{words}, "--etcd-cert", "c", "--etcd-key", "k"]
from podnet.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, check=True)
    assert eval(done.stdout) == {  # noqa: S307 - what was printed above
        "endpoints": "https://a,https://b", "ca": "ca", "cert": "c", "key": "k", "user": "u", "password_file": "p"
    }  # fmt: skip


def test_a_daemon_that_cannot_run_says_why_in_a_line() -> None:
    """An error of the daemon's start is a line on standard error, its details below, exit status 1."""
    program = """
import sys
import podnet.daemon.run as module
from podnet.errors import NodeNotReady
def run(paths, **_):
    raise NodeNotReady("no uplink; name one", "more")
module.run = run
sys.argv = ["podnet", "node", "run"]
from podnet.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, check=False)
    assert (done.stderr, done.returncode) == ("podnet: no uplink; name one\nmore\n", 1)


def test_groups_keep_the_order_they_are_given() -> None:
    """Commands are listed in the order in which they were named, not by the alphabet."""
    group = LazyGroup(name="g", commands_at={"b": Command("x", ""), "a": Command("y", "")})
    assert group.list_commands(click.Context(group)) == ["b", "a"]
    assert next(iter(COMMANDS)) == "lab"
    assert isinstance(root, RootGroup)
