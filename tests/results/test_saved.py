"""Documents that were written are read back as what they were; anything else is refused with its place."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.errors import FileFormatError, InputError, UnknownNameError
from mmpredict.results import saved
from mmpredict.results.columns import ActivityRow, RequestRow, StateRow
from mmpredict.results.compare import compare
from mmpredict.results.metrics import METRICS
from mmpredict.results.outcome import Choice
from mmpredict.results.prediction import Interval, Prediction
from mmpredict.results.records import Records
from mmpredict.results.request_forecast import RequestForecast
from mmpredict.results.saved import outcome_from, read_outcome


def records(origin: str = "simulated", factor: float = 1.0) -> Records:
    requests = [
        RequestRow("a", "m", "m", 0.0, 10, 5, prefill_start_s=1.0, first_token_s=2.0 * factor, finish_s=3.0 * factor, slot=1),
        RequestRow("b", "m", "m", 1.0, 10, 5, status="timeout"),
    ]
    activities = [ActivityRow("m", "load", 0.0, 1.0, cause="a"), ActivityRow("m", "decode", 2.0, math.nan, "a", 1.5)]
    return Records(origin, requests, activities, [StateRow(1.0, "memory", 5e9, 8e9)])


def prediction(strategy: str, makespan_s: float = 3.0) -> Prediction:
    metrics = dict.fromkeys(METRICS, Interval(makespan_s, makespan_s / 2, makespan_s * 2))
    metrics["itl_p50_s"] = Interval(math.nan, math.nan, math.nan)
    return Prediction(strategy, records(), metrics, 20, (), ("published",), ("careful",))


RECOMMENDATION = {
    "strategy": "slow",
    "runner_up": "quick",
    "margin_frac": 0.5,
    "probability": 0.75,
    "ranking": [{"strategy": "slow", "makespan_s": 3.0}, {"strategy": "quick", "makespan_s": 4.5}],
}
COMMON = {
    "schema_version": 1,
    "scenario": {"hardware": "bench"},
    "recommendation": RECOMMENDATION,
    "infeasible": {"huge": "too large"},
}
PREDICTION = {**COMMON, "predictions": {name: prediction(name).to_dict() for name in ("quick", "slow")}}
VALIDATION = {**COMMON, "strategies": {"quick": compare(prediction("quick"), records("measured", 2.0)).to_dict()}}
EXECUTION = {"schema_version": 1, "strategies": {"quick": {"summary": {}, "records": records("measured").to_dict()}}}


def equal(one: Records, other: Records) -> bool:
    """``nan`` is not equal to itself, ``null`` is."""
    return one.to_dict() == other.to_dict()


def written(document: dict[str, Any]) -> Any:
    return json.loads(json.dumps(document, sort_keys=True, allow_nan=False))


def test_a_prediction_comes_back_as_it_was() -> None:
    found = outcome_from(written(PREDICTION))
    assert found.strategies == ("slow", "quick"), "best first, not by the alphabet"
    assert (found.machine, dict(found.infeasible), found.measured) == ("bench", {"huge": "too large"}, {})
    assert found.choice == Choice("slow", "quick", 0.5, 0.75)
    for one in found.predictions:
        before = prediction(one.strategy)
        assert equal(one.records, before.records)
        assert (one.draws, one.provenance, one.warnings) == (20, ("published",), ("careful",))
        assert written({"m": [i.to_dict() for i in one.metrics.values()]}) == written(
            {"m": [i.to_dict() for i in before.metrics.values()]}
        )
        assert one.to_dict() == before.to_dict()
    assert [label for label, _ in found.runs] == ["slow", "quick"]


def test_a_validation_is_compared_anew() -> None:
    found = outcome_from(written(VALIDATION))
    (one,) = found.comparisons
    assert equal(one.measured_records, records("measured", 2.0))
    assert one.to_dict() == compare(prediction("quick"), records("measured", 2.0)).to_dict()
    assert [label for label, _ in found.runs] == ["predicted quick", "measured quick"]


def test_all_runs_of_a_validation_count() -> None:
    runs = [records("measured", factor) for factor in (2.0, 4.0, 3.0)]
    for run in runs:
        run.requests.pop()  # the one that failed: it would leave no makespan
    one = compare(prediction("quick"), *runs)
    found = outcome_from(written({**COMMON, "strategies": {"quick": one.to_dict()}}))
    assert [records.requests[0].finish_s for records in found.measured["quick"]] == [9.0, 6.0, 12.0], "the middle one first"
    assert found.measured_metrics("quick")["makespan_s"] == 9.0
    assert found.comparisons[0].metrics["makespan_s"].measured == 9.0
    assert [records.requests[0].finish_s for _, records in found.runs] == [3.0, 9.0]


def test_requests_of_a_prediction_come_back_with_their_intervals() -> None:
    forecast = RequestForecast("a", "m", Interval(2.0, 1.5, 2.5), Interval(3.0, 2.0, math.nan))
    one = replace(prediction("quick"), requests=(forecast,))
    (found,) = outcome_from(written({**COMMON, "predictions": {"quick": one.to_dict()}})).predictions
    assert str(found.requests) == str((forecast,))


def test_a_metric_that_an_older_document_lacks_is_not_known() -> None:
    document = written(PREDICTION)
    del document["predictions"]["quick"]["metrics"]["load_wait_s"]
    found = {one.strategy: one for one in outcome_from(document).predictions}
    assert math.isnan(found["quick"].metrics["load_wait_s"].value)
    assert found["slow"].metrics["load_wait_s"].value == 3.0


def test_an_execution_has_measured_runs_only() -> None:
    found = outcome_from(written(EXECUTION))
    assert (found.predictions, found.choice, found.machine) == ((), None, "")
    (run,) = found.measured["quick"]
    assert equal(run, records("measured"))
    assert [label for label, _ in found.runs] == ["quick"]


def test_one_strategy_of_several() -> None:
    found = outcome_from(written(PREDICTION))
    assert found.only("quick").strategies == ("quick",)
    with pytest.raises(UnknownNameError, match="did you mean quick"):
        found.only("quik")


PLACES: list[tuple[tuple[str | int, ...], object, str]] = [
    (("schema_version",), 2, "schema_version 2; this release reads 1"),
    (("predictions",), [], r"predictions is \[\]; it must be an object"),
    (("predictions",), {}, "holds no strategy"),
    (("predictions", "quick"), None, "quick is null; it must be an object"),
    (("predictions", "quick", "draws"), 1.5, "quick.draws is 1.5; it must be a whole number"),
    (("predictions", "quick", "draws"), True, "quick.draws is True"),
    (("predictions", "quick", "warnings"), "x", "quick.warnings is 'x'; it must be a list"),
    (("predictions", "quick", "warnings"), [3], r"quick.warnings\[0\] is 3; it must be text"),
    (("predictions", "quick", "metrics", "makespan_s", "low"), "x", "metrics.makespan_s.low is 'x'; it must be a number or null"),
    (("predictions", "quick", "records", "origin"), "x" * 5000, "it must be text of at most 4000 characters"),
    (("predictions", "quick", "records", "requests", 0, "arrival_s"), "x", r"records.requests\[0\].arrival_s is 'x'"),
    (("predictions", "quick", "records", "requests", 0, "arrival_s"), 1e300, r"arrival_s is 1e\+300; it must be a number"),
    (("predictions", "quick", "records", "requests", 0, "slot"), 0.5, "slot is 0.5; it must be a whole number"),
    (("predictions", "quick", "records", "requests", 0, "colour"), 1, "unknown column 'colour'; known: request, model"),
    (("predictions", "quick", "records", "activities", 0, "end_s"), -1.0, r"activities\[0\] ends at -1.0 s, before it begins"),
    (("recommendation", "ranking"), 3, "recommendation.ranking is 3; it must be a list"),
    (("infeasible",), {"a": 3}, "infeasible.a is 3; it must be text"),
]


@pytest.mark.parametrize(("path", "value", "complaint"), PLACES, ids=[".".join(map(str, path)) for path, _, _ in PLACES])
def test_what_is_wrong_is_named_with_its_place(path: tuple[str | int, ...], value: object, complaint: str) -> None:
    document: Any = copy.deepcopy(written(PREDICTION))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(FileFormatError, match=complaint):
        outcome_from(document, "result.json")


@pytest.mark.parametrize(
    "path", [("predictions", "quick", "records"), ("predictions", "quick", "metrics"), ("predictions", "quick", "draws")]
)
def test_what_is_missing_is_named(path: tuple[str, ...]) -> None:
    document: Any = copy.deepcopy(written(PREDICTION))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    with pytest.raises(FileFormatError, match=f"has no '{path[-1]}'"):
        outcome_from(document)
    del document["predictions"]["slow"]["records"]["requests"][0]["model"]
    with pytest.raises(FileFormatError, match=f"lacks the column model|has no '{path[-1]}'"):
        outcome_from(document)


def test_long_tables_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmpredict.results.saved_rows.MAX_ROWS", 1)
    with pytest.raises(FileFormatError, match="has 2 items; at most 1"):
        outcome_from(written(PREDICTION))


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(PREDICTION))
    assert read_outcome(path).strategies == ("slow", "quick")
    for text in ("", "{", '{"predictions": NaN}', "[" * 100_000, "\x00", '{"schema_version": 1}', "[]", "3"):
        path.write_text(text)
        with pytest.raises(FileFormatError, match=r"a\.json"):
            read_outcome(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileFormatError, match="no JSON document"):
        read_outcome(path)
    with pytest.raises(InputError, match="cannot read"):
        read_outcome(tmp_path)
    with pytest.raises(InputError, match="cannot read"):
        read_outcome(tmp_path / "missing.json")
    monkeypatch.setattr(saved, "MAX_FILE_BYTES", 2)
    with pytest.raises(FileFormatError, match="at most 2"):
        read_outcome(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.sampled_from([path for path, _, _ in PLACES]))
def test_nothing_but_our_own_error_comes_of_any_document(value: object, path: tuple[str | int, ...]) -> None:
    document: Any = copy.deepcopy(written(PREDICTION))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    for one in (document, value):
        try:
            outcome_from(one)
        except FileFormatError as error:
            assert len(str(error)) < 6000
