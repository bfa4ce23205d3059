"""Statistics of the benchmark: what is a percentile, a latency, a rate, and how a figure is written."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report import (
    Aim,
    Execution,
    Round,
    Table,
    Verb,
    aims_table,
    figures,
    grouped,
    growth,
    latencies,
    markdown,
    number,
    percentile,
    rate,
)

MS = 1_000_000


def verb(*milliseconds: float, cpu: int = 0, gone: int = 0, links: int = 0) -> Verb:
    """Serve pods one after another, one plugin each, that took so long."""
    executions, at = [], 0
    for pod, took in enumerate(milliseconds):
        executions.append(Execution(pod, 0, at, at + int(took * MS)))
        at += int(took * MS)
    return Verb(tuple(executions), cpu, gone, links)


def one_round(contender: str, *milliseconds: float, pods: int = 2, width: int = 1) -> Round:
    """Serve ADD in the times given, and DEL in one ms each."""
    return Round(contender, pods, width, verb(*milliseconds, links=4), verb(1, 1, gone=7 * MS), 2048, 3 * MS)


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=60))
def test_percentiles_are_the_standard_librarys(values: list[float]) -> None:
    """Every whole percentile is that of statistics.quantiles, inclusive method."""
    expected = statistics.quantiles(values, n=100, method="inclusive")
    assert [percentile(values, q) for q in range(1, 100)] == pytest.approx(expected, abs=1e-3)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1), st.floats(0, 100))
def test_a_percentile_lies_between_the_least_and_the_greatest(values: list[float], percent: float) -> None:
    """No interpolation leaves the range of what was measured, and the ends are its ends."""
    assert min(values) - 1e-3 <= percentile(values, percent) <= max(values) + 1e-3
    assert percentile(values, 0) == min(values)
    assert percentile(values, 100) == max(values)


def test_nothing_measured_has_no_percentile() -> None:
    """An empty list is an error, not a zero."""
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 50)


def test_a_latency_spans_the_whole_chain_whatever_the_order() -> None:
    """DEL runs the chain backwards: a pod's latency is from the earliest start to the latest end, pods by start."""
    backwards = Verb(
        (Execution(0, 0, 70, 90), Execution(0, 1, 50, 65), Execution(1, 0, 10, 20), Execution(1, 1, 5, 9)), 0, 0
    )
    assert latencies(backwards) == [15, 40]


def test_a_rate_counts_pods_not_executions() -> None:
    """Two pods with two plugins each in one second are two pods a second."""
    half = 500 * MS
    both = (
        Execution(0, 0, 0, half),
        Execution(1, 0, 0, half),
        Execution(0, 1, half, 2 * half),
        Execution(1, 1, half, 2 * half),
    )
    assert rate(Verb(both, 0, 0)) == 2.0


@pytest.mark.parametrize(
    ("took", "expected"),
    [
        ([1.0] * 50 + [9.0] * 400 + [2.0] * 50, 2.0),
        ([1.0, 1.0, 3.0, 3.0], 3.0),
        ([5.0], 1.0),
    ],
)
def test_growth_compares_the_edges_or_the_halves(took: list[float], expected: float) -> None:
    """The last 50 beside the first 50; the halves where there are fewer than 100."""
    assert growth(took) == expected


def test_figures_are_medians_over_rounds() -> None:
    """One round that met a noisy neighbour changes no figure."""
    rounds = [one_round("a", 2, 2), one_round("a", 900, 900), one_round("a", 3, 3)]
    found = figures(rounds)
    assert (found.rounds, found.add_p50, found.delete_p50, found.gone) == (3, 3.0, 1.0, 7.0)
    assert found.add_rate == pytest.approx(1000 / 3)
    assert (found.daemon_rss, found.daemon_cpu, found.add_cpu, found.links) == (2.0, 1.5, 1.5, 2.0)


def test_figures_of_different_contenders_do_not_mix() -> None:
    """To condense rounds of two contenders into one figure is an error."""
    with pytest.raises(ValueError, match="one contender"):
        figures([one_round("a", 1, 1), one_round("b", 1, 1)])


def test_groups_go_by_pods_and_width_and_keep_the_contenders_order() -> None:
    """Small before large, one at a time before many, contenders as they came."""
    rounds = [one_round("b", 1, 1, width=8), one_round("b", 1, 1), one_round("a", 1, 1), one_round("b", 1, 1)]
    assert [(f.contender, f.width, f.rounds) for f in grouped(rounds)] == [("b", 1, 2), ("a", 1, 1), ("b", 8, 1)]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.01234, "0.0123"), (1.1349, "1.13"), (99.96, "100.0"), (1437.2, "1,437"), (-3.14159, "-3.14")],
)
def test_numbers_have_three_significant_digits(value: float, text: str) -> None:
    """Small numbers keep their digits, large ones lose their fraction and get commas."""
    assert number(value) == text


@pytest.mark.parametrize(
    ("aim", "met"),
    [
        (Aim("faster", 18.0, 18.3, "x", at_least=True), True),
        (Aim("faster", 18.0, 17.9, "x", at_least=True), False),
        (Aim("smaller", 32.0, 32.0, "MiB", at_least=False), True),
        (Aim("smaller", 32.0, 32.1, "MiB", at_least=False), False),
    ],
)
def test_an_aim_has_a_direction(aim: Aim, met: bool) -> None:
    """More is better for a ratio, less for a size; the table says which was missed."""
    assert aim.met is met
    table = aims_table([aim])
    assert table.rows[0][1].startswith("≥" if aim.at_least else "≤")
    assert table.rows[0][-1] == ("met" if met else "MISSED")


def test_markdown_has_a_heading_aligned_columns_and_escaped_cells() -> None:
    """The first column is left, numbers right; a bar in a cell does not end it, < begins no tag; the note follows."""
    table = Table("Title", ("name", "ms"), (("a|<b>", "1.0"),), "A note.")
    assert markdown(table) == "## Title\n\n| name | ms |\n| --- | ---: |\n| a\\|&lt;b> | 1.0 |\n\nA note.\n"
