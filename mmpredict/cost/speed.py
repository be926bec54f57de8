"""How long prompts, decode steps and requests of one model take alone, with 80 % intervals, from whichever numbers are known.

Two kinds of numbers: ``Rates`` (few measurements, of the machine or of relatives) and the ``Coefficients`` of a calibration of
this machine by our own protocol, which know every number of threads and every kernel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from mmpredict.cost.rates.rates import Phase, Rates
from mmpredict.cost.rates.step_terms import Conditions, decode_terms, prompt_terms
from mmpredict.cost.rates.term import Term
from mmpredict.models.spec import ModelSpec

if TYPE_CHECKING:
    from mmpredict.cost.coefficients import Coefficients

NORMAL_80 = 1.2816  # 80 % of a normal distribution lie within so many standard deviations


@dataclass(frozen=True, slots=True)
class Duration:
    """A time, and how sure it is.

    Attributes:
        value: best known [s].
        log_halfwidth: half-width of the 80 % interval of its logarithm.
    """

    value: float
    log_halfwidth: float

    @property
    def low(self) -> float:
        """Lower bound [s]."""
        return self.value * math.exp(-self.log_halfwidth)

    @property
    def high(self) -> float:
        """Upper bound [s]."""
        return self.value * math.exp(self.log_halfwidth)

    def __add__(self, other: Duration) -> Duration:
        """Both, one after the other; errors are taken as common to both."""
        value = self.value + other.value
        shared = (self.value * self.log_halfwidth + other.value * other.log_halfwidth) / value if value else 0.0
        return Duration(value, shared)


class Speed(Protocol):
    """Times of one model alone."""

    def prompt(self, tokens: int, depth: int = 0, served: bool = False) -> Duration:
        """A prompt of ``tokens`` after ``depth`` cells; ``served``: with what a request costs besides, up to its first token."""

    def decode(self, sequences: int, depth: int, steps: int, served: bool = False) -> Duration:
        """``steps`` steps of ``sequences`` that begin at ``depth`` cells each; ``served``: with what a server's sampling costs."""


class PublishedSpeed:
    """Times by rates.

    Args:
        spec: the model.
        rates: of the processor.
        how: conditions.
    """

    def __init__(self, spec: ModelSpec, rates: Rates, how: Conditions) -> None:
        self._spec, self._rates, self._how = spec, rates, how

    def prompt(self, tokens: int, depth: int = 0, served: bool = False) -> Duration:
        """See ``Speed``."""
        return self._duration(prompt_terms(self._spec, tokens, depth, replace(self._how, served=served)), "prompt")

    def decode(self, sequences: int, depth: int, steps: int, served: bool = False) -> Duration:
        """See ``Speed``."""
        return self._duration(decode_terms(self._spec, sequences, depth, steps, replace(self._how, sampled=served)), "decode")

    def _duration(self, terms: list[Term], phase: Phase) -> Duration:
        return Duration(self._rates.seconds(terms), self._rates.log_halfwidth(terms, phase))


class CalibratedSpeed:
    """Times by the coefficients of this machine's calibration.

    Args:
        spec: the model.
        coefficients: of the machine and an engine build.
        threads: worker threads [1].
        ubatch_tokens: physical batch [tokens].
    """

    def __init__(self, spec: ModelSpec, coefficients: Coefficients, threads: int, ubatch_tokens: int) -> None:
        from mmpredict.cost.calibrated_prices import CalibratedPrices

        self.coefficients = coefficients
        self._prices = CalibratedPrices(spec, threads, ubatch_tokens, coefficients, {"prefill": 1.0, "decode": 1.0})

    def prompt(self, tokens: int, depth: int = 0, served: bool = False) -> Duration:
        """See ``Speed``."""
        from mmpredict.cost.piece import PromptPiece

        seconds = self._prices.batch_s([], [PromptPiece(depth, tokens, True)])
        return Duration(seconds + (self.coefficients.request_s if served else 0.0), self._halfwidth("prefill"))

    def decode(self, sequences: int, depth: int, steps: int, served: bool = False) -> Duration:
        """See ``Speed``; a server was measured, so that sampling is always part of it."""
        return Duration(self._prices.decode_s([float(depth)] * sequences, steps), self._halfwidth("decode"))

    def _halfwidth(self, phase: str) -> float:
        return NORMAL_80 * math.hypot(self.coefficients.model_log_spread[phase], self.coefficients.machine_log_spread)


class SplitSpeed:
    """Times of a model whose layers are divided between two processors, one after the other.

    Args:
        parts: times of each processor's layers.
    """

    def __init__(self, parts: tuple[Speed, ...]) -> None:
        self._parts = parts

    def prompt(self, tokens: int, depth: int = 0, served: bool = False) -> Duration:
        """See ``Speed``."""
        found = [part.prompt(tokens, depth, served and position == 0) for position, part in enumerate(self._parts)]
        return _sum(found)

    def decode(self, sequences: int, depth: int, steps: int, served: bool = False) -> Duration:
        """See ``Speed``."""
        found = [part.decode(sequences, depth, steps, served and position == 0) for position, part in enumerate(self._parts)]
        return _sum(found)


def _sum(durations: list[Duration]) -> Duration:
    whole = durations[0]
    for one in durations[1:]:
        whole += one
    return whole
