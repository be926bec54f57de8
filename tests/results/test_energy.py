"""Energy by hand, and its shares."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.results.columns import RequestRow, StateRow
from mmpredict.results.energy import share_energy, total_energy_j
from mmpredict.results.metrics import summarize
from mmpredict.results.records import Records


def row(name: str, start_s: float, first_s: float, finish_s: float, prompt: int = 9, output: int = 11) -> RequestRow:
    return RequestRow(
        name, "m", "m", 0.0, prompt, output, dispatched_s=start_s, prefill_start_s=start_s, first_token_s=first_s, finish_s=finish_s
    )


def power(*samples: tuple[float, float]) -> list[StateRow]:
    return [StateRow(time_s, "power", watts, math.nan) for time_s, watts in samples]


def test_power_is_linear_between_samples() -> None:
    states = [*power((2.0, 30.0), (0.0, 10.0), (1.0, 10.0)), StateRow(1.0, "power:gpu0", 500.0, math.nan)]
    assert total_energy_j(states) == 10.0 + 20.0
    assert summarize(Records("measured", [], [], states)).energy_j == 30.0
    assert math.isnan(total_energy_j(power((0.0, 10.0))))


def test_one_request_gets_what_is_used_while_it_is_worked_on() -> None:
    records = share_energy(Records("measured", [row("a", 1.0, 2.0, 3.0)], [], power((0.0, 10.0), (4.0, 10.0))))
    assert records.requests[0].energy_j == pytest.approx(20.0)


def test_two_requests_share_by_tokens_under_way() -> None:
    # 10 tokens of prompt and first output in a second beside 10 of the answer in two seconds: 2 to 1 for that second.
    rows = [row("a", 1.0, 2.0, 2.0, prompt=9, output=1), row("b", 0.0, 1.0, 3.0, prompt=9, output=11)]
    records = share_energy(Records("measured", rows, [], power((0.0, 6.0), (3.0, 6.0))))
    assert [one.energy_j for one in records.requests] == pytest.approx([4.0, 6.0 + 2.0 + 6.0])


def test_cached_tokens_cost_nothing() -> None:
    rows = [row("a", 0.0, 1.0, 1.0, prompt=9, output=1), row("b", 0.0, 1.0, 1.0, prompt=9, output=1)]
    rows[1].cached_tokens = 8
    records = share_energy(Records("measured", rows, [], power((0.0, 12.0), (1.0, 12.0))))
    assert [one.energy_j for one in records.requests] == pytest.approx([10.0, 2.0])


def test_what_is_not_known_is_not_told() -> None:
    failed = row("f", 1.0, 2.0, 3.0)
    failed.status = "timeout"
    before = row("before", -1.0, 2.0, 3.0)
    after = row("after", 1.0, 2.0, 9.0)
    never = RequestRow("never", "m", "m", 0.0, 9, 11)
    records = share_energy(Records("measured", [failed, before, after, never], [], power((0.0, 10.0), (4.0, 10.0))))
    assert all(math.isnan(one.energy_j) for one in records.requests)
    assert math.isnan(share_energy(Records("measured", [row("a", 1.0, 2.0, 3.0)])).requests[0].energy_j)


@given(
    st.lists(
        st.tuples(st.floats(0, 8), st.floats(0, 1), st.floats(0, 1), st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=8
    ),
    st.lists(st.floats(0, 500), min_size=2, max_size=20),
)
def test_shares_add_up_to_what_was_used_while_somebody_was_worked_on(
    spans: list[tuple[float, float, float, int, int]], watts: list[float]
) -> None:
    rows = [
        row(str(number), start_s, start_s + prefill_s, start_s + prefill_s + decode_s, prompt, output)
        for number, (start_s, prefill_s, decode_s, prompt, output) in enumerate(spans)
    ]
    samples = power(*((10.0 * number / (len(watts) - 1), value) for number, value in enumerate(watts)))
    records = share_energy(Records("measured", rows, [], samples))
    shared = sum(one.energy_j for one in records.requests)
    assert all(one.energy_j >= -1e-9 for one in records.requests)
    assert shared <= total_energy_j(samples) * (1 + 1e-9) + 1e-9
