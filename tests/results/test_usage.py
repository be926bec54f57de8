"""What company cost and how busy a machine was, by hand."""

from __future__ import annotations

import math

import pytest

from mmpredict.results.columns import ActivityRow, StateRow
from mmpredict.results.records import Records
from mmpredict.results.usage import usage


def test_usage_by_hand() -> None:
    records = Records(
        "simulated",
        [],
        [
            ActivityRow("a", "load", 0.0, 2.0, slowdown=2.0),
            ActivityRow("a", "decode", 2.0, 6.0, "r", 4.0),
            ActivityRow("b", "decode", 2.0, 4.0, "s", 1.0),
            ActivityRow("b", "decode", 4.0, math.nan, "t"),
            ActivityRow("a", "unload", 8.0, 10.0),
        ],
        [StateRow(0.0, "cores", 1.0, 2.0), StateRow(5.0, "cores", 2.0, 2.0), StateRow(8.0, "cores", 0.0, 2.0)],
    )
    found = usage(records)
    assert found.contention == {"load": 2.0, "decode": pytest.approx((4.0 + 2.0) / (1.0 + 2.0))}
    assert found.mean == {"cores": pytest.approx((5.0 + 6.0) / 10.0)}
    assert (found.peak, found.capacity) == ({"cores": 2.0}, {"cores": 2.0})
    assert (found.loads, found.unloads) == (1, 1)


def test_an_empty_run_used_nothing() -> None:
    assert usage(Records("measured")).to_dict() == {
        "contention": {},
        "mean": {},
        "peak": {},
        "capacity": {},
        "loads": 0,
        "unloads": 0,
    }
