"""The tables and sentences of a recommendation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from rich import box
from rich.table import Table

from mmpredict.report.table import UNKNOWN, format_interval, format_known, format_rate
from mmpredict.results.prediction import INTERVAL_LEVEL
from mmpredict.results.ranked_plan import RankedPlan, Ranking
from mmpredict.units import format_bytes, format_percent, format_seconds

ROWS = 10
"""Plans that a table shows, if nobody says otherwise."""
TEXT_COLUMNS = ("plan", "bound by")
"""Columns of ``ranking_rows`` that are left-aligned."""
MARKS = "surely: share of the draws in which the first plan is better; ◆ no plan is better and needs less memory"
"""What stands in these rows, for those who see them first."""
REASONS = 5
"""Plans that do not keep the limits and are named, at most."""


def format_metric(metric: str, value: float) -> str:
    """Print a metric in the unit that its name ends in."""
    return format_known(value, _shown(metric))


def ranking_table(ranking: Ranking, rows: int = ROWS) -> Table:
    """Plans in order: the goal with its interval, how much worse than the best and how surely, memory, and what binds.

    Args:
        ranking: plans, best first.
        rows: how many are shown.
    """
    table = Table(box=box.HORIZONTALS, pad_edge=False, caption=_caption(ranking, rows), caption_justify="left")
    for name in ranking_columns(ranking):
        table.add_column(name, justify="left" if name in TEXT_COLUMNS else "right", overflow="fold")
    for cells in ranking_rows(ranking, rows):
        table.add_row(*cells)
    return table


def ranking_columns(ranking: Ranking) -> tuple[str, ...]:
    """Headings of ``ranking_rows``."""
    interval, deadlines = f"{INTERVAL_LEVEL * 100:.0f} % interval", ("deadlines",) if _has_deadlines(ranking) else ()
    return ("", "plan", ranking.goal, interval, "worse by", "surely", "memory", *deadlines, "bound by")


def ranking_rows(ranking: Ranking, rows: int) -> Iterator[tuple[str, ...]]:
    """Cells of the first plans."""
    show = _shown(ranking.metric)
    for one in ranking.ranked[:rows]:
        yield (
            str(one.rank),
            f"{one.name}{' ◆' if one.on_front else ''}",
            f"{'' if one.draws else '~'}{format_known(one.goal.value, show)}",
            format_interval(one.goal, show),
            format_percent(one.worse_frac) if one.rank > 1 else UNKNOWN,
            format_known(one.probability, format_percent),
            format_metric("memory_bytes", one.metrics["memory_bytes"].value),
            *((format_known(one.deadlines_frac, format_percent),) if _has_deadlines(ranking) else ()),
            one.binding.resource if one.binding is not None else UNKNOWN,
        )


def ranking_lines(ranking: Ranking) -> Iterator[str]:
    """What the table does not say: the recommendation, its reason, objectives, the front, and what would change the answer."""
    best = ranking.best
    yield f"recommended: {best.name}"
    if len(ranking.ranked) > 1 and not math.isnan(ranking.ranked[1].probability):
        second = ranking.ranked[1]
        yield (
            f"  better than {second.name} by {format_percent(second.worse_frac)}, and in {format_percent(second.probability)} of "
            "the draws, which share their luck"
        )
    if best.binding is not None:
        yield f"  bound by {best.binding.sentence}"
    yield from _objective_lines(best)
    if len(ranking.front) > 1:
        points = "; ".join(
            f"{format_bytes(point.memory_bytes)}: {format_metric(ranking.metric, point.goal)} ({point.name})"
            for point in ranking.front
        )
        yield f"memory against {ranking.goal} (◆): {points}"
    flips = [one for one in ranking.sensitivity if one.flips]
    for one in flips:
        then = f"{one.best} with {format_metric(ranking.metric, one.goal)}" if one.best else "no plan that keeps the limits"
        yield f"would change the answer: {one.change} by {format_percent(abs(one.factor - 1))}: {then}"
    if ranking.sensitivity and not flips:
        told = ", ".join(one.change for one in ranking.sensitivity)
        yield f"the answer stays the same with {told}, each by {format_percent(abs(ranking.sensitivity[0].factor - 1))}"
    for bad in ranking.infeasible[:REASONS]:
        yield f"left out: {bad.name}: {bad.reason.partition('; ')[0]}"
    if len(ranking.infeasible) > REASONS:
        yield f"left out: {len(ranking.infeasible) - REASONS} more (--json lists them)"


def _has_deadlines(ranking: Ranking) -> bool:
    return any(not math.isnan(one.deadlines_frac) for one in ranking.ranked)


def _objective_lines(best: RankedPlan) -> Iterator[str]:
    for one in best.objectives:
        sure = "" if math.isnan(one.probability) else f", met in {format_percent(one.probability)} of the draws"
        yield f"  {one.objective}: reaches {format_seconds(one.reached_s)}{sure}"


def _caption(ranking: Ranking, rows: int) -> str:
    more = f"{len(ranking.ranked) - rows} more plans keep the limits; " if len(ranking.ranked) > rows else ""
    undrawn = "~ one simulation, without interval; " if any(not one.draws for one in ranking.ranked[:rows]) else ""
    return (
        f"{more}{undrawn}{ranking.looked_at} plans looked at, {ranking.simulated} simulated, intervals from {ranking.drawn} draws\n"
        + MARKS
    )


def _shown(metric: str) -> Callable[[float], str]:
    if metric == "energy_j":
        return lambda value: f"{value:.3g} J"
    if metric.endswith("_bytes"):
        return format_bytes
    return format_rate if metric.endswith("tokens_per_s") else format_seconds
