"""A recommendation as one HTML page: the plans in order, the front, what does not do and why, what would change the answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mmpredict.report.front import Axis, Candidate, front_picture
from mmpredict.report.page import Grid, Section, page
from mmpredict.report.table import UNKNOWN, format_interval
from mmpredict.results.prediction import INTERVAL_LEVEL, Interval
from mmpredict.units import GIB, format_bytes, format_percent

MOST_PLANS = 100
"""Plans that the table of a page lists."""


@dataclass(frozen=True, slots=True)
class RankedRow:
    """One plan of a ranking.

    Attributes:
        name: of the plan.
        goal: what it comes to in the goal's unit; bounds may be ``nan``.
        memory_bytes: of all its servers [bytes].
        worse_frac: how much worse than the best; 0 for the best [1].
        probability: that the best is really better; ``nan`` where that is not known [1].
        bound_by: what keeps it from being better; empty where that is not known.
    """

    name: str
    goal: Interval
    memory_bytes: float
    worse_frac: float = 0.0
    probability: float = math.nan
    bound_by: str = ""


@dataclass(frozen=True, slots=True)
class Goal:
    """What plans were ranked by.

    Attributes:
        name: in words: ``TTFT p95``.
        unit: of the axis.
        scale: the goal's unit ÷ the unit of the axis.
        show: prints a value.
        more_is_better: whether large values are good.
    """

    name: str
    unit: str
    scale: float
    show: Callable[[float], str]
    more_is_better: bool = False


def recommendation_page(
    machine: str,
    goal: Goal,
    rows: Sequence[RankedRow],
    lead: str,
    remarks: Sequence[str] = (),
    infeasible: Mapping[str, str] | None = None,
    provenance: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> bytes:
    """The page of a ranking; the same ranking gives the same bytes.

    Args:
        machine: its name.
        goal: what plans were ranked by.
        rows: plans, best first; at least one.
        lead: the answer in a sentence or two.
        remarks: what would change the answer, and the like, one sentence each.
        infeasible: plan → why it breaks a limit.
        provenance: what the numbers rest on.
        warnings: what the reader should know before trusting them.
    """
    best = rows[0].name
    candidates = [Candidate(row.name, row.goal.value / goal.scale, row.memory_bytes / GIB) for row in rows]
    parts = [Section("Plans in order", grid=_grid(goal, rows))]
    if any(not math.isnan(one.x + one.y) for one in candidates):
        axes = Axis(f"{goal.name} [{goal.unit}]", goal.more_is_better), Axis("peak memory [GiB]")
        picture = front_picture(candidates, *axes, best, f"{goal.name} against memory")
        parts.append(Section("What memory buys", picture=picture, caption="Filled: no plan is better and needs less memory."))
    if remarks:
        parts.append(Section("How firm the answer is", tuple(remarks)))
    if infeasible:
        parts.append(Section("What breaks a limit", grid=Grid(("plan", "why"), tuple(infeasible.items()))))
    if provenance or warnings:
        parts.append(Section("What the numbers rest on", tuple(provenance), warnings=tuple(warnings)))
    footer = f"Written by mmpredict. An interval is meant to hold {INTERVAL_LEVEL * 100:.0f} % of measurements."
    return page(f"Recommendation: {best} on {machine}", lead, parts, footer)


def _grid(goal: Goal, rows: Sequence[RankedRow]) -> Grid:
    columns = (
        ">rank",
        "plan",
        f">{goal.name}",
        f">{INTERVAL_LEVEL * 100:.0f} % interval",
        ">worse by",
        ">surely",
        ">memory",
        "bound by",
    )
    cells = tuple(
        (
            str(rank),
            row.name,
            UNKNOWN if math.isnan(row.goal.value) else goal.show(row.goal.value),
            format_interval(row.goal, goal.show),
            UNKNOWN if rank == 1 else format_percent(row.worse_frac),
            UNKNOWN if math.isnan(row.probability) else format_percent(row.probability),
            UNKNOWN if math.isnan(row.memory_bytes) else format_bytes(row.memory_bytes),
            row.bound_by or UNKNOWN,
        )
        for rank, row in enumerate(rows[:MOST_PLANS], start=1)
    )
    more = f"; {len(rows) - MOST_PLANS} more plans keep the limits" if len(rows) > MOST_PLANS else ""
    return Grid(columns, cells, f"surely: share of the draws in which the first plan is better{more}")
