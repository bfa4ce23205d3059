"""`podnet inspect`: the CNI set-up of this machine, or of another root folder, read and judged."""

import json

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from podnet.inspection import Plugin, Report, Runtime, inspect
from podnet.inspection.files import Root

_COLOURS = {"error": "red", "warning": "yellow", "info": "cyan"}


@click.command(name="inspect")
@click.option(
    "--root",
    default="/",
    show_default=True,
    type=click.Path(exists=True, file_okay=False),
    help="Read this folder as the root: an image, another machine's disk.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def command(root: str, as_json: bool) -> None:
    """Show the CNI folders, the configuration that wins and why, its plugins, and what each runtime is told to use.

    Exit status 1 when something found is an error.
    """
    report = inspect(Root(root))
    if as_json:
        click.echo(json.dumps({**msgspec.to_builtins(report), "sound": report.sound}, indent=2))
    else:
        console = Console(highlight=False)
        for table in (_folders(report), _bin_folders(report), _runtimes(report), _plugins(report), _findings(report)):
            if table.row_count:
                console.print(table)
        if not report.findings:
            console.print("Nothing to mend.")
    raise SystemExit(0 if report.sound else 1)


def _folders(report: Report) -> Table:
    table = Table("file", "network", "version", "plugins", title="Configurations, in the order they are read")
    chosen: dict[str, list[str]] = {}
    for runtime in report.runtimes:
        chosen.setdefault(runtime.choice.path, []).append(runtime.name)
    for folder in report.folders:
        if folder.missing or folder.fault or not folder.configurations:
            table.add_row(
                escape(folder.path), "", "", escape(folder.fault or ("missing" if folder.missing else "empty"))
            )
        for found in folder.configurations:
            plugins = escape(", ".join((*found.plugins, *(f"({name})" for name in found.delegates))))
            users = chosen.get(found.path)
            mark = f" [green]<- {escape(', '.join(users))}[/]" if users else ""
            told = f"[red]{escape(found.fault)}[/]" if found.fault else plugins
            table.add_row(escape(found.path) + mark, escape(found.name), escape(found.cni_version), told)
    return table


def _bin_folders(report: Report) -> Table:
    table = Table("folder", "files", title="Plugins' folders")
    for folder in report.bin_folders:
        told = "missing" if folder.missing else folder.fault or ", ".join(folder.names) or "empty"
        table.add_row(escape(folder.path), escape(told))
    return table


def _runtimes(report: Report) -> Table:
    table = Table("runtime", "setting", "value", "from", title="What the runtimes are configured to use")
    for runtime in report.runtimes:
        rows = [(s.name, s.value, s.source) for s in runtime.settings]
        if runtime.rule != "none":
            rows.append(("uses", runtime.choice.path or "no configuration", runtime.choice.why))
        if not rows:
            rows = [("found by", ", ".join(runtime.evidence), "")]
        for index, row in enumerate(rows):
            table.add_row("" if index else escape(runtime.name), *map(escape, row), end_section=index == len(rows) - 1)
    return table


def _plugins(report: Report) -> Table:
    table = Table("runtime", "plugin", "file", "state", title="The plugins that the chosen configuration names")
    for runtime in report.runtimes:
        for plugin in runtime.plugins:
            table.add_row(*_plugin(runtime, plugin))
    return table


def _plugin(runtime: Runtime, plugin: Plugin) -> tuple[str, str, str, str]:
    name = plugin.name if plugin.role == "plugin" else f"({plugin.name})"
    state = f"[red]{escape(plugin.fault)}[/]: {escape(plugin.hint)}" if plugin.fault else "[green]executable[/]"
    return escape(runtime.name), escape(name), escape(plugin.path), state


def _findings(report: Report) -> Table:
    table = Table("", "where", "what", "remedy", title="Findings")
    for finding in report.findings:
        severity = f"[{_COLOURS[finding.severity]}]{finding.severity}[/]"
        table.add_row(severity, *map(escape, (finding.place, finding.what, finding.remedy)))
    return table
