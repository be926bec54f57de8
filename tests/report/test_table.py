"""The tables show the numbers they were given, and say so when there is none."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console
from rich.table import Table

from mmpredict.report.table import UNKNOWN, comparison_table, format_interval, prediction_table, summary_table
from mmpredict.results.columns import RequestRow, StateRow
from mmpredict.results.compare import PlanComparison, compare
from mmpredict.results.metrics import METRICS, summarize
from mmpredict.results.prediction import Interval, Prediction
from mmpredict.results.records import Records
from mmpredict.units import GIB, format_seconds


def printed(table: Table, width: int = 100) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(table)
    return stream.getvalue()


def row_of(text: str, strategy: str, metric: str) -> list[str]:
    """The cells right of the metric's name in the block of a strategy; blocks begin after a line."""
    block = next(part for part in text.split("─ \n") if part.strip().startswith(strategy))
    line = next(line for line in block.splitlines() if metric in line)
    return [cell.strip() for cell in line.split(metric)[1].split("  ") if cell.strip()]


def run(makespan_s: float, status: str = "ok", origin: str = "measured") -> Records:
    """Two requests of 50 tokens; the first token after 1 s and 2 s; 1.5 GiB at most."""
    return Records(
        origin,
        [
            RequestRow("a", "m", "m", 0.0, 10, 50, first_token_s=1.0, finish_s=makespan_s / 2),
            RequestRow("b", "m", "m", 0.0, 10, 50, first_token_s=2.0, finish_s=makespan_s, status=status),
        ],
        states=[StateRow(0.0, "memory", 1.0 * GIB, 8.0 * GIB), StateRow(1.0, "memory", 1.5 * GIB, 8.0 * GIB)],
    )


def prediction(strategy: str, makespan_s: float = 8.0) -> Prediction:
    records = run(makespan_s, origin="simulated")
    summary = summarize(records)
    metrics = {name: Interval(value := getattr(summary, name), 0.9 * value, 1.25 * value) for name in METRICS}
    return Prediction(strategy, records, metrics, draws=20)


def unknown(strategy: str) -> PlanComparison:
    nothing = dict.fromkeys(METRICS, Interval(math.nan, math.nan, math.nan))
    return compare(Prediction(strategy, Records("simulated"), nothing, draws=0), Records("measured"))


def test_comparison_shows_predicted_interval_measured_and_error() -> None:
    text = printed(comparison_table([compare(prediction("parallel", 8.0), run(10.0))]))
    assert row_of(text, "parallel", "makespan") == ["8.00 s", "7.20 – 10.00 s", "10.00 s", "-20.0 %", "yes"]
    assert row_of(text, "parallel", "throughput") == ["12.5 t/s", "11.2 – 15.6 t/s", "10.0 t/s", "+25.0 %", "no"]
    assert row_of(text, "parallel", "TTFT p50") == ["1.50 s", "1.35 – 1.88 s", "1.50 s", "+0.0 %", "yes"]
    assert row_of(text, "parallel", "TTFT p95") == ["1.95 s", "1.75 – 2.44 s", "1.95 s", "+0.0 %", "yes"]
    assert row_of(text, "parallel", "peak memory") == ["1.50 GiB", "1.35 – 1.88 GiB", "1.50 GiB", "+0.0 %", "yes"]
    assert "6 of 7 measurements lie inside" in text


def test_comparison_marks_recommended_and_really_fastest() -> None:
    text = printed(comparison_table([compare(prediction("slow"), run(10.0)), compare(prediction("quick"), run(9.0))], "slow"))
    slow, quick = text.split("quick")
    assert "> recommended" in slow and "* really fastest" not in slow
    assert "* really fastest" in quick and "> recommended" not in quick


def test_both_marks_stand_at_one_strategy_and_ties_are_all_fastest() -> None:
    text = printed(comparison_table([compare(prediction(name), run(9.0)) for name in ("one", "two")], "one"))
    assert text.count("* really fastest") == 2
    assert text.count("> recommended") == 1


def test_a_run_that_lost_requests_is_never_the_fastest() -> None:
    broken, whole = compare(prediction("broken"), run(4.0, status="timeout")), compare(prediction("whole"), run(9.0))
    first, second = printed(comparison_table([broken, whole])).split("whole")
    assert "! 1 failed" in first and "* really fastest" not in first
    assert "* really fastest" in second


def test_nan_prints_as_a_dash_and_counts_for_nothing() -> None:
    text = printed(comparison_table([unknown("void"), compare(prediction("parallel"), run(8.0))]))
    for metric in ("makespan", "throughput", "TTFT p50", "TTFT p95", "peak memory"):
        assert row_of(text, "void", metric) == [UNKNOWN] * 5
    assert "nan" not in text
    assert "7 of 7 measurements lie inside" in text
    assert text.split("parallel")[0].count("* really fastest") == 0


def test_predicted_but_not_measured_is_neither_inside_nor_outside() -> None:
    text = printed(comparison_table([compare(prediction("parallel"), Records("measured"))]))
    assert row_of(text, "parallel", "makespan") == ["8.00 s", "7.20 – 10.00 s", UNKNOWN, UNKNOWN, UNKNOWN]
    assert "0 of 0 measurements" in text


def test_numbers_are_aligned_on_the_right() -> None:
    text = printed(comparison_table([compare(prediction("parallel", 8.0), run(10.0))]))
    ends = {line.rstrip().rfind("%") for line in text.splitlines() if " t/s " in line or " GiB " in line}
    assert len(ends) == 1


def test_names_are_not_read_as_markup() -> None:
    assert "[red]q4[/red]" in printed(comparison_table([compare(prediction("[red]q4[/red]"), run(9.0))]))


@pytest.mark.parametrize("width", [80, 100, 120])
def test_tables_fit_their_terminal_without_losing_a_number(width: int) -> None:
    comparison = compare(prediction("speculative-parallel", 7199.0), run(7000.0))
    text = printed(comparison_table([comparison], "speculative-parallel"), width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    joined = " ".join(text.split())
    assert "119 min 59 s" in joined or width == 80
    assert joined.count("yes") + joined.count(" no ") == 7


def test_tables_are_the_same_each_time() -> None:
    comparisons = [compare(prediction(name), run(9.0)) for name in ("one", "two")]
    assert printed(comparison_table(comparisons, "two")) == printed(comparison_table(comparisons, "two"))


def test_prediction_table_shows_value_and_interval() -> None:
    text = printed(prediction_table([prediction("parallel", 8.0), prediction("sequential", 16.0)], "sequential"))
    assert row_of(text, "parallel", "makespan") == ["8.00 s", "7.20 – 10.00 s"]
    assert row_of(text, "sequential", "makespan") == ["16.00 s", "14.40 – 20.00 s"]
    assert "> recommended" in text.split("sequential")[1]
    assert "measured" not in text


def test_summary_table_shows_every_measurement() -> None:
    text = printed(
        summary_table(
            [("parallel", summarize(run(10.0))), ("broken", summarize(run(4.0, "timeout"))), ("void", summarize(Records("")))]
        )
    )
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in text.splitlines() if line.split()[:1] > [""]}
    assert lines["parallel"] == "10.00 s 10.0 t/s 1.50 s 1.95 s 1.50 GiB 122 ms 2"
    assert lines["broken"].endswith(" 1")
    assert lines["void"] == " ".join([UNKNOWN] * 6) + " 0"
    assert "1 failed" in text
    assert text.index("parallel") < text.index("* really fastest") < text.index("broken")


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (8.02, 9.1, "8.02 – 9.10 s"),
        (0.98, 1.2, "980 ms – 1.20 s"),
        (200.0, 260.0, "3 min 20 s – 4 min 20 s"),
        (math.nan, 1.0, UNKNOWN),
        (1.0, math.nan, UNKNOWN),
    ],
)
def test_interval_names_its_unit_once_unless_that_would_mislead(low: float, high: float, text: str) -> None:
    assert format_interval(Interval(low, low, high), format_seconds) == text
