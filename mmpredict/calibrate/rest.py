"""What the first batch after a pause takes longer, by measurements of one server (kind ``rest``)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from mmpredict.calibrate.measurement import ROUND, Measurement


def rests(rows: Iterable[Measurement]) -> tuple[tuple[float, float], ...]:
    """Lengths of pauses and what they add to the time to the first token (``StepPrices.rests``) [s].

    Each round's medians are held against its own first tokens without a pause. Longer pauses never add less.

    Args:
        rows: of kind ``rest``; without any, nothing was measured.
    """
    added: dict[float, list[float]] = defaultdict(list)
    for times in _by_round(rows).values():
        if 0.0 in times:
            for pause_s, found in times.items():
                added[pause_s].append(float(np.median(found) - np.median(times[0.0])))
    longest_s = 0.0
    result = []
    for pause_s in sorted(added.keys() - {0.0}):
        longest_s = max(longest_s, float(np.median(added[pause_s])))
        result.append((pause_s, longest_s))
    return tuple(result)


def _by_round(rows: Iterable[Measurement]) -> Mapping[int, Mapping[float, list[float]]]:
    """Round → pause → times to the first token [s]."""
    found: dict[int, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        number = int(row.number(ROUND)) if ROUND in row.values else 0
        found[number][row.number("pause_s")].append(row.number("duration_s"))
    return found
