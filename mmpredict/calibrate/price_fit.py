"""Fitting the prices of a step (``cost.rates``) to few measurements: the most probable parameters, given beliefs and data.

Minimises ``Σ_i w_i ρ((log t_i − log measured_i) / s) + Σ_j ((p_j − mean_j) / spread_j)²`` by Gauss–Newton steps with damping
(Levenberg–Marquardt). ``ρ(e) = 2 (√(1 + e²) − 1)`` grows linearly, so a wrong row pulls no harder than a slightly wrong one. As a
time is a sum of products of powers, its derivatives are shares of it: no numerical differentiation, and a fit takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmpredict.cost.rates.parameters import Belief
from mmpredict.cost.rates.term import Term

ERROR_SCALE = 0.05  # of a row: what builds, machines and repeats of one configuration differ by in published runs
_MAX_STEPS = 80
_MAX_DAMPING = 1e8
_ENOUGH = 1e-7

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Equations:
    """Terms of many rows as arrays.

    Attributes:
        names: parameters [j].
        amounts: of the terms, padded with zeros [rows × terms].
        powers: of the parameters in the terms' prices [rows × terms × j].
    """

    names: tuple[str, ...]
    amounts: Array
    powers: Array

    def of(self, rows: NDArray[np.bool_]) -> Equations:
        """Some of the rows."""
        return Equations(self.names, self.amounts[rows], self.powers[rows])

    def parts_s(self, logs: Array) -> Array:
        """Times of the terms [rows × terms]."""
        parts: Array = self.amounts * np.exp(self.powers @ logs)
        return parts

    def slopes(self, parts_s: Array) -> Array:
        """Derivatives of the logarithm of a row's time by the parameters [rows × j]."""
        shares = parts_s / parts_s.sum(axis=1, keepdims=True)
        slopes: Array = np.einsum("ik,ikj->ij", shares, self.powers)
        return slopes


def equations(rows: Sequence[Sequence[Term]], names: Sequence[str]) -> Equations:
    """Arrays of the terms of rows."""
    index = {name: position for position, name in enumerate(names)}
    width = max(len(terms) for terms in rows)
    amounts = np.zeros((len(rows), width))
    powers = np.zeros((len(rows), width, len(index)))
    for row, terms in enumerate(rows):
        for column, term in enumerate(terms):
            amounts[row, column] = term.amount
            for name, power in term.powers.items():
                powers[row, column, index[name]] += power
    return Equations(tuple(names), amounts, powers)


@dataclass(frozen=True, slots=True)
class Fitted:
    """Most probable parameters.

    Attributes:
        logs: their logarithms [j].
        covariance: of the logarithms, from the curvature at the solution [j × j].
    """

    logs: Array
    covariance: Array


def fit_prices(
    system: Equations, measured_s: Array, weights: Array, beliefs: Mapping[str, Belief], start: Array | None = None
) -> Fitted:
    """Fit the parameters.

    Args:
        system: terms of the rows.
        measured_s: time of each row [s].
        weights: how much each row counts [1].
        beliefs: parameter → what is believed of it.
        start: logarithms to begin with; by default the beliefs' means.
    """
    mean = np.array([beliefs[name].mean for name in system.names])
    stiffness = np.array([beliefs[name].spread for name in system.names]) ** -2.0
    wanted = np.log(measured_s)
    logs = mean.copy() if start is None else start.copy()

    def errors_of(parts: Array) -> Array:
        found: Array = (np.log(parts.sum(axis=1)) - wanted) / ERROR_SCALE
        return found

    def cost_of(errors: Array, at: Array) -> float:
        return float((weights * 2 * (np.sqrt(1 + errors * errors) - 1)).sum() + (stiffness * (at - mean) ** 2).sum())

    parts = system.parts_s(logs)
    errors = errors_of(parts)
    cost, damping = cost_of(errors, logs), 1e-3
    for _ in range(_MAX_STEPS):
        slopes = system.slopes(parts) / ERROR_SCALE
        pull = weights / np.sqrt(1 + errors * errors)
        curvature = (slopes * pull[:, None]).T @ slopes + np.diag(stiffness)
        gradient = (slopes * pull[:, None]).T @ errors + stiffness * (logs - mean)
        improved = False
        while damping < _MAX_DAMPING and not improved:
            step = np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)), -gradient)
            next_parts = system.parts_s(logs + step)
            next_errors = errors_of(next_parts)
            next_cost = cost_of(next_errors, logs + step)
            improved = next_cost <= cost
            damping = damping / 5 if improved else damping * 5
        if not improved:
            break
        gain = cost - next_cost
        logs, parts, errors, cost = logs + step, next_parts, next_errors, next_cost
        if gain < _ENOUGH * (1 + cost):
            break
    return Fitted(logs, np.asarray(np.linalg.inv(curvature), dtype=np.float64))
