"""The guide's multi-model predictor: laws that hold whatever the models are, and defects of the guide that are gone."""

from __future__ import annotations

from itertools import pairwise, permutations
from typing import Any

import pytest
from guide import PLATFORMS, configs
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpredict import MultiModelPredictor, PerformancePredictor
from mmpredict.compat.multi_model_predictor import STRATEGIES
from mmpredict.errors import DoesNotFitError, InputError, UnknownNameError

PREDICTOR = MultiModelPredictor()
MODELS = ("bert-base-uncased", "vit-base-patch16-224", "t5-small", "whisper-base", "llama3.2:1b", "nomic-embed-text")
companies = st.lists(
    st.builds(lambda name, batch: {"model_name": name, "batch_size": batch}, st.sampled_from(MODELS), st.integers(1, 6)),
    min_size=1,
    max_size=4,
)


def predict(models: list[dict[str, Any]], platform: str = "cuda", strategy: str = "parallel", **limits: float) -> dict[str, Any]:
    return PREDICTOR.predict_multi_model_performance(models, platform, strategy, limits or None)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_guides_platform_words_and_models(platform: str) -> None:
    found = PREDICTOR.recommend_execution_strategy(configs(), platform, "throughput")
    assert set(found["all_predictions"]) == set(STRATEGIES)
    best = found["all_predictions"][found["recommended_strategy"]]
    assert best["combined_throughput"] == max(one["combined_throughput"] for one in found["all_predictions"].values())
    assert found["best_prediction"]["total_metrics"] == best
    assert 0 <= found["probability"] <= 1 <= 1 + found["margin"]
    assert found["best_prediction"]["hardware_platform"] == platform
    assert found["best_prediction"]["provenance"]


@settings(max_examples=12)
@given(companies, st.sampled_from(STRATEGIES), st.sampled_from(["cpu", "cuda", "mps"]))
def test_schedule_and_totals_agree(models: list[dict[str, Any]], strategy: str, platform: str) -> None:
    found = predict(models, platform, strategy)
    totals, schedule = found["total_metrics"], found["execution_schedule"]
    timeline = schedule["timeline"]
    assert totals["combined_latency"] == schedule["total_execution_time"] == max(event["end_time"] for event in timeline)
    items = sum(one["batch_size"] for one in models)
    assert totals["combined_throughput"] == pytest.approx(items / totals["combined_latency"] * 1e3)
    assert totals["initialization_time"] + totals["execution_time"] == pytest.approx(totals["combined_latency"])
    assert totals["initialization_time"] > 0
    low, high = totals["intervals"]["combined_latency"]
    assert low <= totals["combined_latency"] <= high
    # every model is loaded once and works once, and not before it is loaded
    for kind in ("load", "execute"):
        assert sorted(event["model"] for event in timeline if event["kind"] == kind) == sorted(one["model_name"] for one in models)
    ready = {event["instance"]: event["end_time"] for event in timeline if event["kind"] == "load"}
    assert all(event["start_time"] >= ready[event["instance"]] for event in timeline if event["kind"] == "execute")
    # batches follow one another
    for before, after in pairwise(range(schedule["batches"])):
        end = max(event["end_time"] for event in timeline if event["batch"] == before)
        assert min(event["start_time"] for event in timeline if event["batch"] == after) >= end - 1e-6
    assert all(factor >= 1.0 for factor in found["contention_factors"].values())
    assert 0 < found["sharing_benefits"]["memory_benefit"] <= 1
    assert found["sharing_benefits"]["compute_benefit"] == 1.0


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_model_alone_has_no_contention(platform: str, strategy: str) -> None:
    for model in configs():
        found = predict([model], platform, strategy)
        assert set(found["contention_factors"].values()) == {1.0}
        [alone] = found["individual_predictions"]
        assert found["total_metrics"]["execution_time"] == pytest.approx(alone["latency"], rel=1e-9)
        assert found["total_metrics"]["combined_memory"] == pytest.approx(alone["memory"])
        sharing = found["sharing_benefits"]
        assert (sharing["memory_benefit"], sharing["compute_benefit"], sharing["compatible_pairs"]) == (1.0, 1.0, 0)


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_order_decides_nothing(platform: str, strategy: str) -> None:
    twice = [*configs()[:2], {"model_name": "bert-base-uncased", "model_type": "text_embedding", "batch_size": 1}]
    found = [predict(list(order), platform, strategy) for order in permutations(twice)]
    for other in found[1:]:
        assert other["sharing_benefits"] == found[0]["sharing_benefits"]
        for name in ("combined_latency", "combined_throughput", "combined_memory"):
            assert other["total_metrics"][name] == pytest.approx(found[0]["total_metrics"][name])
        assert other["contention_factors"] == pytest.approx(found[0]["contention_factors"])


def test_sequential_runs_in_the_order_given() -> None:
    for order in permutations(configs()):
        schedule = predict(list(order), "cuda", "sequential")["execution_schedule"]
        assert schedule["execution_order"] == [one["model_name"] for one in order]


def test_contention_is_not_linear_in_the_number_of_models() -> None:
    factors = [
        predict([{"model_name": "llama3.2:1b", "batch_size": 1}] * count)["contention_factors"]["compute_contention"]
        for count in (1, 2, 3, 4)
    ]
    assert factors[0] == 1.0 < factors[1] < factors[2] < factors[3]
    steps = [after - before for before, after in pairwise(factors)]
    assert steps[1] > 1.01 * steps[0]  # while there are gaps on the GPU, for sampling, a second model costs less than a third


def test_sequential_costs_no_contention_and_the_least_memory() -> None:
    alone, together = predict(configs(), strategy="sequential"), predict(configs(), strategy="parallel")
    assert set(alone["contention_factors"].values()) == {1.0}
    assert alone["total_metrics"]["combined_memory"] == max(one["memory"] for one in alone["individual_predictions"])
    assert together["contention_factors"]["compute_contention"] > 1.0
    assert alone["total_metrics"]["combined_memory"] < together["total_metrics"]["combined_memory"]


def test_what_the_gpu_has_no_room_for_waits() -> None:
    models = [{"model_name": "qwen2.5:14b", "batch_size": 2}, {"model_name": "llama3.1:8b@F16"}]  # 10 and 17 GB, of 24
    found = predict(models, "cuda")
    assert found["execution_schedule"]["batches"] == 2
    assert found["contention_factors"]["memory_contention"] > 1.0 == found["contention_factors"]["compute_contention"]
    assert any("does not fit beside" in sentence for sentence in found["warnings"])


@settings(max_examples=8)
@given(st.floats(650, 4000), st.sampled_from(["parallel", "batched", "sequential"]))
def test_a_limit_of_memory_is_honoured(limit: float, strategy: str) -> None:
    models = [*configs(), {"model_name": "vit-base-patch16-224", "batch_size": 3}]
    found = predict(models, "cuda", strategy, max_memory=limit)
    assert found["total_metrics"]["combined_memory"] <= limit
    free = predict(models, "cuda", strategy)["total_metrics"]["combined_memory"]
    waits = found["contention_factors"]["memory_contention"]
    assert waits > 1.0 if limit < free else waits == 1.0
    assert any("does not fit beside" in one for one in found["warnings"]) is (limit < free)


def test_what_does_not_fit_even_alone_is_refused() -> None:
    with pytest.raises(DoesNotFitError, match="max_memory allows 300 MB"):
        predict(configs(), max_memory=300)
    with pytest.raises(DoesNotFitError):
        predict([{"model_name": "llama3.1:70b"}], "webgpu")


@pytest.mark.parametrize("platform", ["cuda", "cpu", "mps"])
def test_less_computing_power_takes_longer(platform: str) -> None:
    model = [{"model_name": "llama3.2:1b", "batch_size": 2}]
    times = [predict(model, platform, max_compute=part)["total_metrics"]["execution_time"] for part in (1.0, 0.8, 0.4)]
    assert times[0] < times[1] < times[2]
    assert times[2] < 2.5 * times[0] * 1.01  # no more than in proportion


def test_models_on_both_processors_of_one_machine() -> None:
    models = [{"model_name": "llama3.1:8b"}, {"model_name": "llama3.2:1b"}]
    both = predict(models, "rocm")
    apart = predict([models[0], {**models[1], "processor": "cpu"}], "rocm")
    assert apart["contention_factors"]["compute_contention"] == 1.0 < both["contention_factors"]["compute_contention"]
    # CPU and GPU read one memory
    assert (
        apart["contention_factors"]["memory_bandwidth_contention"]
        > 1.0
        == both["contention_factors"]["memory_bandwidth_contention"]
    )
    assert apart["individual_predictions"][1]["latency"] > both["individual_predictions"][1]["latency"]
    with pytest.raises(InputError, match="shall run on a GPU"):
        predict([{"model_name": "t5-small", "processor": "gpu"}], "cpu")


def test_one_page_of_a_browser_has_its_gpu_process_once() -> None:
    models = configs()
    page = MultiModelPredictor(resource_pool_integration=True).predict_multi_model_performance(models, "webgpu")
    pages = MultiModelPredictor(resource_pool_integration=False).predict_multi_model_performance(models, "webgpu")
    saved = pages["total_metrics"]["combined_memory"] - page["total_metrics"]["combined_memory"]
    assert saved == pytest.approx(2 * 200)  # MB: the profile's GPU process, once instead of three times
    assert page["total_metrics"]["combined_latency"] == pages["total_metrics"]["combined_latency"]


def test_lengths_and_backend_of_the_default_predictor_hold() -> None:
    short = MultiModelPredictor(PerformancePredictor(text_tokens=16, output_tokens=8)).predict_multi_model_performance(
        configs(), "cuda"
    )
    assert short["total_metrics"]["execution_time"] < predict(configs())["total_metrics"]["execution_time"] / 3


@pytest.mark.parametrize("goal", ["throughput", "latency", "memory"])
def test_goals(goal: str) -> None:
    found = PREDICTOR.recommend_execution_strategy(configs(), "cuda", goal)
    assert found["recommended_strategy"] == ("sequential" if goal == "memory" else "parallel")
    assert found["optimization_goal"] == goal


def test_a_recommendation_is_within_the_limits() -> None:
    found = PREDICTOR.recommend_execution_strategy(configs(), "cuda", "latency", {"max_memory": 1300})
    assert all(one["combined_memory"] <= 1300 for one in found["all_predictions"].values())


def test_what_is_shared_is_pages_of_one_file_on_a_cpu() -> None:
    three = [{"model_name": "llama3.2:1b"}] * 3
    found = predict(three, "cpu")["sharing_benefits"]
    assert found["compatible_pairs"] == 3 and not found["assumed"]
    assert found["pairs"][0]["models"] == ["llama3.2:1b", "llama3.2:1b#2"]
    assert found["pairs"][0]["memory"] == pytest.approx(1313, rel=0.01)  # MB
    assert found["memory_benefit"] < 0.5
    assert predict(configs(), "cpu")["sharing_benefits"]["compatible_pairs"] == 0
    assert predict(three, "cuda")["sharing_benefits"]["memory_benefit"] > 0.8


def test_mistakes_are_named() -> None:
    good = configs()
    for models, words in (
        ([], "model_configs is empty"),
        ({}, "must be a list"),
        ("bert", "must be a list"),
        (["bert"], r"model_configs\[0\] is 'bert'"),
        ([*good, {"model_type": "vision"}], r"model_configs\[3\] has no 'model_name'"),
        ([{"model_name": " "}], "has no 'model_name'"),
        ([{"model_name": "t5-small", "batchsize": 2}], "did you mean 'batch_size'"),
        ([{"model_name": "t5-small", "batch_size": 0}], "from 1 to 4096"),
        ([{"model_name": "t5-small", "batch_size": True}], "whole number"),
        ([{"model_name": "t5-smal"}], "did you mean t5-small"),
        ([{"model_name": "t5-small", "model_type": "vision"}], "not vision"),
        ([{"model_name": "t5-small", "processor": "tpu"}], "must be cpu or gpu"),
        (good * 30, "at most 64"),
    ):
        with pytest.raises(InputError, match=words):
            PREDICTOR.predict_multi_model_performance(models, "cuda")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="did you mean parallel"):
        predict(good, strategy="paralel")
    with pytest.raises(InputError, match="strategy 'swap' loads models when they are asked for"):
        predict(good, strategy="swap")
    with pytest.raises(UnknownNameError, match="abacus"):
        predict(good, "abacus")
    with pytest.raises(UnknownNameError, match="known: latency, memory, throughput"):
        PREDICTOR.recommend_execution_strategy(good, "cuda", "happiness")
    for limits, words in (
        ({"max_memry": 1}, "did you mean 'max_memory'"),
        ({"max_compute": 1.5}, "max_compute is 1.5"),
        ({"max_memory": "8 GB"}, "max_memory is '8 GB'"),
        ({"max_compute": float("nan")}, "max_compute is nan"),
    ):
        with pytest.raises(InputError, match=words):
            PREDICTOR.predict_multi_model_performance(good, "cuda", "parallel", limits)  # type: ignore[arg-type]


def test_same_inputs_same_answer() -> None:
    assert predict(configs(), "mps") == predict(configs(), "mps")
