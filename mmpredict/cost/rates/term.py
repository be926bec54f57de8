"""The time of some work as a sum of terms.

A term is an amount times a price, and a price is a product of powers of parameters::

    t = Σ_k amount_k · Π_j parameter_j ^ power_kj

(a posynomial). Parameters are positive and kept as logarithms; the sensitivity of ``log t`` to the logarithm of a parameter is then
the share of the terms that it prices, weighted with the powers, which makes fits and intervals cheap.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

LogParameters = Mapping[str, float]
"""Parameter → natural logarithm of its value."""


@dataclass(frozen=True, slots=True)
class Term:
    """One part of a duration.

    Attributes:
        amount: how much there is to do, in the unit that the price is per.
        powers: parameter → its power in the price.
    """

    amount: float
    powers: Mapping[str, float]

    def seconds(self, parameters: LogParameters) -> float:
        """Its time [s]."""
        return self.amount * math.exp(sum(power * parameters[name] for name, power in self.powers.items()))


def total_s(terms: Iterable[Term], parameters: LogParameters) -> float:
    """Time of all terms together [s]."""
    return sum(term.seconds(parameters) for term in terms)


def sensitivity(terms: Iterable[Term], parameters: LogParameters) -> dict[str, float]:
    """Derivative of the logarithm of the time by the logarithm of each parameter [1]."""
    slopes: dict[str, float] = {}
    whole = 0.0
    for term in terms:
        seconds = term.seconds(parameters)
        whole += seconds
        for name, power in term.powers.items():
            slopes[name] = slopes.get(name, 0.0) + power * seconds
    return {name: slope / whole for name, slope in slopes.items()} if whole else {}
