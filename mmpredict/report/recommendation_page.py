"""A recommendation as one HTML page: the plans in order, the front, what would change the answer, what breaks a limit."""

from __future__ import annotations

import math
from pathlib import Path

from mmpredict.report.front import Axis, Candidate, front_picture
from mmpredict.report.page import Grid, Section, fragment, page
from mmpredict.report.picture import Picture
from mmpredict.report.ranking import MARKS, ROWS, TEXT_COLUMNS, ranking_columns, ranking_lines, ranking_rows
from mmpredict.results.ranked_plan import Ranking
from mmpredict.saving import save
from mmpredict.units import GIB

MOST_PLANS = 100
"""Plans that the table of a page lists."""
_UNITS = {"_tokens_per_s": (1.0, "t/s"), "_bytes": (GIB, "GiB"), "_j": (1.0, "J"), "_s": (1.0, "s")}
"""Ending of a metric's name → its unit ÷ the unit of an axis, and that unit."""


def recommendation_page(machine: str, ranking: Ranking) -> bytes:
    """The page of a ranking; the same ranking gives the same bytes."""
    lead, *remarks = (line.strip() for line in ranking_lines(ranking))
    parts = [Section("Why", tuple(remarks)), Section("Plans in order", grid=_grid(ranking, MOST_PLANS))]
    if _candidates(ranking):
        caption = "Filled: no other plan is better without needing more memory."
        parts.append(Section("What memory buys", picture=ranking_picture(ranking), caption=caption))
    if ranking.infeasible:
        rows = tuple((one.name, one.reason) for one in ranking.infeasible[:MOST_PLANS])
        parts.append(Section("What breaks a limit", grid=Grid(("plan", "why"), rows, _more(len(ranking.infeasible)))))
    if ranking.provenance or ranking.warnings:
        parts.append(Section("What the numbers rest on", ranking.provenance, warnings=ranking.warnings))
    return page(f"Recommendation: {ranking.best.name} on {machine}", lead, parts)


def write_recommendation_page(machine: str, ranking: Ranking, path: Path) -> Path:
    """Write ``recommendation_page`` to a file.

    Raises:
        StorageError: the file could not be written.
    """
    return save(recommendation_page(machine, ranking), path)


def ranking_fragment(ranking: Ranking, rows: int = ROWS) -> str:
    """The beginning of the page, as a notebook shows a ranking."""
    lead = next(ranking_lines(ranking))
    return fragment([Section("", (lead,), grid=_grid(ranking, rows))])


def ranking_picture(ranking: Ranking) -> Picture:
    """Every plan by what was asked for and by its memory, each simulated once with every coefficient at its median.

    Raises:
        InputError: no plan is known in both respects.
    """
    _, unit = _scale(ranking.metric)
    x, y = Axis(f"{ranking.goal} [{unit}]", ranking.larger), Axis("peak memory [GiB]")
    return front_picture(_candidates(ranking), x, y, ranking.best.name, f"{ranking.goal} against memory")


def _candidates(ranking: Ranking) -> list[Candidate]:
    scale, _ = _scale(ranking.metric)
    found = [Candidate(one.name, one.once / scale, one.metrics["memory_bytes"].value / GIB) for one in ranking.ranked]
    return [one for one in found if not math.isnan(one.x + one.y)]


def _scale(metric: str) -> tuple[float, str]:
    return next((unit for ending, unit in _UNITS.items() if metric.endswith(ending)), (1.0, ""))


def _grid(ranking: Ranking, most: int) -> Grid:
    columns = tuple(name if name in TEXT_COLUMNS else f">{name}" for name in ranking_columns(ranking))
    told = f"{MARKS}; ~ one simulation, without interval{_more(len(ranking.ranked), most, '; ')}"
    return Grid(columns, tuple(ranking_rows(ranking, most)), told)


def _more(there_are: int, most: int = MOST_PLANS, before: str = "") -> str:
    return f"{before}{there_are - most} more are not listed" if there_are > most else ""
