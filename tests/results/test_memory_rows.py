"""Predicted against measured memory: tolerances and their summary."""

from __future__ import annotations

import pytest

from mmpredict.results.memory import MemoryRow, Part, passed, summary
from mmpredict.units import MIB


def row(part: Part, predicted_mib: float, measured_mib: float) -> MemoryRow:
    return MemoryRow("m", "llama", "ctx", part, predicted_mib * MIB, measured_mib * MIB)


@pytest.mark.parametrize(
    ("part", "predicted", "measured", "within"),
    [
        ("weights", 1000.9, 1000, True),
        ("weights", 1001.1, 1000, False),
        ("cache", 998.5, 1000, False),
        ("compute buffer", 109, 100, True),
        ("compute buffer", 111, 100, False),
        ("compute buffer", 2.9, 2.0, True),  # less than 1 MiB
        ("process", 951, 1000, True),
        ("process", 949, 1000, False),
        ("two processes", 1051, 1000, False),
        ("cache", 0, 0, True),
    ],
)
def test_tolerances(part: Part, predicted: float, measured: float, within: bool) -> None:
    assert row(part, predicted, measured).within is within


def test_a_median_of_processes_beyond_two_percent_fails_though_each_is_within() -> None:
    good = [row("process", 1001, 1000), row("process", 1010, 1000), row("process", 1040, 1000)]
    assert passed(good)
    assert not passed([*good, row("process", 1030, 1000), row("process", 1030, 1000)])
    assert not passed([*good, row("weights", 1002, 1000)])


def test_summary_counts_every_part_once() -> None:
    found = summary([row("process", 1010, 1000), row("process", 980, 1000), row("cache", 5, 5)])
    assert list(found) == ["cache", "process"]
    assert found["process"] == {
        "rows": 2,
        "median_error_frac": pytest.approx(0.015),
        "largest_error_frac": pytest.approx(0.02),
        "within": True,
    }


def test_a_prediction_of_something_that_is_not_there_is_an_error() -> None:
    assert row("cache", 5, 0).error_frac == 1.0
    assert not row("cache", 5, 0).within
