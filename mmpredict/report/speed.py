"""Speeds as a table in llama-bench's words, and the lines below it."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from mmpredict.results.speed import Figure, SpeedEstimate
from mmpredict.units import format_seconds


def speed_table(speeds: Sequence[SpeedEstimate]) -> Table:
    """A row per test, a pair of columns per model; equal models appear once."""
    shown = _different(speeds)
    table = Table(box=box.HORIZONTALS, pad_edge=False)
    table.add_column("alone on the machine")
    for one in shown:
        table.add_column(one.model, justify="right")
        table.add_column("80 % interval", justify="right")
    tests = list(dict.fromkeys(figure.test for one in shown for figure in one.figures))
    for test in tests:
        cells = []
        for one in shown:
            figure = next((figure for figure in one.figures if figure.test == test), None)
            cells += ["–", ""] if figure is None else [_value(figure, figure.value, unit=True), _interval(figure)]
        table.add_row(test, *cells)
    return table


def speed_lines(speeds: Sequence[SpeedEstimate]) -> list[str]:
    """Where the figures come from, and how to check them."""
    lines: list[str] = []
    for one in _different(speeds):
        if one.missing:
            lines.append(f"speed of {one.model}: not known: {one.missing}")
            continue
        lines.append(f"speed of {one.model}: {one.source}")
        lines += [f"  but: {doubt}" for doubt in one.doubts]
        lines.append(f"  verify: {one.verify}")
    return lines


def _different(speeds: Sequence[SpeedEstimate]) -> list[SpeedEstimate]:
    return list({(one.model, one.figures, one.missing): one for one in speeds}.values())


def _value(figure: Figure, value: float, unit: bool = False) -> str:
    if figure.unit == "s":
        return format_seconds(value)
    digits = 0 if figure.low >= 1000 else 1 if figure.low >= 10 else 2
    return f"{value:.{digits}f}" + (" t/s" if unit else "")


def _interval(figure: Figure) -> str:
    return f"{_value(figure, figure.low)} – {_value(figure, figure.high)}"
