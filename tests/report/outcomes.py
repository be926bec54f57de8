"""Small outcomes for the tests of pictures and pages."""

from __future__ import annotations

from xml.etree import ElementTree

from mmpredict.report.picture import Picture
from mmpredict.results.columns import ActivityRow, RequestRow, StateRow
from mmpredict.results.metrics import METRICS
from mmpredict.results.outcome import Choice, Outcome
from mmpredict.results.prediction import Interval, Prediction
from mmpredict.results.records import Records
from mmpredict.units import GIB


def run(factor: float = 1.0, origin: str = "simulated", name: str = "small") -> Records:
    """One model, two requests of which the second waits for the first; lasts ``5 × factor`` seconds."""
    times = [moment * factor for moment in (0.0, 1.0, 1.5, 3.0, 3.5, 5.0)]
    return Records(
        origin,
        [
            RequestRow("first", name, name, 0.0, 64, 16, times[1], times[1], times[1], times[2], times[3], slot=0),
            RequestRow("second", name, name, 0.0, 64, 16, times[3], times[1], times[3], times[4], times[5], slot=0),
        ],
        [
            ActivityRow(name, "load", times[0], times[1]),
            ActivityRow(name, "queue", times[0], times[1], "first", cause=f"load of {name}"),
            ActivityRow(name, "prefill", times[1], times[2], "first"),
            ActivityRow(name, "decode", times[2], times[3], "first"),
            ActivityRow(name, "prefill", times[3], times[4], "second"),
            ActivityRow(name, "decode", times[4], times[5], "second"),
            ActivityRow(name, "unload", times[5], times[5]),
        ],
        [StateRow(times[1], "memory", 2.0 * GIB, 8.0 * GIB), StateRow(times[5], "memory", 0.0, 8.0 * GIB)],
    ).sort()


def prediction(strategy: str, factor: float = 1.0, name: str = "small") -> Prediction:
    """Every metric at ``5 × factor``, in its unit, and a tenth around it."""
    value = 5.0 * factor
    metrics = dict.fromkeys(METRICS, Interval(value, 0.9 * value, 1.1 * value))
    metrics["memory_peak_bytes"] = Interval(2.0 * GIB, 1.9 * GIB, 2.1 * GIB)
    return Prediction(strategy, run(factor, name=name), metrics, 10, provenance=("invented for a test",), warnings=("beware",))


def outcome(measured: float | None = None, name: str = "small") -> Outcome:
    """Two strategies; with ``measured`` they took so many times what was predicted."""
    predictions = (prediction("quick", 1.0, name), prediction("slow", 2.0, name))
    runs = (
        {} if measured is None else {one.strategy: (run(n * measured, "measured", name),) for n, one in enumerate(predictions, 1)}
    )
    return Outcome("bench", predictions, runs, Choice("quick", "slow", 1.0, 0.97), {"huge": "needs 9 GiB"})


def texts(picture: Picture) -> list[str]:
    """Every text of a picture; matplotlib writes each as a comment before its outlines."""
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    root = ElementTree.fromstring(picture.render("svg"), parser)
    return [str(node.text).strip() for node in root.iter(ElementTree.Comment)]
