"""Groups of commands that import a command's module when it is used, and show errors as one line."""

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import click

from podnet.errors import IOFailure, PodnetError


class Command(NamedTuple):
    """Where a command is (``module:attribute``) and its one line in the group's help."""

    place: str
    help: str


class LazyGroup(click.Group):
    """A group whose commands are named, not imported; `commands_at` in the order of the help."""

    def __init__(self, *args: Any, commands_at: Mapping[str, Command], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.commands_at = commands_at

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the help."""
        del ctx
        return list(self.commands_at)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command, or None if there is none of that name."""
        del ctx
        if cmd_name not in self.commands_at:
            return None
        module, _, attribute = self.commands_at[cmd_name].place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute or "command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; one that is unknown is named together with the nearest that is known."""
        name = args[0]
        if name not in self.commands_at:
            near = nearest(name, self.commands_at)
            hint = f"did you mean {near!r}?" if near else f"there are {', '.join(self.commands_at)}"
            raise click.UsageError(f"no command {name!r}: {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help) for name, command in self.commands_at.items()])


class RootGroup(LazyGroup):
    """The outermost group: what podnet raises on purpose becomes one line on stderr and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (PodnetError, ExceptionGroup, OSError) as error:
            if ctx.params.get("debug") or isinstance(error, BrokenPipeError):  # click ends quietly when a pipe does
                raise
            show(error)
            ctx.exit(1)


def show(error: Exception) -> None:
    """Print an error, or each of a group, to stderr: its line in red, its details below; raise any other again."""
    if isinstance(error, ExceptionGroup):
        for each in error.exceptions:
            show(each)
        return
    if isinstance(error, OSError):
        error = IOFailure(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    if not isinstance(error, PodnetError):
        raise error
    click.secho(f"podnet: {error.msg}", fg="red", err=True, color=colour(sys.stderr))
    if error.details:
        click.echo(error.details, err=True)


def colour(stream: Any) -> bool:
    """Tell whether colours go to `stream`: a terminal, and NO_COLOR (no-color.org) unset or empty."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def nearest(name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """Return the one of `known` that is most like `name`, or an empty string if none is much like it."""
    import difflib  # noqa: PLC0415 - only an error needs it

    return next(iter(difflib.get_close_matches(name, list(known), 1)), "")
