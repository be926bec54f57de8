"""Outcomes read back from the JSON documents that ``predict``, ``execute``, ``validate`` and ``demo`` write."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from mmpredict.errors import FileFormatError, InputError
from mmpredict.results.metrics import METRICS
from mmpredict.results.outcome import Choice, Outcome
from mmpredict.results.prediction import Interval, Prediction
from mmpredict.results.records import Records
from mmpredict.results.request_forecast import LATENCIES, MOST_REQUESTS, RequestForecast
from mmpredict.results.saved_rows import Field, read_records

SCHEMA_VERSION = 1
MAX_FILE_BYTES = 512 * 1024**2
MAX_STRATEGIES = 10_000
MAX_SENTENCES = 1000
MAX_RUNS = 1000
MAX_DRAWS = 10_000_000

_UNKNOWN = Interval(math.nan, math.nan, math.nan)
_KINDS = "a document that mmpredict predict, execute, validate or demo wrote with --output"


def read_outcome(path: Path) -> Outcome:
    """Read ``prediction.json``, ``execution.json``, ``validation.json`` or a demo's ``report.json``.

    Raises:
        InputError: the file cannot be read.
        FileFormatError: it is none of these, is damaged, or holds more than any run does; the message names the place.
    """
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MAX_FILE_BYTES:
            raise FileFormatError(f"{path} has {size_bytes} bytes; a result has at most {MAX_FILE_BYTES}")
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; give {_KINDS}") from error
    try:
        document = json.loads(text, parse_constant=lambda word: _refuse(path, f"holds {word}, which is no number"))
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path} is no JSON document ({error}); give {_KINDS}") from error
    return outcome_from(document, str(path))


def outcome_from(document: object, name: str = "document") -> Outcome:
    """Take a document apart.

    Args:
        document: what JSON holds.
        name: of the document, for messages.

    Raises:
        FileFormatError: as ``read_outcome``.
    """
    root = Field(document, name)
    if not isinstance(document, Mapping) or not {"predictions", "strategies"} & document.keys():
        root.refuse(f"is no result; give {_KINDS}")
    if document.get("schema_version") != SCHEMA_VERSION:
        root.refuse(f"has schema_version {document.get('schema_version')!r}; this release reads {SCHEMA_VERSION}")
    key = "predictions" if "predictions" in document else "strategies"
    entries = root.at(key).entries(MAX_STRATEGIES)
    if not entries:
        root.refuse("holds no strategy")
    predictions, measured = [], dict[str, tuple[Records, ...]]()
    for strategy, entry in _ordered(root, entries).items():
        if key == "predictions":
            predictions.append(_prediction(strategy, entry))
        elif "measured_records" in entry.mapping():
            predictions.append(_prediction(strategy, entry.at("prediction")))
            further = entry.get("further_runs")
            runs = [entry.at("measured_records"), *(further.items(MAX_RUNS) if further else [])]
            measured[strategy] = tuple(read_records(run) for run in runs)
        else:
            measured[strategy] = (read_records(entry.at("records")),)
    return Outcome(_machine(root), tuple(predictions), measured, _choice(root), _infeasible(root))


def _prediction(name: str, entry: Field) -> Prediction:
    # A metric that is younger than the document is not known.
    found = {metric: entry.at("metrics").get(metric) for metric in METRICS}
    records = read_records(entry.at("records"))
    return Prediction(
        strategy=name,
        records=records,
        metrics={metric: _interval(bounds) if bounds else _UNKNOWN for metric, bounds in found.items()},
        draws=entry.at("draws").whole(MAX_DRAWS),
        provenance=tuple(one.text() for one in entry.at("provenance").items(MAX_SENTENCES)),
        warnings=tuple(one.text() for one in entry.at("warnings").items(MAX_SENTENCES)),
        requests=_requests(entry, records),
    )


def _requests(entry: Field, records: Records) -> tuple[RequestForecast, ...]:
    found = entry.get("requests")
    if found is None:
        return ()
    entries, rows = found.entries(MOST_REQUESTS), [row for row in records.requests if row.request in found.mapping()]
    return tuple(
        RequestForecast(row.request, row.model, *(_interval(entries[row.request].at(name)) for name in LATENCIES)) for row in rows
    )


def _interval(bounds: Field) -> Interval:
    return Interval(*(bounds.at(bound).number(unknown=True) for bound in ("value", "low", "high")))


def _ordered(root: Field, entries: Mapping[str, Field]) -> dict[str, Field]:
    """Strategies in the order of the ranking, best first; the keys of a document are in alphabetical order."""
    recommendation = root.get("recommendation")
    ranking = recommendation.get("ranking") if recommendation else None
    names = [one.at("strategy").text() for one in ranking.items(MAX_STRATEGIES)] if ranking else []
    ranks = {name: rank for rank, name in reversed(list(enumerate(names)))}
    return {name: entries[name] for name in sorted(entries, key=lambda name: (ranks.get(name, len(names)), name))}


def _choice(root: Field) -> Choice | None:
    found = root.get("recommendation")
    if found is None:
        return None
    runner_up, margin, probability = (found.get(key) for key in ("runner_up", "margin_frac", "probability"))
    return Choice(
        found.at("strategy").text(),
        runner_up.text() if runner_up else "",
        margin.number() if margin else math.nan,
        probability.number() if probability else math.nan,
    )


def _infeasible(root: Field) -> dict[str, str]:
    found = root.get("infeasible")
    return {name: reason.text() for name, reason in found.entries(MAX_STRATEGIES).items()} if found else {}


def _machine(root: Field) -> str:
    scenario = root.get("scenario")
    hardware = scenario.get("hardware") if scenario else None
    return hardware.text() if hardware else ""


def _refuse(path: Path, complaint: str) -> NoReturn:
    raise FileFormatError(f"{path} {complaint}")
