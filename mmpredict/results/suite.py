"""What the tests of a suite came to: values with intervals, criteria met or not, and what binds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mmpredict.results.plain import plain
from mmpredict.results.prediction import Interval

Verdict = Literal["pass", "fail"]


@dataclass(frozen=True, slots=True)
class VariantResult:
    """One way of asking a test.

    Attributes:
        name: of the variant.
        values: measure → prediction, in its unit.
        binds: what limits it, one phrase.
        answer: what it comes to in words, where numbers do not say it.
        why_not: why nothing could be predicted; empty when it could.
        warnings: what to know before trusting the numbers.
        measured: measure → value of a real run; empty when it was simulated only.
        draws: measure → its value in every draw; draws of the same number share their luck.
    """

    name: str
    values: Mapping[str, Interval] = field(default_factory=dict)
    binds: str = ""
    answer: str = ""
    why_not: str = ""
    warnings: tuple[str, ...] = ()
    measured: Mapping[str, float] = field(default_factory=dict)
    draws: Mapping[str, tuple[float, ...]] = field(default_factory=dict, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "name": self.name,
            "values": {name: interval.to_dict() for name, interval in self.values.items()},
            "binds": self.binds,
            "answer": self.answer,
            "why_not": self.why_not,
            "warnings": list(self.warnings),
            "measured": plain(self.measured),
            "simulated_only": not self.measured,
        }


@dataclass(frozen=True, slots=True)
class Judgement:
    """One criterion held against a prediction, and a real run where there was one.

    Attributes:
        variant, measure: what is judged.
        least: whether the bound is the least that is good; the most otherwise.
        bound: in the measure's unit; ``nan`` when it could not be predicted.
        bound_of: variant whose measure it is; empty for a number.
        whose: whether the document states it, or it was added.
        predicted: in the measure's unit.
        measured: ``nan`` when it was simulated only.
        excess: of the prediction over the bound, with its 80 % interval; where the bound is another variant's, draw by draw.
    """

    variant: str
    measure: str
    least: bool
    bound: float
    bound_of: str
    whose: Literal["document", "ours"]
    predicted: Interval
    measured: float
    excess: Interval

    @property
    def verdict(self) -> Verdict:
        """Whether the real value is good, or without one the predicted one."""
        return "pass" if self._good(self.predicted.value if math.isnan(self.measured) else self.measured) else "fail"

    @property
    def sure(self) -> bool:
        """Whether all of the interval lies on one side of the bound."""
        return self.excess.low > 0 or self.excess.high < 0 or self.excess.low == self.excess.high

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "variant": self.variant,
            "measure": self.measure,
            "bound": plain(self.bound),
            "sign": ">=" if self.least else "<=",
            "bound_of": self.bound_of,
            "whose": self.whose,
            "predicted": self.predicted.to_dict(),
            "measured": plain(self.measured),
            "verdict": self.verdict,
            "sure": self.sure,
        }

    def _good(self, value: float) -> bool:
        return value >= self.bound if self.least else value <= self.bound


@dataclass(frozen=True, slots=True)
class SuiteTestResult:
    """One test.

    Attributes:
        id, phase, title, asks, stated, note: as the suite has them.
        variants: ways of asking, with what they came to.
        judgements: one per criterion.
    """

    id: str
    phase: str
    title: str
    asks: str
    stated: str
    note: str
    variants: tuple[VariantResult, ...]
    judgements: tuple[Judgement, ...]

    @property
    def verdict(self) -> Verdict:
        """Whether every criterion of the document is met; where it states none, every one that was added."""
        own = [one for one in self.judgements if one.whose == "document"] or self.judgements
        return "pass" if all(one.verdict == "pass" for one in own) else "fail"

    @property
    def stated_by_document(self) -> bool:
        """Whether the document has a criterion."""
        return any(one.whose == "document" for one in self.judgements)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "id": self.id,
            "phase": self.phase,
            "title": self.title,
            "asks": self.asks,
            "stated": self.stated,
            "note": self.note,
            "verdict": self.verdict,
            "stated_by_document": self.stated_by_document,
            "variants": [variant.to_dict() for variant in self.variants],
            "criteria": [judgement.to_dict() for judgement in self.judgements],
        }


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """A suite on a machine.

    Attributes:
        name, document: which.
        hardware: where it was simulated.
        live: whether what could be run was run on this machine.
        tests: in the document's order.
        provenance: what the predictions rest on, one sentence each.
    """

    name: str
    document: str
    hardware: str
    live: bool
    tests: tuple[SuiteTestResult, ...]
    provenance: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "schema_version": 1,
            "suite": self.name,
            "document": self.document,
            "hardware": self.hardware,
            "live": self.live,
            "tests": [test.to_dict() for test in self.tests],
            "provenance": list(self.provenance),
        }
