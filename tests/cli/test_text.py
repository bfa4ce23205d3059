"""Tables as text, and when there are colours."""

import io
from collections.abc import Callable

import pytest
from click import unstyle
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from podnet.cli.group import colour, nearest
from podnet.cli.text import table

words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9)


@given(st.integers(1, 5).flatmap(lambda n: st.lists(st.lists(words, min_size=n, max_size=n), min_size=1, max_size=6)))
def test_columns_begin_where_their_headers_do(rows: list[list[str]]) -> None:
    """Every cell begins at its column's place, two spaces after the widest before it."""
    header, *body = rows
    lines = unstyle(table(header, body)).splitlines()
    starts = [0]
    for column in zip(*rows, strict=True):
        starts.append(starts[-1] + max(map(len, column)) + 2)
    for line, row in zip(lines, rows, strict=True):
        for start, cell in zip(starts, row, strict=False):
            assert line[start : start + len(cell)] == cell


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets colours unless NO_COLOR is set to something; a file never does."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert colour(Terminal())
    assert not colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "")
    assert colour(Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colour(Terminal())


def test_the_nearest_name_is_found() -> None:
    """A slip of a letter finds its name; nonsense finds none."""
    assert nearest("n1-rot", ["n1-red", "n2-blue"]) == "n1-red"
    assert nearest("zzz", ["n1-red"]) == ""


def test_explain_wants_one_of_two(podnet: Callable[..., Result]) -> None:
    """A container or a configuration: neither and both are usage errors."""
    for extra in ([], ["red", "--conf", "x"]):
        result = podnet("explain", *extra)
        assert result.exit_code == 2
        assert "name a CONTAINER, or a configuration" in result.output


def test_explain_names_a_file_that_is_not_there(podnet: Callable[..., Result]) -> None:
    """A configuration that cannot be read is named."""
    result = podnet("explain", "--conf", "/no/such.conf")
    assert result.exit_code == 1
    assert "/no/such.conf: No such file or directory" in result.stderr


def test_lab_wants_one_choice_of_families(podnet: Callable[..., Result]) -> None:
    """--dual-stack and --ipv6 together are a usage error, before anything is made."""
    result = podnet("lab", "up", "--dual-stack", "--ipv6")
    assert result.exit_code == 2
    assert "give one of them" in result.output
