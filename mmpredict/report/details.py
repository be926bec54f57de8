"""What stands behind a prediction's few numbers: how times are distributed, what company cost, how busy the machine was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.table import Table

from mmpredict.report.table import format_known
from mmpredict.results.latency import distributions
from mmpredict.results.prediction import Prediction
from mmpredict.results.records import Records
from mmpredict.results.request_table import RequestTable
from mmpredict.results.usage import usage
from mmpredict.units import format_bytes, format_percent, format_seconds

_TIME_NAMES = {"load_wait": "load wait", "queueing": "queueing", "ttft": "TTFT", "itl": "between tokens", "e2e": "e2e"}


def details_table(predictions: Sequence[Prediction]) -> Table:
    """Distribution of each time over the requests of every strategy, at the median of what is uncertain."""
    table = Table(box=box.SIMPLE_HEAD, caption="over requests, every coefficient at its median")
    for name in ("strategy", "time", "mean", "p50", "p90", "p95", "p99"):
        table.add_column(name, justify="left" if name in ("strategy", "time") else "right")
    for prediction in predictions:
        for position, (label, values) in enumerate(time_distributions(prediction.records)):
            shown = (format_known(value, format_seconds) for value in values)
            table.add_row(prediction.strategy if not position else "", label, *shown, end_section=position == len(_TIME_NAMES) - 1)
    return table


def time_distributions(records: Records) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Name, and (mean, p50, p90, p95, p99) over a run's requests [s], of every time of requests."""
    found = distributions(RequestTable(records.requests))
    for name, label in _TIME_NAMES.items():
        one = found[name]
        yield label, (one.mean, one.p50, one.p90, one.p95, one.p99)


def usage_lines(prediction: Prediction) -> list[str]:
    """What company cost and how busy the machine was, one sentence each."""
    found = usage(prediction.records)
    lines = [
        f"{prediction.strategy}: company made {kind} take {factor:.2f} × its time alone"
        for kind, factor in found.contention.items()
        if factor > 1.005
    ]
    for resource, mean in found.mean.items():
        capacity = found.capacity[resource]
        if resource in ("gpu", "bandwidth"):
            most = format_percent(found.peak[resource])
            lines.append(f"{prediction.strategy}: {resource} {format_percent(mean)} in the mean, {most} at most")
            continue
        amounts = [
            format_bytes(value) if resource in ("memory", "swapped") else f"{value:.2g}"
            for value in (mean, found.peak[resource], capacity)
        ]
        share = f" ({format_percent(mean / capacity)})" if capacity else ""
        lines.append(f"{prediction.strategy}: {resource} {amounts[0]} in the mean{share}, {amounts[1]} at most, of {amounts[2]}")
    return lines
