"""When a measurement has been repeated often enough, and how far rounds of a calibration are apart.

A repeat that something disturbed is an outlier of its condition: the spread is taken from the median absolute deviation, and the
fit takes means of which no repeat is more than half above the middle one.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mmpredict.calibrate.measurement import MASKED_CELLS, ROUND, Measurement
from mmpredict.cost.speed import NORMAL_80

DEVIATION_OF_MEDIAN = 1.4826  # standard deviation ÷ median absolute deviation, of a normal distribution
MEDIAN_OF_MEAN = 1.2533  # standard error of a median ÷ that of a mean, of a normal distribution
LEVEL = 0.9  # quantile of Student's t at the end of an 80 % interval
MASKED_STEP = 100  # numbers of masked cells that differ by less belong to repeats of one measurement [tokens]
DEPTH_STEP = 64  # likewise: sequences do not begin at the same step in every repeat [tokens]
OUTLIER = 1.5  # a step that a neighbour delays is part of what runs take, a stall of the whole machine is not [1]
POLISHES = 10  # after which the paces of rounds and conditions have settled [1]
MINUTES_SPREAD = 0.032
"""Of a machine's speed from one round to the next, minutes later: assumed where there is one round, counted as one change where
several tell it. Root mean square of what twelve calibrations of two virtual machines had, each 1.5 to 4.8 % (docs/design.md)."""
UNSETTLED_FRAC = 0.1  # part of a server's conditions that may stay unsettled: a machine with neighbours never settles all [1]

Server = tuple[str, int, int | None]
"""Model, threads and waiting rule."""
Condition = tuple[str, int, int, int]
"""Kind, its size (tokens of a prompt, sequences that decode), depth and masked cells in steps of theirs."""


def condition_of(row: Measurement) -> Condition:
    """What a prefill or decode has in common with its repeats."""
    masked = round(float(row.values.get(MASKED_CELLS, 0.0)) / MASKED_STEP)
    if row.kind == "prefill":
        return "prefill", int(row.number("tokens")), 0, masked
    return "decode", int(row.number("sequences")), round(row.number("depth") / DEPTH_STEP), masked


def duration_s(row: Measurement) -> float:
    """Time of a prompt, or of one decode step [s]."""
    return row.number("duration_s") / (row.number("steps") if row.kind == "decode" else 1.0)


def capped_mean(values: Sequence[float]) -> float:
    """Mean of repeats: what runs take is a sum, disturbed steps included; none counts as more than ``OUTLIER`` times the middle."""
    ordered = sorted(values)
    most = OUTLIER * ordered[(len(ordered) - 1) // 2]
    return sum(min(value, most) for value in ordered) / len(ordered)


def halfwidth_frac(durations_s: Sequence[float]) -> float:
    """Half of the 80 % interval of the median, relative; infinite for fewer than two."""
    from scipy.stats import t as student

    if len(durations_s) < 2:
        return math.inf
    logs = np.log(durations_s)
    spread = DEVIATION_OF_MEDIAN * float(np.median(np.abs(logs - np.median(logs))))
    return float(student.ppf(LEVEL, len(logs) - 1)) * MEDIAN_OF_MEAN * spread / math.sqrt(len(logs))


def unsettled(rows: Iterable[Measurement], narrow_frac: float) -> set[Server]:
    """Servers of which more than ``UNSETTLED_FRAC`` of the conditions have repeats further apart than ``narrow_frac`` allows."""
    found: dict[Server, list[bool]] = defaultdict(list)
    for (server, _), rounds in _by_round(rows).items():
        found[server].append(halfwidth_frac([value for values in rounds.values() for value in values]) > narrow_frac)
    return {server for server, wide in found.items() if sum(wide) > UNSETTLED_FRAC * len(wide)}


def drifts(rows: Iterable[Measurement]) -> dict[Server, dict[int, float]]:
    """How much slower each server was in each round than in the middle of its rounds, as a logarithm.

    Conditions that were measured in two rounds or more count; what those of one server share is the machine's, not theirs.
    """
    shifts: dict[Server, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (server, _), rounds in _by_round(rows).items():
        if len(rounds) < 2:
            continue
        middle = float(np.median([np.log(np.median(values)) for values in rounds.values()]))
        for number, values in rounds.items():
            shifts[server][number].append(float(np.log(np.median(values))) - middle)
    return {server: {number: float(np.median(found)) for number, found in rounds.items()} for server, rounds in shifts.items()}


def drift_spread(rows: Iterable[Measurement]) -> float | None:
    """Spread of a machine's speed over minutes: standard deviation of the logarithm; None for one round only.

    From the changes between consecutive rounds, which have √2 of it; shifts from the middle of three rounds would be too small.
    Four fifths of them are to lie within an 80 % interval: their tails are heavier than a normal distribution's.
    """
    changes = [
        rounds[number + 1] - shift for rounds in drifts(rows).values() for number, shift in rounds.items() if number + 1 in rounds
    ]
    return float(np.quantile(np.abs(changes), 0.8)) / NORMAL_80 / math.sqrt(2.0) if changes else None


def minutes_spread(rows: Sequence[Measurement]) -> float:
    """Spread of a machine's speed over minutes, as far as rounds can tell it: standard deviation of the logarithm.

    All servers of a round share its drift, so three rounds show two changes. What is assumed without any counts as one more.
    """
    seen = drift_spread(rows)
    if seen is None:
        return MINUTES_SPREAD
    changes = max(int(row.number(ROUND)) for row in rows if ROUND in row.values)
    return math.sqrt((changes * seen**2 + MINUTES_SPREAD**2) / (changes + 1))


def warm_loads_s(rows: Iterable[Measurement]) -> dict[tuple[str, int], list[float]]:
    """Model and threads → every load of it alone, from the page cache and with the default waiting rule [s]."""
    times: dict[tuple[str, int], list[float]] = defaultdict(list)
    for row in rows:
        if row.kind == "load" and not row.values["cold"] and row.spincount is None:
            times[row.model, row.threads].append(row.number("duration_s"))
    return times


def at_mean_pace(rows: Sequence[Measurement]) -> list[Measurement]:
    """Rows with prompts and decode steps as they would have been at the mean pace of all rounds.

    What was measured in some rounds only, such as the probes of the first one, would otherwise be taken for as quick as these
    were. Of each phase and number of threads, a round's pace is the median over all conditions of how much slower they were than
    in their middle (median polish of conditions × rounds; J. W. Tukey, Exploratory Data Analysis, 1977).
    """
    tables: dict[tuple[str, int], list[dict[int, float]]] = defaultdict(list)
    for ((_, threads, spincount), (kind, *_)), rounds in _by_round(rows).items():
        if len(rounds) > 1 and spincount is None:
            tables[kind, threads].append({number: float(np.log(np.median(values))) for number, values in rounds.items()})
    shifts = {key: _round_shifts(table) for key, table in tables.items()}
    found = []
    for row in rows:
        shift = shifts.get((row.kind, row.threads), {}).get(int(row.number(ROUND)), 0.0) if ROUND in row.values else 0.0
        if shift:
            row = replace(row, values={**row.values, "duration_s": row.number("duration_s") * math.exp(-shift)})
        found.append(row)
    return found


def _round_shifts(table: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Round → logarithm of how much slower it was than the mean of all rounds, from the logarithms of conditions by round."""
    shifts = dict.fromkeys(sorted({number for logs in table for number in logs}), 0.0)
    for _ in range(POLISHES):
        middles = [float(np.median([log - shifts[number] for number, log in logs.items()])) for logs in table]
        for number in shifts:
            own = [logs[number] - middle for logs, middle in zip(table, middles, strict=True) if number in logs]
            shifts[number] = float(np.median(own))
    mean = math.log(sum(map(math.exp, shifts.values())) / len(shifts))  # of times, as runs are sums of them
    return {number: shift - mean for number, shift in shifts.items()}


def slowing_frac(rows: Iterable[Measurement]) -> float:
    """How much slower the last round was than the first, over all servers that were in both [1]; 0 for one round only."""
    found = drifts(rows)
    first, last = _ends(found)
    changes = [rounds[last] - rounds[first] for rounds in found.values() if first in rounds and last in rounds]
    return math.expm1(float(np.median(changes))) if changes and last > first else 0.0


def _ends(found: Mapping[Server, Mapping[int, float]]) -> tuple[int, int]:
    numbers = {number for rounds in found.values() for number in rounds} or {0}
    return min(numbers), max(numbers)


def _by_round(rows: Iterable[Measurement]) -> dict[tuple[Server, Condition], dict[int, list[float]]]:
    found: dict[tuple[Server, Condition], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.kind in ("prefill", "decode") and ROUND in row.values:
            key = (row.model, row.threads, row.spincount), condition_of(row)
            found[key][int(row.number(ROUND))].append(duration_s(row))
    return found
