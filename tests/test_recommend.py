"""``recommend``: limits are kept, the answer is explained, and neither chance nor machines that help change it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from mmpredict import MmpredictError, export, recommend
from mmpredict.api import forecast
from mmpredict.cost.coefficients import Coefficients
from mmpredict.errors import DoesNotFitError, InputError, UnknownNameError
from mmpredict.scenario import RequestSection, Scenario, read_scenario
from mmpredict.scenario.recommend_section import RecommendSection
from mmpredict.simulation.serving import StagesServing

A, B, C = "synthetic:smollm2-135m@q8_0", "synthetic:gemma3-270m@q8_0", "synthetic:qwen2.5-0.5b@q8_0"
MACHINE = """
name = "bench"
pools.ram = { capacity_bytes = 8e9, usable_bytes = 6e9 }
processors = [{ kind = "cpu", model = "four cores", cores = 4 }]
"""


@pytest.fixture
def question(tmp_path: Path) -> Scenario:
    (tmp_path / "bench.toml").write_text(MACHINE)
    requests = [(A, 100, 20), (B, 300, 40), (C, 200, 30), (A, 50, 60), (C, 400, 10)]
    sections = tuple(
        RequestSection(model=model, prompt_tokens=prompt, output_tokens=answer, deadline_s=8.0)
        for model, prompt, answer in requests
    )
    return Scenario(hardware=str(tmp_path / "bench.toml"), requests=sections)


def test_the_answer(question: Scenario, coefficients: Coefficients) -> None:
    found = recommend(question, coefficients=coefficients)
    ranking = found.ranking
    once = [one.once for one in ranking.ranked if not one.draws]
    assert once == sorted(once)
    best, second = ranking.ranked[:2]
    assert ranking.best is best and found.plan is found.plans[best.name]
    assert best.goal.low <= best.goal.value <= best.goal.high and len(best.draws) == ranking.drawn
    assert second.worse_frac >= 0 and 0 <= second.probability <= 1 and math.isnan(best.probability)
    assert second.probability == pytest.approx(
        sum((a < b) + 0.5 * (a == b) for a, b in zip(best.draws, second.draws, strict=True)) / ranking.drawn
    )
    assert best.binding is not None and best.binding.resource in best.binding.sentence
    assert {point.name for point in ranking.front} == {one.name for one in ranking.ranked if one.on_front}
    memory = [point.memory_bytes for point in ranking.front]
    assert memory == sorted(memory) and [p.goal for p in ranking.front] == sorted((p.goal for p in ranking.front), reverse=True)
    changes = {"loads longer", "loads shorter", "machine slower", "machine faster", "less memory"}
    assert {one.change for one in ranking.sensitivity} == changes
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["ranking"]["ranked"][0]["name"] == best.name


def test_the_same_question_has_the_same_bytes(question: Scenario, coefficients: Coefficients) -> None:
    texts = {json.dumps(recommend(question, coefficients=coefficients, workers=workers).to_dict()) for workers in (1, 2)}
    assert len(texts) == 1


def test_dask_gives_the_same_bytes(question: Scenario, coefficients: Coefficients) -> None:
    import distributed
    import joblib

    few = {"families": ["sequential", "parallel"], "sensitivity": False, "coefficients": coefficients}
    alone = json.dumps(recommend(question, workers=1, **few).to_dict())
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        assert json.dumps(recommend(question, workers=2, **few).to_dict()) == alone


def test_limits(question: Scenario, coefficients: Coefficients) -> None:
    free = recommend(question, coefficients=coefficients, sensitivity=False)
    tight = recommend(question, coefficients=coefficients, sensitivity=True, max_memory="900MB")
    assert all(one.metrics["memory_bytes"].value < 950e6 for one in tight.ranking.ranked)
    assert tight.best.once > free.best.once and tight.ranking.infeasible
    assert any(one.change == "more memory" and one.factor > 1 for one in tight.ranking.sensitivity)
    resident = recommend(question, coefficients=coefficients, resident=[A], families=["sequential", "parallel", "llama-swap"])
    assert {one.strategy for one in resident.ranking.infeasible} >= {"sequential"}
    assert {one.strategy for one in resident.ranking.ranked} == {"parallel", "llama-swap"}
    cores = recommend(question, coefficients=coefficients, max_cores=2, sensitivity=False)
    for one in cores.ranking.ranked:
        plan = cores.plans[one.name]
        if isinstance(plan.serving, StagesServing):
            assert all(sum(plan.instance(name).threads for name in stage.instances) <= 2 for stage in plan.stages)


def test_with_less_memory_the_best_plan_that_fits_is_found_however_far_down_it_is(
    question: Scenario, coefficients: Coefficients
) -> None:
    given = {"coefficients": coefficients, "families": ["sequential", "parallel"], "thorough": True}
    free = recommend(question, **given, finalists=1, draws=1, sensitivity=False)
    limit_bytes = 1.01 * max(one.metrics["memory_bytes"].value for one in free.ranking.ranked[:8])
    ranking = recommend(question, **given, finalists=1, draws=1, max_memory=limit_bytes).ranking
    fitting = [point for point in ranking.front if point.memory_bytes <= 0.8 * limit_bytes]
    assert all(one.metrics["memory_bytes"].value > 0.8 * limit_bytes for one in ranking.ranked[:8]) and fitting
    (less,) = [one for one in ranking.sensitivity if one.change == "less memory"]
    assert less.best == min(fitting, key=lambda point: point.goal).name and less.flips


def test_objectives_and_deadlines(question: Scenario, coefficients: Coefficients) -> None:
    free = recommend(question, coefficients=coefficients, families=["sequential", "parallel"])
    limit_s = sorted(one.metrics["ttft_p95_s"].value for one in free.ranking.ranked)[1]
    kept = recommend(
        question, coefficients=coefficients, families=["sequential", "parallel"], objectives=[f"ttft_p95={limit_s:.3f}s"]
    )
    assert 0 < len(kept.ranking.ranked) < len(free.ranking.ranked)
    assert kept.best.objectives[0].reached_s <= limit_s * 1.001 and 0 <= kept.best.objectives[0].probability <= 1
    assert any("misses ttft_p95 ≤" in one.reason for one in kept.ranking.infeasible)
    assert 0 <= free.best.deadlines_frac <= 1
    least = max(one.deadlines_frac for one in free.ranking.ranked)
    strict = recommend(question, coefficients=coefficients, families=["sequential", "parallel"], deadlines_met=least)
    assert all(one.deadlines_frac >= least for one in strict.ranking.ranked)
    with pytest.raises(DoesNotFitError, match=r"none of \d+ plans keeps the limits. .*misses"):
        recommend(question, coefficients=coefficients, objectives=[f"{A}:ttft_p95=1ms"])


def test_quantizations_are_looked_at_when_asked_for(question: Scenario, coefficients: Coefficients) -> None:
    found = recommend(question, goal="memory", coefficients=coefficients, families=["sequential"], quantizations=["Q5_0"])
    assert found.best.knobs["quantization"] == "Q5_0" and "Q5_0" in found.best.name
    assert found.specs_of(found.best)[A].weight_bytes < question.specs()[A].weight_bytes


def test_what_a_scenario_says_is_asked(question: Scenario, coefficients: Coefficients, tmp_path: Path) -> None:
    section = RecommendSection(goal="memory", families=("sequential",), max_memory="2GB")
    found = recommend(question.model_copy(update={"recommend": section}), coefficients=coefficients)
    assert (found.ranking.goal, {one.strategy for one in found.ranking.ranked}) == ("memory", {"sequential"})
    other = recommend(question.model_copy(update={"recommend": section}), "throughput", coefficients=coefficients)
    assert other.ranking.goal == "throughput" and other.ranking.larger
    path = tmp_path / "s.toml"
    path.write_text(f'[recommend]\ngoal = "ttft"\n[[requests]]\nmodel = "{A}"\nprompt_tokens = 5\noutput_tokens = 5\n')
    assert read_scenario(path).recommend.goal == "ttft"


def test_mistakes_are_named(question: Scenario, coefficients: Coefficients) -> None:
    with pytest.raises(UnknownNameError, match="unknown goal 'speed'"):
        recommend(question, goal="speed", coefficients=coefficients)
    with pytest.raises(UnknownNameError, match="unknown resident model 'x'"):
        recommend(question, resident=["x"], coefficients=coefficients)
    with pytest.raises(InputError, match="does not know idle_w and peak_w"):
        recommend(question, goal="energy", coefficients=coefficients)
    with pytest.raises(InputError, match="max_cores is 0"):
        recommend(question, max_cores=0, coefficients=coefficients)
    with pytest.raises(InputError, match="finalists is 0; it must be 1 or more"):
        recommend(question, finalists=0, coefficients=coefficients)
    with pytest.raises(MmpredictError, match="none of"):
        recommend(question, max_memory="1MB", coefficients=coefficients)
    with pytest.raises(InputError, match="max_memory is -5"):
        recommend(question, max_memory=-5, coefficients=coefficients)


def test_energy_where_the_machine_knows_its_watts(question: Scenario) -> None:
    found = recommend(question.model_copy(update={"hardware": "ms-s1-max"}), "energy", sensitivity=False)
    idle_w, peak_w = 10.5, 130.0  # of its usual power mode
    makespan_s = found.best.metrics["makespan_s"].value
    assert idle_w * makespan_s < found.best.goal.value < peak_w * makespan_s


def test_predict_takes_strategies_that_look_and_the_recommended_one(question: Scenario, coefficients: Coefficients) -> None:
    names = ("sequential-shortest", "batched-best", "swap", "auto", "parallel")
    found = forecast(question.model_copy(update={"strategies": names}), draws=3, coefficients=coefficients)
    assert {prediction.strategy for prediction in found.predictions} == set(names)
    best = recommend(question, coefficients=coefficients, finalists=1, draws=1, sensitivity=False).plan
    assert (found.plans["auto"].instances, found.plans["auto"].stages) == (best.instances, best.stages)
    with pytest.raises(InputError, match="split needs a GPU"):
        forecast(question.model_copy(update={"strategies": ("split",)}), coefficients=coefficients)


def test_split_puts_models_where_they_are_told(question: Scenario) -> None:
    on_gpu = question.model_copy(update={"hardware": "ms-s1-max", "strategies": ("split", "parallel")})
    found = forecast(on_gpu, draws=2)
    on_cpu = [one.model for one in found.plans["split"].instances if one.gpu_layers == 0]
    assert len(on_cpu) == 1
    decode = {
        prediction.strategy: max(row.finish_s - row.first_token_s for row in prediction.records.requests if row.model == on_cpu[0])
        for prediction in found.predictions
    }
    assert decode["split"] != decode["parallel"]


def test_the_first_plan_that_a_program_can_run_is_exported(question: Scenario, coefficients: Coefficients, tmp_path: Path) -> None:
    found = recommend(question, coefficients=coefficients, families=["pool", "swap", "parallel"], sensitivity=False)
    for name in ("llama-server", "llama-swap", "ollama"):
        chosen, written = export(found, name, tmp_path / name)
        assert found.plans[chosen.name].serving.rules != "pool" and all(path.is_file() for path in written)
    pool = next(one.rank for one in found.ranking.ranked if one.strategy == "pool")
    with pytest.raises(InputError, match="does not look at memory"):
        export(found, "llama-swap", tmp_path, pool)
    with pytest.raises(InputError, match="plan 99 is not in the ranking"):
        export(found, "llama-swap", tmp_path, 99)
    with pytest.raises(UnknownNameError, match="unknown format"):
        export(found, "systemd", tmp_path)
