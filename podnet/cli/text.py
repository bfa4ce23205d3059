"""Tables as text: columns padded to their widest cell, headers in bold where colours are on."""

import sys
from collections.abc import Sequence

import click

from podnet.cli.group import colour


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return `rows` under `header`, two spaces between columns; every row is as long as the header."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

    return "\n".join([click.style(line(header), bold=True), *map(line, rows)])


def say(text: str) -> None:
    """Print `text`, with its colours where standard output shows them."""
    click.echo(text, color=colour(sys.stdout))
