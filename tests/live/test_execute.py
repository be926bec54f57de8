"""Executing a plan on two real servers: the same records as the simulation's, and a clean end however it ends."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from real_plans import (
    MEMORY_BYTES,
    MODELS,
    SEEN,
    UNSEEN,
    WORKLOAD,
    no_server_left,
    plan_of,
    specs,
    use_cache,
)

from mmpredict.calibrate import tasks
from mmpredict.calibrate.company import SetUp
from mmpredict.calibrate.fit import fit
from mmpredict.calibrate.protocol import EXPERTS, HEADS, LARGE, Protocol
from mmpredict.calibrate.run import Calibration
from mmpredict.cost.chain import CalibratedSource, CostModel
from mmpredict.cost.coefficients import Coefficients
from mmpredict.hardware.library import find_profile
from mmpredict.live.execute import execute_plan
from mmpredict.models.spec import ModelSpec
from mmpredict.results.metrics import summarize
from mmpredict.results.records import Records
from mmpredict.simulation.plan import Plan, Stage
from mmpredict.simulation.repeat import predict_plan
from mmpredict.simulation.run import simulate
from mmpredict.workload.request import Request, Workload

__all__ = ["no_server_left", "specs", "use_cache"]  # fixtures, which pytest finds by their names
FACTOR = 2.0  # between a makespan predicted from so short a calibration and the real one
ATTEMPTS = 3  # others may use the machine too, which only ever makes a run slower
SET_UPS = ("within", "yielding", "spinning")
SAMPLING_LAG_S = 0.3  # a memory figure may miss a server that became ready while it was taken

pytestmark = pytest.mark.live


@dataclass(frozen=True)
class ShortProtocol(Protocol):
    """One weight type and small shapes; three rounds, so that one disturbed figure is not the median."""

    weight_types: tuple[str, ...] = ("q4_0",)
    shape_types: tuple[str, ...] = ("q4_0",)
    prefill_tokens: tuple[int, ...] = (2, 32)
    long_prompt_tokens: tuple[int, ...] = (64,)
    decode_sequences: tuple[int, ...] = (1, 2)
    many_sequences: tuple[int, ...] = ()
    depth_tokens: tuple[int, ...] = (520,)
    decode_steps: int = 8
    pauses_s: tuple[float, ...] = (0.0, 0.2)
    rounds: int = 3
    company_s: float = 0.3
    alone_s: float = 0.3

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(name for name in super().models if not any(probe in name for probe in (LARGE, HEADS, EXPERTS)))


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Coefficients:
    """A real calibration of this machine for servers of one thread: quick, and steady whoever else uses the machine."""
    calibration = Calibration(find_profile(), "2026-11-20", ShortProtocol())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "thread_counts", lambda cores: (1,))
        patch.setattr(tasks, "set_ups", lambda cores, protocol: [SetUp(name, 1, None, 1) for name in SET_UPS])
        patch.setattr(tasks, "measure_stacked", lambda *_: iter(()))
        _, rows = calibration.run(path=tmp_path_factory.mktemp("calibration") / "measurements.jsonl")
    assert UNSEEN not in {row.model for row in rows}
    at_once = {int(row.number("servers")) for row in rows if row.kind == "joint-load"}
    assert at_once == set(tasks.joint_counts(calibration.cores))
    return fit(calibration.header, rows, calibration.specs)


@dataclass(frozen=True)
class Pair:
    """One plan, simulated and executed."""

    plan: Plan
    simulated: Records
    measured: Records


@pytest.fixture(scope="module", params=["sequential", "parallel-divided"])
def pair(
    request: pytest.FixtureRequest, calibrated: Coefficients, specs: dict[str, ModelSpec], tmp_path_factory: pytest.TempPathFactory
) -> Pair:
    plan = plan_of(request.param)
    simulated = simulate(plan, WORKLOAD, specs, CostModel(calibrated), MEMORY_BYTES)
    measured = execute_plan(plan, WORKLOAD, specs, MEMORY_BYTES, tmp_path_factory.mktemp("logs"))
    return Pair(plan, simulated, measured)


def test_both_tell_of_the_same_requests(pair: Pair) -> None:
    told = [
        [
            (
                row.request,
                row.model,
                row.instance,
                row.arrival_s,
                row.prompt_tokens,
                row.output_tokens,
                row.cached_tokens,
                row.status,
            )
            for row in records.requests
        ]
        for records in (pair.simulated, pair.measured)
    ]
    assert told[0] == told[1]
    assert [row[:2] for row in told[1]] == [(r.id, r.model) for r in sorted(WORKLOAD.requests, key=lambda r: (r.arrival_s, r.id))]


def test_both_tell_of_the_same_activities(pair: Pair) -> None:
    simulated, measured = (
        Counter((row.instance, row.kind, row.request) for row in records.activities) for records in (pair.simulated, pair.measured)
    )
    assert simulated == measured
    assert {kind for _, kind, _ in measured} == {"load", "prefill", "decode", "unload"}
    assert set(measured.values()) == {1}


def test_both_use_the_same_slots(pair: Pair) -> None:
    if pair.plan.strategy == "sequential":  # elsewhere the order in which requests arrive is a matter of microseconds
        assert [row.slot for row in pair.simulated.requests] == [row.slot for row in pair.measured.requests]
    for row in pair.measured.requests:
        assert 0 <= row.slot < pair.plan.instance(row.instance).slots


@pytest.mark.parametrize("origin", ["simulated", "measured"])
def test_times_are_in_order(pair: Pair, origin: str) -> None:
    records: Records = getattr(pair, origin)
    assert records.origin == origin
    done = {(row.instance, row.kind, row.request): (row.start_s, row.end_s) for row in records.activities}
    for row in records.requests:
        assert row.arrival_s <= row.dispatched_s <= row.prefill_start_s <= row.first_token_s <= row.finish_s
        assert (row.first_token_s < row.finish_s) == (row.output_tokens > 1)
        assert done[row.instance, "prefill", row.request] == (row.prefill_start_s, row.first_token_s)
        assert done[row.instance, "decode", row.request] == (row.first_token_s, row.finish_s)
        loaded_s, unloaded_s = done[row.instance, "load", ""][1], done[row.instance, "unload", ""][0]
        assert loaded_s <= row.dispatched_s
        assert row.finish_s <= unloaded_s
        assert 0 <= row.load_wait_s <= row.dispatched_s
    assert all(0 <= start_s <= end_s for start_s, end_s in done.values())


@pytest.mark.parametrize("origin", ["simulated", "measured"])
def test_stages_follow_each_other(pair: Pair, origin: str) -> None:
    records: Records = getattr(pair, origin)
    spans = {
        kind: {row.instance: (row.start_s, row.end_s) for row in records.activities if row.kind == kind}
        for kind in ("load", "unload")
    }
    first, second = (instance.name for instance in pair.plan.instances)
    if pair.plan.strategy == "sequential":
        assert spans["load"][second][0] >= spans["unload"][first][1]
        inside = sorted((row.dispatched_s, row.finish_s) for row in records.requests)
        assert all(ended_s <= begun_s for (_, ended_s), (begun_s, _) in pairwise(inside))
    else:
        assert spans["load"][second][0] < spans["load"][first][1]
        assert min(row.dispatched_s for row in records.requests) >= max(end_s for _, end_s in spans["load"].values())


@pytest.mark.parametrize("origin", ["simulated", "measured"])
def test_memory_holds_at_least_the_weights(pair: Pair, origin: str, specs: dict[str, ModelSpec]) -> None:
    records: Records = getattr(pair, origin)
    states = [row for row in records.states if row.resource == "memory"]
    loaded = {row.instance: row.end_s for row in records.activities if row.kind == "load"}
    unloaded = {row.instance: row.start_s for row in records.activities if row.kind == "unload"}
    lag_s = SAMPLING_LAG_S if origin == "measured" else 0.0
    weights = {instance.name: specs[instance.model].weight_bytes for instance in pair.plan.instances}
    covered = set()
    for state in states:
        assert state.capacity == MEMORY_BYTES
        assert state.used < MEMORY_BYTES
        resident = [name for name in weights if loaded[name] + lag_s <= state.time_s < unloaded[name]]
        assert state.used > sum(weights[name] for name in resident) or not resident
        covered.update(resident)
    assert covered == set(weights)


def test_memory_is_as_predicted(pair: Pair) -> None:
    simulated, measured = summarize(pair.simulated).memory_peak_bytes, summarize(pair.measured).memory_peak_bytes
    print(f"memory: predicted {simulated / 1e6:.0f} MB, measured {measured / 1e6:.0f} MB")
    assert measured == pytest.approx(simulated, rel=0.25)


@pytest.mark.parametrize(("strategy", "models"), [("sequential", (UNSEEN,)), ("sequential", MODELS), ("parallel-divided", MODELS)])
def test_makespan_of_a_model_that_was_not_calibrated_on(
    strategy: str, models: tuple[str, ...], calibrated: Coefficients, specs: dict[str, ModelSpec], tmp_path: Path
) -> None:
    plan = plan_of(strategy, models)
    workload = Workload(tuple(request for request in WORKLOAD.requests if request.model in models))
    expected = predict_plan(plan, workload, specs, CalibratedSource(calibrated), MEMORY_BYTES, draws=50).metrics["makespan_s"]
    runs_s: list[float] = []
    while len(runs_s) < ATTEMPTS and not (runs_s and min(runs_s) < expected.value * FACTOR):
        runs_s.append(summarize(execute_plan(plan, workload, specs, MEMORY_BYTES, tmp_path)).makespan_s)
    print(f"{strategy}: predicted {expected.value:.2f} s ({expected.low:.2f} to {expected.high:.2f}), measured {runs_s} s")
    assert min(runs_s) / FACTOR < expected.value < min(runs_s) * FACTOR


def test_stages_without_requests_are_not_started(specs: dict[str, ModelSpec], tmp_path: Path) -> None:
    plan = plan_of("sequential")
    assert plan.stages == (Stage((UNSEEN,), 1), Stage((SEEN,), 1))
    records = execute_plan(plan, Workload((Request("only", SEEN, 8, 2),)), specs, MEMORY_BYTES, tmp_path)
    assert {row.instance for row in records.activities} == {SEEN}
    assert len(list(tmp_path.iterdir())) == 1
