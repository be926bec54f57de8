"""Measures of a run, by hand."""

from __future__ import annotations

import math

import pytest

from mmpredict.errors import UnknownNameError
from mmpredict.results.columns import ActivityRow, RequestRow, StateRow
from mmpredict.results.records import Records
from mmpredict.suite.measures import binds, measure


def request(name: str, instance: str, arrival_s: float, start_s: float, first_s: float, finish_s: float) -> RequestRow:
    row = RequestRow(name, instance, instance, arrival_s, 10, 5, start_s, 0.0, start_s, first_s, finish_s)
    row.load_wait_s = 2.0 if name == "c" else 0.0
    return row


RECORDS = Records(
    "simulated",
    [request("a", "x", 0, 1, 2, 4), request("b", "x", 0, 3, 4, 6), request("c", "y", 5, 8, 9, 13), request("d", "x", 6, 6, 7, 8)],
    [
        ActivityRow("x", "load", 0, 1),
        ActivityRow("y", "load", 5, 8),
        ActivityRow("x", "unload", 9, 9.5, cause="room for c"),
        ActivityRow("z", "load", 10, 11),
        ActivityRow("z", "unload", 12, 12.25, cause="idle"),
    ],
    [StateRow(1, "memory", 5.0, 9), StateRow(8, "memory", 7.0, 9), StateRow(8, "swapped", 3.0, 0)],
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("makespan_s", 13),
        ("memory_peak_bytes", 7),
        ("failed", 0),
        ("completed", 4),
        ("loads", 3),
        ("evictions", 1),
        ("resident", 2),  # x and y from 8 to 9, y and z from 11 to 12
        ("at_once", 2),  # a and b from 3 to 4
        ("swapped_bytes", 3),
        ("load_s", 3),
        ("load_s:x", 1),
        ("unload_s", 0.5),
        ("unload_s:z", 0.25),
        ("e2e_s:c", 8),
        ("served_during_load:y", 2),  # b until 6, d from 6 to 8
        ("served_during_load:z", 1),  # c
        ("served_during_load:x", 0),
    ],
)
def test_each_measure(name: str, value: float) -> None:
    assert measure(RECORDS, name) == value


def test_what_never_was_is_not_a_number() -> None:
    assert math.isnan(measure(RECORDS, "load_s:nobody"))
    assert math.isnan(measure(RECORDS, "e2e_s:nobody"))
    assert measure(Records("simulated"), "loads") == 0


def test_failed_requests_are_in_no_work() -> None:
    failed = request("e", "x", 0, 0, 20, 20)
    failed.status = "out of memory"
    assert measure(Records("simulated", [*RECORDS.requests, failed]), "at_once") == 2


def test_what_time_goes_to() -> None:
    # latencies 4 + 6 + 8 + 2 = 20: waits for loads 2, other waits 1 + 3 + 1 + 0, prompts 1 each, generation 2 + 2 + 4 + 1
    assert binds(RECORDS) == "generation 45%, waiting for others 25%, prompts 20%, waiting for loads 10%, evictions: 1"
    assert binds(Records("simulated")) == "no request was answered"


def test_unknown_measures_are_errors() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean .*load_s"):
        measure(RECORDS, "loads_s")
