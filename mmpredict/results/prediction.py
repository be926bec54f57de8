"""A prediction: simulated records, their metrics with intervals, and where the numbers come from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from mmpredict.errors import UnknownNameError
from mmpredict.results.columns import ROW_TYPES
from mmpredict.results.display import Shown, show
from mmpredict.results.latency import distributions
from mmpredict.results.metrics import METRICS, Summary
from mmpredict.results.plain import json_text, plain_fields
from mmpredict.results.records import Records
from mmpredict.results.request_table import RequestTable
from mmpredict.results.schedule import schedule
from mmpredict.results.usage import usage

if TYPE_CHECKING:
    import pandas

    from mmpredict.results.request_forecast import RequestForecast

INTERVAL_LEVEL = 0.8
"""Share of measurements that an interval is meant to contain."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value between bounds, in the unit of its metric."""

    value: float
    low: float
    high: float

    def contains(self, measured: float) -> bool:
        """Whether a measurement lies within the bounds."""
        return self.low <= measured <= self.high

    def to_dict(self) -> dict[str, float | None]:
        """Plain data for JSON."""
        return plain_fields(self)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a plan will come to.

    Attributes:
        strategy: name of the plan.
        records: one simulated run with every coefficient at its median.
        metrics: metric → median and bounds over simulations with drawn coefficients.
        draws: simulations behind the intervals [1].
        makespans_s: makespan of every draw, in order of the draws; the same draw of two plans shares its coefficients [s].
        provenance: what the numbers rest on, one sentence each.
        warnings: what the reader should know before trusting them.
        requests: latencies of each request; empty for plans of very many.
    """

    strategy: str
    records: Records
    metrics: dict[str, Interval]
    draws: int
    makespans_s: tuple[float, ...] = ()
    provenance: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())
    requests: tuple[RequestForecast, ...] = ()

    @property
    def expected_makespan_s(self) -> float:
        """Mean over the draws that answer all requests [s]; the median where nothing was drawn, ``nan`` where it has none."""
        known = [value for value in self.makespans_s if not math.isnan(value)]
        median_s = self.metrics["makespan_s"].value
        return fmean(known) if known and not math.isnan(median_s) else median_s

    def to_dict(self, with_records: bool = True) -> dict[str, Any]:
        """Plain data for JSON."""
        data: dict[str, Any] = {
            "strategy": self.strategy,
            "interval_level": INTERVAL_LEVEL,
            "draws": self.draws,
            "metrics": {name: interval.to_dict() for name, interval in self.metrics.items()},
            "latency_s": {name: one.to_dict() for name, one in distributions(RequestTable(self.records.requests)).items()},
            "usage": usage(self.records).to_dict(),
            "provenance": list(self.provenance),
            "warnings": list(self.warnings),
        }
        if with_records:
            data["requests"] = {one.request: one.to_dict() for one in self.requests}
            data["execution_schedule"] = schedule(self.records)
            data["records"] = self.records.to_dict()
        return data

    def to_json(self) -> str:
        """One JSON document, keys in order."""
        return json_text(self.to_dict())

    def to_frame(self, table: str = "metrics") -> pandas.DataFrame:
        """One table as a pandas frame.

        Args:
            table: ``metrics`` (a row per metric, in its unit: value, low, high), ``requests``, ``activities`` or ``states``.

        Raises:
            UnknownNameError: no such table.
        """
        import pandas

        if table not in ("metrics", *ROW_TYPES):
            raise UnknownNameError("table", table, ("metrics", *ROW_TYPES))
        if table != "metrics":
            return self.records.to_frame(table)
        rows = [(one.value, one.low, one.high) for one in self.metrics.values()]
        return pandas.DataFrame(rows, columns=["value", "low", "high"], index=pandas.Index(self.metrics, name="metric"))

    def plot(self) -> Shown:
        """Its timeline, which a notebook shows; ``.save("timeline.svg")`` writes it."""
        return cast("Shown", show("prediction_picture", self))

    def _repr_html_(self) -> str:
        return str(show("prediction_html", self))


def intervals(summaries: Sequence[Summary], level: float = INTERVAL_LEVEL) -> dict[str, Interval]:
    """Median and central bounds of every metric over repeated simulations."""
    drawn = np.array([[getattr(summary, name) for name in METRICS] for summary in summaries], dtype=float)
    return dict(zip(METRICS, column_intervals(drawn.reshape(-1, len(METRICS)), level), strict=True))


def column_intervals(drawn: NDArray[np.float64], level: float = INTERVAL_LEVEL) -> list[Interval]:
    """Median and central bounds of every column over those draws (rows) that have a value."""
    return [interval_of(column, level) for column in drawn.T]


def interval_of(drawn: NDArray[np.float64], level: float = INTERVAL_LEVEL, once: float = math.nan) -> Interval:
    """Median and central bounds over those draws that have a value; ``once`` without bounds where none has."""
    values = drawn[~np.isnan(drawn)]
    if not len(values):
        return Interval(once, math.nan, math.nan)
    outer = (1.0 - level) / 2.0 * 100.0
    return Interval(*(float(value) for value in np.percentile(values, [50.0, outer, 100.0 - outer])))
