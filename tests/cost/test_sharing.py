"""Laws of sharing a whole machine: what no number may break, and what was seen of one GPU."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.cost.contention import Contention, Demand
from mmpredict.cost.draw import GPU_EFFICIENCY, SLICE, Draw, draw_sharing
from mmpredict.cost.level import level
from mmpredict.cost.sharing import MachineSharing

FREE_CORES = Contention(64, 1.0, 0.9, 0.7, 0.4, 0.0)
NEARLY = 1 + 1e-12
fractions = st.floats(0.02, 1.0)


@st.composite
def demands(draw: st.DrawFn) -> Demand:
    on_gpu = draw(st.booleans())
    gpu = draw(fractions) if on_gpu else 0.0
    solo_s = draw(st.floats(1e-3, 100.0))
    return Demand(
        phase=draw(st.sampled_from(["load", "prefill", "decode"])),
        threads=1 if on_gpu else draw(st.integers(1, 8)),
        yielding=draw(st.booleans()),
        solo_s=solo_s,
        layers=draw(st.floats(0.0, 5000.0)),
        stacked=False,
        gpu=gpu,
        quantum_s=draw(st.floats(1e-4, 1.0)),
        bandwidth=draw(st.floats(0.0, 1.0)),
    )


@st.composite
def machines(draw: st.DrawFn) -> MachineSharing:
    yielding = draw(fractions)
    cpu = Contention(draw(st.integers(1, 16)), 1.0, yielding, yielding * draw(fractions), yielding * draw(fractions), 0.0)
    return MachineSharing(cpu, draw(st.floats(1e-3, 0.1)), draw(fractions), draw(st.booleans()))


companies = st.lists(demands(), min_size=1, max_size=6)


def decode(step_s: float, gpu: float = 1.0, bandwidth: float = 0.0) -> Demand:
    return Demand("decode", 1, True, 100 * step_s, 1.0, False, gpu, step_s, bandwidth)


def on_cpu(bandwidth: float, threads: int = 1) -> Demand:
    return Demand("decode", threads, True, 1.0, 1.0, False, 0.0, 0.01, bandwidth)


@given(machines(), demands())
def test_alone_is_full_speed(machine: MachineSharing, demand: Demand) -> None:
    assert machine.rates([demand]) == [1.0]


@given(machines(), companies)
def test_company_never_makes_faster_than_alone_nor_stops_anybody(machine: MachineSharing, company: list[Demand]) -> None:
    assert all(0.0 < rate <= 1.0 for rate in machine.rates(company))


@given(machines(), companies, demands())
def test_one_more_activity_speeds_nobody_up(machine: MachineSharing, company: list[Demand], another: Demand) -> None:
    before, after = machine.rates(company), machine.rates([*company, another])
    assert all(late <= early * NEARLY for early, late in zip(before, after, strict=False))


@given(machines(), companies, st.randoms(use_true_random=False))
def test_the_order_of_activities_does_not_matter(machine: MachineSharing, company: list[Demand], random: Random) -> None:
    order = list(range(len(company)))
    random.shuffle(order)
    assert machine.rates([company[index] for index in order]) == [machine.rates(company)[index] for index in order]


@given(machines(), companies)
def test_no_more_of_the_gpu_is_given_out_than_there_is(machine: MachineSharing, company: list[Demand]) -> None:
    used = sum(rate * demand.gpu for rate, demand in zip(machine.rates(company), company, strict=True))
    busy = [demand for demand in company if demand.gpu > 0.0]
    assert used <= (machine.gpu_efficiency if len(busy) > 1 else 1.0) * NEARLY


@given(machines(), companies)
def test_no_more_bandwidth_is_given_out_than_there_is(machine: MachineSharing, company: list[Demand]) -> None:
    physical = [replace(demand, bandwidth=min(demand.bandwidth, demand.gpu or 1.0)) for demand in company]
    moved = sum(rate * demand.bandwidth for rate, demand in zip(machine.rates(physical), physical, strict=True))
    if machine.unified or not any(demand.gpu for demand in physical):
        assert moved <= NEARLY


@given(machines(), companies, st.floats(1.0, 8.0))
def test_more_cores_and_a_more_efficient_gpu_are_never_slower(
    machine: MachineSharing, company: list[Demand], factor: float
) -> None:
    cpu = replace(machine.cpu, cores=math.ceil(machine.cpu.cores * factor))
    better = replace(machine, cpu=cpu, gpu_efficiency=min(1.0, machine.gpu_efficiency * factor))
    assert all(fast * NEARLY >= slow for slow, fast in zip(machine.rates(company), better.rates(company), strict=True))


@given(st.lists(st.tuples(st.floats(0.0, 2.0), st.floats(0.01, 3.0)), min_size=1, max_size=8), st.floats(0.05, 4.0))
def test_the_level_uses_a_resource_up_or_suffices_for_all(needs: list[tuple[float, float]], capacity: float) -> None:
    found = level([need for need, _ in needs], [weight for _, weight in needs], capacity)
    taken = sum(min(need, found * weight) if math.isfinite(found) else need for need, weight in needs)
    assert taken <= capacity * (1 + 1e-9)
    if math.isfinite(found):
        assert taken == pytest.approx(capacity, rel=1e-9)


def test_decoding_servers_step_in_turn_whatever_their_sizes() -> None:
    # a step of each in a round: both take the sum of the two
    machine = MachineSharing(FREE_CORES, 0.017, 1.0, False)
    small, large = machine.rates([decode(0.002), decode(0.004)])
    assert (0.002 / small, 0.004 / large) == (pytest.approx(0.006), pytest.approx(0.006))


def test_a_decoding_server_waits_for_a_slice_of_a_prompt() -> None:
    machine = MachineSharing(FREE_CORES, 0.017, 1.0, False)
    prompt = Demand("prefill", 1, True, 1.0, 1.0, False, 1.0, 0.1, 0.0)
    step, whole = machine.rates([decode(0.002), prompt])
    assert 0.002 / step == pytest.approx(0.019)
    assert whole == pytest.approx(17 / 19)


def test_gaps_of_one_are_used_by_the_other() -> None:
    machine = MachineSharing(FREE_CORES, 0.017, 1.0, False)
    assert machine.rates([decode(0.004, gpu=0.5), decode(0.004, gpu=0.5)]) == [1.0, 1.0]
    greedy, modest = machine.rates([decode(0.010), decode(0.050, gpu=0.2)])
    assert (greedy, modest) == (pytest.approx(0.8), 1.0)


def test_what_cpu_and_gpu_read_of_one_memory_is_divided_evenly() -> None:
    together = MachineSharing(FREE_CORES, 0.017, 1.0, True)
    company = [decode(0.01, bandwidth=0.9), on_cpu(0.6)]
    assert together.rates(company) == [pytest.approx(0.5 / 0.9), pytest.approx(0.5 / 0.6)]
    assert together.rates([decode(0.01, bandwidth=0.9), on_cpu(0.1)]) == [1.0, 1.0]
    assert replace(together, unified=False).rates(company) == [1.0, 1.0]


def test_several_on_the_gpu_read_no_more_than_one() -> None:
    machine = MachineSharing(FREE_CORES, 0.017, 1.0, True)
    assert machine.rates([decode(0.01, bandwidth=0.9), decode(0.01, bandwidth=0.9)]) == [pytest.approx(0.5)] * 2


RUNS = Path(__file__).parents[2] / "calibration" / "runs" / "h200" / "several-models.jsonl"
SAMPLING_S = 0.28e-3  # of one token of 150,000 words, about


def decoding_companies() -> Iterator[tuple[list[float], list[float]]]:
    """Steps of servers that decode on one card: alone, and together [s]."""
    rows = [json.loads(line) for line in RUNS.read_text("utf-8").splitlines()]
    alone = {row["model"]: 1 / row["rate"] for row in rows if row["kind"] == "alone" and row["phase"] == "decode"}
    for row in rows:
        found = [row["a"], row["b"]] if row["kind"] == "pair" else row["r"] if row["kind"] == "three" else []
        if found and all(one["phase"] == "decode" for one in found):
            yield [alone[model] for model in row["models"]], [1 / one["rate"] for one in found]


def test_measured_servers_take_turns_as_the_law_says() -> None:
    machine = draw_sharing(16, True, False, Draw())
    companies = list(decoding_companies())
    assert len(companies) == 5
    for alone_s, together_s in companies:
        assert max(together_s) < 1.02 * min(together_s), "all at the same rate, whatever their sizes"
        rates = machine.rates([decode(step_s, gpu=1 - SAMPLING_S / step_s) for step_s in alone_s])
        predicted_s = [step_s / rate for step_s, rate in zip(alone_s, rates, strict=True)]
        assert predicted_s == [pytest.approx(measured_s, rel=0.25) for measured_s in together_s]


def test_other_makers_have_wider_luck() -> None:
    def spread(nvidia: bool) -> float:
        logs = [math.log(draw_sharing(8, nvidia, False, Draw(0, number)).slice_s) for number in range(200)]
        return max(logs) - min(logs)

    assert spread(False) == pytest.approx(4 * spread(True))
    median = draw_sharing(8, True, True, Draw())
    assert (median.slice_s, median.gpu_efficiency, median.cores) == (SLICE.value, GPU_EFFICIENCY.value, 8)
