"""Tables for a terminal of 100 columns; nothing in them depends on colour."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from rich import box
from rich.table import Table
from rich.text import Text

from mmpredict.results.compare import MetricComparison, PlanComparison
from mmpredict.results.metrics import Summary
from mmpredict.results.prediction import INTERVAL_LEVEL, Interval, Prediction
from mmpredict.units import format_bytes, format_percent, format_seconds

UNKNOWN = "–"
"""What stands in a table for a number that is not known."""


def format_rate(rate_tokens_per_s: float) -> str:
    """Print a rate [tokens/s]: ``41.3 t/s``, ``3.27 t/s``."""
    return f"{rate_tokens_per_s:.1f} t/s" if rate_tokens_per_s >= 9.995 else f"{rate_tokens_per_s:.2f} t/s"


SHOWN: dict[str, tuple[str, Callable[[float], str]]] = {
    "makespan_s": ("makespan", format_seconds),
    "throughput_tokens_per_s": ("throughput", format_rate),
    "ttft_p50_s": ("TTFT p50", format_seconds),
    "ttft_p95_s": ("TTFT p95", format_seconds),
    "memory_peak_bytes": ("peak memory", format_bytes),
}
"""Metrics that tables show: what each is called, and how it is printed."""
_SUMMARY_SHOWN = {**SHOWN, "itl_p50_s": ("ITL p50", format_seconds)}
_COMPARED_SHOWN = {**SHOWN, "e2e_p50_s": ("e2e p50", format_seconds), "load_wait_s": ("load waits", format_seconds)}
_RECOMMENDED, _FASTEST = "> recommended", "* really fastest"
_UNITS_NOTE = "t/s: output tokens/s"


def comparison_table(comparisons: Sequence[PlanComparison], recommended: str | None = None) -> Table:
    """Predicted against measured: a block per strategy, a row per metric.

    The strategy that was really fastest has the smallest measured makespan of those whose requests all succeeded.

    Args:
        comparisons: in the order in which they are to appear.
        recommended: name of the recommended strategy, to be marked.
    """
    rows = [c.metrics[metric] for c in comparisons for metric in _COMPARED_SHOWN]
    known = [row for row in rows if _is_comparable(row)]
    runs = max((len(c.runs) for c in comparisons), default=1)
    noise = f"measured: median of {runs} runs; noise: how far runs are from it, in the median\n" if runs > 1 else ""
    table = _table(
        f"strategy | metric | predicted | interval | measured | error | {'noise | ' if noise else ''}inside",
        f"{sum(row.covered for row in known)} of {len(known)} measurements lie inside their interval\n"
        f"{noise}error: (predicted − measured) ÷ measured; {_UNITS_NOTE}",
    )
    fastest = _fastest({c.strategy: replace(c.measured, makespan_s=c.metrics["makespan_s"].measured) for c in comparisons})
    for comparison in comparisons:
        marks = _marks(comparison.strategy, recommended, fastest, comparison.failed)
        for position, (metric, (label, show)) in enumerate(_COMPARED_SHOWN.items()):
            row = comparison.metrics[metric]
            table.add_row(
                _line(comparison.strategy, marks, position),
                label,
                format_known(row.predicted.value, show),
                format_interval(row.predicted, show),
                format_known(row.measured, show),
                format_known(row.error_frac, lambda fraction: format_percent(fraction, signed=True)),
                *([format_known(row.noise_frac, format_percent)] if noise else []),
                ("yes" if row.covered else "no") if _is_comparable(row) else UNKNOWN,
                end_section=position == len(_COMPARED_SHOWN) - 1,
            )
    return table


def prediction_table(predictions: Sequence[Prediction], recommended: str | None = None) -> Table:
    """Predictions without measurement: a block per strategy, a row per metric.

    Args:
        predictions: in the order in which they are to appear.
        recommended: name of the recommended strategy, to be marked.
    """
    table = _table("strategy | metric | predicted | interval", _UNITS_NOTE)
    for prediction in predictions:
        marks = _marks(prediction.strategy, recommended)
        for position, (metric, (label, show)) in enumerate(SHOWN.items()):
            interval = prediction.metrics[metric]
            table.add_row(
                _line(prediction.strategy, marks, position),
                label,
                format_known(interval.value, show),
                format_interval(interval, show),
                end_section=position == len(SHOWN) - 1,
            )
    return table


def summary_table(summaries: Sequence[tuple[str, Summary]]) -> Table:
    """Measurements alone: a row per strategy.

    Args:
        summaries: (strategy, summary), in the order in which they are to appear.
    """
    labels = [label for label, _ in _SUMMARY_SHOWN.values()]
    table = _table(" | ".join(["strategy", *labels, "requests"]), _UNITS_NOTE)
    fastest = _fastest(dict(summaries))
    for strategy, summary in summaries:
        cell = Text("\n").join([Text(strategy, "bold"), *_marks(strategy, None, fastest)])
        numbers = [format_known(getattr(summary, metric), show) for metric, (_, show) in _SUMMARY_SHOWN.items()]
        failed = f"\n{summary.failed} failed" if summary.failed else ""
        table.add_row(cell, *numbers, f"{summary.completed}{failed}")
    return table


def format_interval(interval: Interval, show: Callable[[float], str]) -> str:
    """Print the bounds of an interval, the unit once if both have the same: ``8.02 – 9.10 s``, ``980 ms – 1.20 s``."""
    if _is_unknown(interval):
        return UNKNOWN
    low, high = show(interval.low), show(interval.high)
    number, _, unit = low.partition(" ")
    one_unit = unit == high.partition(" ")[2] and not any(letter.isdigit() for letter in unit)
    return f"{number if one_unit else low} – {high}"


def _table(columns: str, caption: str) -> Table:
    table = Table(box=box.HORIZONTALS, collapse_padding=True, caption=caption, caption_justify="left", pad_edge=False)
    for name in columns.split(" | "):
        header = f"{INTERVAL_LEVEL * 100:.0f} % interval" if name == "interval" else name
        justify: Literal["left", "right"] = "left" if name in ("strategy", "metric") else "right"
        # Folding keeps every digit in a terminal that is too narrow; the default would cut numbers off.
        table.add_column(header, justify=justify, overflow="fold")
    return table


def _line(strategy: str, marks: Sequence[Text], position: int) -> Text:
    return Text(strategy, "bold") if position == 0 else (list(marks) + [Text()] * position)[position - 1]


def _marks(strategy: str, recommended: str | None, fastest: Sequence[str] = (), failed: int = 0) -> list[Text]:
    marks = [Text(_RECOMMENDED, "cyan")] if strategy == recommended else []
    marks += [Text(_FASTEST, "green")] if strategy in fastest else []
    marks += [Text(f"! {failed} failed", "red")] if failed else []
    return marks


def _fastest(measured: Mapping[str, Summary]) -> list[str]:
    # A run that lost requests did less work: its makespan does not count.
    times = {name: s.makespan_s for name, s in measured.items() if not s.failed and not math.isnan(s.makespan_s)}
    return [name for name, makespan_s in times.items() if makespan_s == min(times.values())]


def _is_comparable(row: MetricComparison) -> bool:
    return not _is_unknown(row.predicted) and not math.isnan(row.measured)


def _is_unknown(interval: Interval) -> bool:
    return math.isnan(interval.low) or math.isnan(interval.high)


def format_known(value: float, show: Callable[[float], str]) -> str:
    """Print a value, or that it is not known."""
    return UNKNOWN if math.isnan(value) else show(value)
