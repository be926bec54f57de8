"""Past validations: figures that were predicted and measured, how errors went over time, and whether the machine changed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

from mmpredict.results.compare import Errors, MetricComparison, errors_of
from mmpredict.results.plain import plain_fields
from mmpredict.results.prediction import Interval

Period = Literal["run", "day"]
NORMAL_QUARTILE = 0.6745  # median absolute value of the standard normal distribution
USUAL_LOG_SPREAD = 0.05
"""Drift within minutes that a calibration takes for granted: below it nothing counts as a change."""
SIGNIFICANT = 2.0
"""A change counts from so many standard deviations of what it was before."""


@dataclass(frozen=True, slots=True)
class Check:
    """One call of a command that held predictions against real servers.

    Attributes:
        at: when it began (ISO, UTC).
        kind: scenario, memory, speed, serving or demo.
        name: of the scenario; the kind again where there is none.
        digest: of the scenario, so that only equal ones are compared; empty where there is none.
        machine, engine: what was measured.
        calibrated_on: date of the coefficients that predicted; empty where they were published rates.
        version: of this program.
    """

    at: str
    kind: str
    name: str
    digest: str
    machine: str
    engine: str
    calibrated_on: str
    version: str

    @property
    def day(self) -> str:
        """Date of its beginning (ISO)."""
        return self.at[:10]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one real run, in the unit that ends its metric's name; ``nan`` where a bound or the measurement is not known.

    Attributes:
        subject: what it is of: a strategy, a case, a model and a test.
        turn: in which round, from 0 [1].
        metric: which figure.
        predicted, low, high, measured: median and bounds of the prediction, and what came out.
    """

    subject: str
    turn: int
    metric: str
    predicted: float
    low: float
    high: float
    measured: float

    def comparison(self) -> MetricComparison:
        """Predicted against measured."""
        return MetricComparison(self.metric, Interval(self.predicted, self.low, self.high), self.measured)


@dataclass(frozen=True, slots=True)
class PastCheck:
    """A check and what it found.

    Attributes:
        number: of the check in its history [1].
        check: when, what and where.
        figures: of all runs.
    """

    number: int
    check: Check
    figures: tuple[Figure, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"number": self.number, **asdict(self.check), "figures": [plain_fields(one) for one in self.figures]}


@dataclass(frozen=True, slots=True)
class PastErrors:
    """Errors of one metric in one period, on one machine.

    Attributes:
        when: date, or date and time of a check.
        what: names of the checks.
        machine, metric: of what.
        errors: what they come to.
    """

    when: str
    what: str
    machine: str
    metric: str
    errors: Errors

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"when": self.when, "what": self.what, "machine": self.machine, "metric": self.metric, **self.errors.to_dict()}


@dataclass(frozen=True, slots=True)
class Change:
    """A metric whose newest measurements differ from older ones of the same subjects by more than noise.

    Attributes:
        machine, metric: of what.
        since: when the newest check began.
        ratio: newest ÷ older measurements [1].
        usual_frac: how far older checks are from each other, as one standard deviation [1].
        older: checks that it was held against [1].
        engines: builds before and now.
    """

    machine: str
    metric: str
    since: str
    ratio: float
    usual_frac: float
    older: int
    engines: tuple[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self) | {"engines": list(self.engines)}


def past_errors(checks: Sequence[PastCheck], by: Period = "run") -> list[PastErrors]:
    """Median error, bias and coverage of every metric in every period, oldest first."""
    groups: dict[tuple[str, str, str], list[tuple[PastCheck, Figure]]] = defaultdict(list)
    for past in sorted(checks, key=lambda one: (one.check.at, one.number)):
        when = past.check.day if by == "day" else f"{past.check.at[:19].replace('T', ' ')} #{past.number}"
        for figure in past.figures:
            groups[when, past.check.machine, figure.metric].append((past, figure))
    return [
        PastErrors(
            when,
            ", ".join(dict.fromkeys(past.check.name for past, _ in members)),
            machine,
            metric,
            errors_of(figure.comparison() for _, figure in members),
        )
        for (when, machine, metric), members in groups.items()
    ]


def changes(checks: Iterable[PastCheck]) -> list[Change]:
    """Metrics that changed with the newest check of each machine; subjects are compared with themselves only.

    Of every check the median over its subjects of log (measured ÷ usual) is taken, where usual is the median over older checks. The
    newest one counts as changed where it is beyond ``SIGNIFICANT`` standard deviations of a further check: the robust spread of the
    older ones, ``USUAL_LOG_SPREAD`` at least, times √(1 + 1 ÷ number of older ones).
    """
    found = []
    groups: dict[tuple[str, str], list[PastCheck]] = defaultdict(list)
    for past in checks:
        for metric in dict.fromkeys(figure.metric for figure in past.figures):
            groups[past.check.machine, metric].append(past)
    for (machine, metric), members in groups.items():
        members.sort(key=lambda one: (one.check.at, one.number))
        if change := _change(machine, metric, members):
            found.append(change)
    return found


def _change(machine: str, metric: str, checks: Sequence[PastCheck]) -> Change | None:
    measured = [_measured(past, metric) for past in checks]
    newest = measured[-1]
    usual = {subject: median(known) for subject in newest if (known := [one[subject] for one in measured[:-1] if subject in one])}
    levels = [(past, level) for past, one in zip(checks, measured, strict=True) if not math.isnan(level := _level(one, usual))]
    if len(levels) < 2:
        return None
    older = [level for _, level in levels[:-1]]
    middle = median(older)
    spread = max(USUAL_LOG_SPREAD, median(abs(level - middle) for level in older) / NORMAL_QUARTILE)
    difference = levels[-1][1] - middle
    if abs(difference) <= SIGNIFICANT * spread * math.sqrt(1 + 1 / len(older)):
        return None
    before, now = levels[-2][0].check, levels[-1][0].check
    return Change(machine, metric, now.at, math.exp(difference), math.expm1(spread), len(older), (before.engine, now.engine))


def _measured(past: PastCheck, metric: str) -> dict[tuple[str, str], float]:
    """(scenario, subject) → logarithm of the median measurement."""
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    for figure in past.figures:
        if figure.metric == metric and figure.measured > 0.0:
            values[f"{past.check.kind} {past.check.digest}", figure.subject].append(math.log(figure.measured))
    return {subject: median(logs) for subject, logs in values.items()}


def _level(measured: Mapping[tuple[str, str], float], usual: Mapping[tuple[str, str], float]) -> float:
    shared = [measured[subject] - usual[subject] for subject in measured if subject in usual]
    return median(shared) if shared else math.nan
