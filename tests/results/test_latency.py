"""Distributions and goodput of requests whose times are known."""

from __future__ import annotations

import math

import pytest

from mmpredict.results.columns import RequestRow
from mmpredict.results.latency import Objectives, distributions, goodput
from mmpredict.results.request_table import RequestTable


def row(
    arrival_s: float, load_s: float, prefill_s: float, first_s: float, finish_s: float, tokens: int, status: str = "ok"
) -> RequestRow:
    return RequestRow("r", "m", "i", arrival_s, 10, tokens, arrival_s, load_s, prefill_s, first_s, finish_s, status=status)


TABLE = RequestTable(
    [
        row(0.0, 1.0, 1.5, 2.0, 4.0, 5),
        row(1.0, 0.0, 1.0, 2.0, 2.0, 1),
        row(2.0, 0.0, 4.0, 5.0, 10.0, 3),
        row(3.0, math.nan, math.nan, math.nan, math.nan, 9, "timeout"),
    ]
)


def test_times_add_up() -> None:
    found = distributions(TABLE)
    assert found["load_wait"].mean == pytest.approx(1 / 3)
    assert found["queueing"].mean == pytest.approx((0.5 + 0.0 + 2.0) / 3)
    assert (found["ttft"].p50, found["ttft"].p99) == pytest.approx((2.0, 3.0 - 0.02))
    assert found["itl"].mean == pytest.approx((0.5 + 2.5) / 2), "an answer of one token has no time between tokens"
    assert found["e2e"].p90 == pytest.approx(4.0 + 0.8 * 4.0)


def test_goodput_counts_what_meets_every_objective() -> None:
    assert goodput(TABLE, Objectives()) == pytest.approx((3 / 10, 3 / 4))
    assert goodput(TABLE, Objectives(ttft_s=2.5)) == pytest.approx((2 / 10, 2 / 4))
    assert goodput(TABLE, Objectives(ttft_s=2.5, itl_s=0.4)) == pytest.approx((1 / 10, 1 / 4))
    assert goodput(TABLE, Objectives(e2e_s=0.5)) == (0.0, 0.0)


def test_nothing_has_no_distribution() -> None:
    empty = RequestTable()
    assert all(math.isnan(value) for value in (distributions(empty)["ttft"].mean, goodput(empty, Objectives())[1]))
    assert distributions(empty)["e2e"].to_dict()["p50"] is None


def test_a_table_keeps_what_rows_say() -> None:
    frame = TABLE.to_frame()
    assert list(frame["status"]) == ["ok", "ok", "ok", "timeout"]
    assert list(frame["output_tokens"]) == [5, 1, 3, 9]
    assert frame["finish_s"].sum() == 16.0
