"""Metrics of records whose answers are known, and rows whose every column is explained."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.results.columns import ROW_TYPES, ActivityRow, RequestRow, StateRow, columns
from mmpredict.results.metrics import METRICS, Summary, summarize
from mmpredict.results.prediction import Interval, intervals
from mmpredict.results.records import Records


def request(name: str, arrival_s: float, first_s: float, finish_s: float, tokens: int, status: str = "ok") -> RequestRow:
    row = RequestRow(name, "m", "m", arrival_s, 10, tokens, first_token_s=first_s, finish_s=finish_s)
    return replace(row, status=status)


def run() -> Records:
    return Records(
        "simulated",
        [request("a", 1.0, 2.0, 6.0, 5), request("b", 2.0, 5.0, 11.0, 4), request("c", 3.0, 9.0, 9.0, 1)],
        [ActivityRow("m", "load", 0.0, 1.0), ActivityRow("m", "decode", 2.0, 6.0, "a")],
        [StateRow(0.0, "memory", 5e9, 8e9), StateRow(1.0, "memory", 7e9, 8e9), StateRow(1.0, "cores", 9e9, 2.0)],
    )


def test_a_summary_computed_by_hand() -> None:
    summary = summarize(run())
    assert summary.makespan_s == 11.0 - 1.0
    assert summary.throughput_tokens_per_s == 10 / 10.0
    assert summary.ttft_p50_s == 3.0  # of 1, 3, 6
    assert summary.ttft_p95_s == pytest.approx(3.0 + 0.9 * 3.0)
    assert summary.itl_p50_s == 1.5  # of 4/4 and 6/3; one token has no latency between tokens
    assert summary.e2e_p50_s == 6.0  # of 5, 9, 6
    assert summary.e2e_p95_s == pytest.approx(6.0 + 0.9 * 3.0)
    assert summary.memory_peak_bytes == 7e9
    assert (summary.completed, summary.failed) == (3, 0)


def test_a_failed_request_leaves_no_makespan_but_the_others_latencies() -> None:
    records = run()
    records.requests.append(request("d", 0.0, math.nan, math.nan, 9, status="timeout"))
    summary = summarize(records)
    assert math.isnan(summary.makespan_s) and math.isnan(summary.throughput_tokens_per_s)
    assert (summary.completed, summary.failed) == (3, 1)
    assert summary.e2e_p50_s == 6.0


def test_nothing_is_known_about_an_empty_run() -> None:
    summary = summarize(Records("measured"))
    assert all(math.isnan(getattr(summary, name)) for name in METRICS)
    assert (summary.completed, summary.failed) == (0, 0)
    assert {value for name, value in summary.to_dict().items() if name in METRICS} == {None}


def test_metrics_are_the_numbers_of_a_summary() -> None:
    assert set(METRICS) == {field.name for field in fields(Summary)} - {"completed", "failed", "deadlines_met_frac", "energy_j"}


@given(st.floats(0, 100), st.floats(0.1, 100))
def test_metrics_scale_and_shift_with_time(shift_s: float, factor: float) -> None:
    def moved(row: RequestRow) -> RequestRow:
        names = ("arrival_s", "first_token_s", "finish_s")
        return replace(row, **{name: shift_s + factor * getattr(row, name) for name in names})

    before = summarize(run())
    after = summarize(Records("simulated", [moved(row) for row in run().requests], [], run().states))
    for name in METRICS:
        power = {"throughput_tokens_per_s": -1, "memory_peak_bytes": 0}.get(name, 1)
        assert getattr(after, name) == pytest.approx(getattr(before, name) * factor**power, rel=1e-6), name


def test_intervals_are_central() -> None:
    summaries = [replace(summarize(run()), makespan_s=float(value), itl_p50_s=math.nan) for value in range(101)]
    found = intervals(summaries)
    half = intervals(summaries, level=0.5)["makespan_s"]
    assert (found["makespan_s"].value, found["makespan_s"].low, found["makespan_s"].high) == pytest.approx((50.0, 10.0, 90.0))
    assert (half.value, half.low, half.high) == pytest.approx((50.0, 25.0, 75.0))
    assert found["ttft_p50_s"] == Interval(3.0, 3.0, 3.0)
    assert all(math.isnan(value) for value in (found["itl_p50_s"].value, found["itl_p50_s"].low, found["itl_p50_s"].high))
    assert found["itl_p50_s"].to_dict() == {"value": None, "low": None, "high": None}


@pytest.mark.parametrize(("measured", "within"), [(1.0, True), (3.0, True), (0.99, False), (3.01, False), (math.nan, False)])
def test_an_interval_contains_its_bounds(measured: float, within: bool) -> None:
    assert Interval(2.0, 1.0, 3.0).contains(measured) is within


UNITS = {"_s": "s", "_tokens": "tokens", "_j": "J"}


@pytest.mark.parametrize("table", ROW_TYPES)
def test_every_column_has_a_meaning_and_the_unit_of_its_name(table: str) -> None:
    row = ROW_TYPES[table]
    described = columns(row)
    assert [column.name for column in described] == [field.name for field in fields(row)]
    kinds = {field.name: field.type for field in fields(row)}
    for column in described:
        assert len(column.meaning) >= 3, column.name
        ending = next((unit for suffix, unit in UNITS.items() if column.name.endswith(suffix)), None)
        if ending is not None:
            assert column.unit == ending, column.name
        assert bool(column.unit) == (kinds[column.name] in ("float", "int") and column.name != "slot"), column.name


@pytest.mark.parametrize("table", ROW_TYPES)
def test_frames_hold_the_rows(table: str) -> None:
    records = run()
    frame = records.to_frame(table)
    assert list(frame.columns) == [column.name for column in columns(ROW_TYPES[table])]
    rows = [ROW_TYPES[table](**values) for values in frame.to_dict("records")]
    same = [str(asdict(row)) for row in rows] == [str(asdict(row)) for row in getattr(records, table)]
    assert same, "as text, because nan is not equal to itself"
    assert list(Records("measured").to_frame(table).columns) == list(frame.columns)


def test_plain_data_is_json_without_nan() -> None:
    data = run().to_dict()
    text = json.dumps(data, allow_nan=False)
    assert json.loads(text)["requests"][0]["prefill_start_s"] is None
    assert json.loads(text)["requests"][0]["first_token_s"] == 2.0
    assert {name: len(rows) for name, rows in data.items() if name != "origin"} == {"requests": 3, "activities": 2, "states": 3}


@given(st.permutations(run().requests), st.permutations(run().activities), st.permutations(run().states))
def test_sorted_records_do_not_depend_on_the_order_of_their_making(
    requests: list[RequestRow], activities: list[ActivityRow], states: list[StateRow]
) -> None:
    assert str(Records("simulated", requests, activities, states).sort()) == str(run().sort())
