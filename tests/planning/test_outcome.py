"""Numbers of a run: percentiles, deadlines, objectives, memory of two kinds, energy, and what binds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.errors import InputError
from mmpredict.hardware.library import find_profile
from mmpredict.planning.energy import Power, covered_s, power_of, require_power
from mmpredict.planning.explain import binding
from mmpredict.planning.goals import Objective
from mmpredict.planning.outcome import outcome, percentile
from mmpredict.results.columns import ActivityRow, RequestRow, StateRow
from mmpredict.results.records import Records


def row(name: str, model: str, arrival_s: float, first_s: float, finish_s: float, status: str = "ok") -> RequestRow:
    return RequestRow(
        name, model, model, arrival_s, 10, 11, arrival_s, 0.0, arrival_s, first_s, finish_s, status=status
    )  # fmt: skip


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.sampled_from([0, 50, 90, 95, 100]))
def test_percentiles_are_numpys(values: list[float], rank: int) -> None:
    assert percentile(np.array(values), rank) == pytest.approx(np.percentile(values, rank))
    assert math.isnan(percentile(np.array([]), rank))


def test_metrics_deadlines_and_objectives() -> None:
    records = Records("simulated", [row("a", "m", 0, 1, 3), row("b", "n", 1, 2, 9), row("c", "m", 2, 3, 4)])
    objectives = [Objective("m", "ttft", "p95", 9), Objective("", "e2e", "mean", 9), Objective("n", "itl", "p50", 9)]
    found = outcome(records, {"a": 3.0, "b": 7.9}, objectives, {})
    assert found.metrics["makespan_s"] == 9 and found.metrics["throughput_tokens_per_s"] == pytest.approx(33 / 9)
    assert found.metrics["latency_mean_s"] == pytest.approx(13 / 3) and found.metrics["ttft_mean_s"] == 1
    assert found.deadlines_frac == 0.5
    assert found.objectives_s == pytest.approx((1.0, 13 / 3, 0.7))
    assert math.isnan(outcome(records, {}, [], {}).deadlines_frac)


def test_a_request_without_an_answer_misses_its_deadline_and_leaves_no_makespan() -> None:
    records = Records("simulated", [row("a", "m", 0, 1, 3), row("b", "m", 0, math.nan, math.nan, "refused")])
    found = outcome(records, {"b": 99.0}, [], {})
    assert found.failed == 1 and found.deadlines_frac == 0.0 and math.isnan(found.metrics["makespan_s"])


def test_memory_of_a_gpu_counts_beside_the_main_memory() -> None:
    records = Records("simulated", [row("a", "m", 0, 1, 3)])
    records.states = [StateRow(0, "memory", 100, 1000), StateRow(2, "memory", 50, 1000)]
    records.activities = [ActivityRow("m", "load", 0, 1), ActivityRow("m", "unload", 3, 3), ActivityRow("n", "load", 3, 4)]
    assert outcome(records, {}, [], {"m": 0.0, "n": 0.0}).metrics["memory_bytes"] == 100
    assert outcome(records, {}, [], {"m": 7.0, "n": 5.0}).metrics["memory_bytes"] == 107


def test_energy_is_idle_power_and_a_share_of_the_rest() -> None:
    records = Records("simulated")
    records.states = [StateRow(0, "cores", 4, 4), StateRow(1, "cores", 2, 4), StateRow(3, "cores", 0, 4)]
    records.activities = [ActivityRow("m", "load", 0, 1), ActivityRow("m", "decode", 1, 2), ActivityRow("n", "decode", 1.5, 3)]
    power = Power(10, 50)
    assert power.energy_j(records, 5.0, on_gpu=False) == pytest.approx(10 * 5 + 40 * (1 + 0.5 * 2))
    assert power.energy_j(records, 5.0, on_gpu=True) == pytest.approx(10 * 5 + 40 * 2)
    assert covered_s([(0, 2), (1, 3), (5, 6)]) == 4
    assert power_of(find_profile("ms-s1-max")) == Power(10.5, 130)
    with pytest.raises(InputError, match="the profile of rtx-4090 does not know idle_w and peak_w of the whole machine"):
        require_power(find_profile("rtx-4090"))


def test_what_binds() -> None:
    def bound(*activities: ActivityRow, finish_s: float = 10.0, on_gpu: bool = False) -> str:
        records = Records("simulated", [row("a", "m", 0, 5, finish_s)], list(activities))
        return binding(records, on_gpu).resource

    assert bound(ActivityRow("m", "load", 0, 6, slowdown=1), ActivityRow("m", "decode", 6, 10, slowdown=1)) == "load time"
    assert bound(ActivityRow("m", "decode", 0, 2, slowdown=1)) == "arrivals"
    assert bound(ActivityRow("m", "decode", 0, 9, slowdown=1.05)) == "memory bandwidth"
    assert bound(ActivityRow("m", "prefill", 0, 9, slowdown=1.0)) == "compute"
    assert bound(ActivityRow("m", "decode", 0, 9, slowdown=2.0)) == "cores"
    assert bound(ActivityRow("m", "decode", 0, 9, slowdown=2.0), on_gpu=True) == "GPU time"
    shares = binding(Records("simulated", [row("a", "m", 0, 5, 10)], [ActivityRow("m", "load", 0, 4, slowdown=1)]), False).shares
    assert shares == {"load": 0.4, "prefill": 0.0, "decode": 0.0, "idle": 0.6}
