"""Energy from power that was sampled: of a run, and each request's share."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from mmpredict.results.columns import RequestRow, StateRow
from mmpredict.results.records import Records

POWER = "power"

Array = NDArray[np.float64]


def total_energy_j(states: Iterable[StateRow]) -> float:
    """Integral of the power from its first sample to its last, linear in between [J]; ``nan`` for fewer than two samples."""
    times_s, power_w = _power(states)
    return float(np.trapezoid(power_w, times_s)) if len(times_s) > 1 else math.nan


def share_energy(records: Records) -> Records:
    """Fill in ``energy_j`` of every request that was answered, where power is known, and return the records.

    At every moment the machine's power, idle power included, is divided among the requests being worked on by the tokens that
    each has under way: those of its prompt that were computed, and its first output token, evenly over its prefill; the others
    evenly over its decode. Power while no request is worked on (loads, pauses) is nobody's, so shares add up to at most the run's
    energy. A request that was worked on before the first sample or after the last has no known share.
    """
    times_s, power_w = _power(records.states)
    if len(times_s) < 2:
        return records
    served = [
        row for row in records.requests if row.status == "ok" and times_s[0] <= row.prefill_start_s <= row.finish_s <= times_s[-1]
    ]
    if not served:
        return records
    phases = np.array([phase for row in served for phase in _phases(row)])
    start_s, end_s, tokens = phases.T
    length_s = end_s - start_s
    rate = np.divide(tokens, length_s, out=np.zeros_like(tokens), where=length_s > 0)
    moments = np.unique(np.concatenate([times_s, start_s, end_s]))
    moments = moments[(moments >= times_s[0]) & (moments <= times_s[-1])]
    change = np.zeros(len(moments) + 1)
    np.add.at(change, np.searchsorted(moments, start_s), rate)
    np.add.at(change, np.searchsorted(moments, end_s), -rate)
    active = np.cumsum(change)[: len(moments) - 1]
    power_at = np.interp(moments, times_s, power_w)
    energy = np.diff(moments) * (power_at[:-1] + power_at[1:]) / 2
    busy = active > 1e-9 * max(1e-300, rate.max())  # what remains of rates that were added and taken away is no work
    per_token = np.concatenate([[0.0], np.cumsum(np.divide(energy, active, out=np.zeros_like(energy), where=busy))])
    gained = rate * (np.interp(end_s, moments, per_token) - np.interp(start_s, moments, per_token))
    for row, joules in zip(served, gained.reshape(-1, 2).sum(axis=1).tolist(), strict=True):
        row.energy_j = joules
    return records


def _power(states: Iterable[StateRow]) -> tuple[Array, Array]:
    known = sorted((row.time_s, row.used) for row in states if row.resource == POWER and not math.isnan(row.used))
    return np.array([time_s for time_s, _ in known]), np.array([power_w for _, power_w in known])


def _phases(row: RequestRow) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Prefill and decode: begin, end [s], tokens [tokens]."""
    computed = max(0, row.prompt_tokens - max(0, row.cached_tokens)) + 1
    return (
        (row.prefill_start_s, row.first_token_s, float(computed)),
        (row.first_token_s, row.finish_s, float(row.output_tokens - 1)),
    )
