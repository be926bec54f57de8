"""The suites that ship are well-formed, hold what their documents ask, and mistakes in one are found."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from mmpredict.errors import UnknownNameError
from mmpredict.hardware.library import find_profile
from mmpredict.models.resolve import resolve
from mmpredict.models.synthetic import PREFIX, synthetic_spec
from mmpredict.results.records import Records
from mmpredict.strategy.table import STRATEGIES
from mmpredict.suite.definition import CountVariant, FitsVariant, MixVariant, RunVariant, Suite
from mmpredict.suite.library import SUITES, find_suite
from mmpredict.suite.measures import measure

CAPACITY_MEASURES = {"count": CountVariant, "needed_bytes": FitsVariant, "remains_bytes": FitsVariant}
REQUESTS = [{"model": "qwen2.5-0.5b@Q4_K_M", "prompt_tokens": 8, "output_tokens": 2}]


def suite_of(**changes: Any) -> dict[str, Any]:
    run = {"name": "run", "kind": "run", "scenario": {"strategies": ["parallel"], "requests": REQUESTS}}
    test = {
        "id": "1",
        "phase": "A",
        "title": "t",
        "asks": "?",
        "stated": "s",
        "variants": [run],
        "criteria": [{"variant": "run", "measure": "failed", "at_most": 0}],
    }
    return {"document": "d", "hardware": "jetson-orin-nano", "tests": [test | changes]}


def test_the_jetson_document_has_nine_tests_in_three_phases() -> None:
    suite = find_suite("jetson")
    assert [test.id for test in suite.tests] == ["A1", "A2", "A3", "B4", "B5", "B6", "C7", "C8", "C9"]
    assert len({test.phase for test in suite.tests}) == 3
    assert all(test.phase.startswith(test.id[0]) for test in suite.tests)
    stated = {(one.measure.partition(":")[0], one.at_least or one.at_most) for t in suite.tests for one in t.criteria}
    assert {("count", 5), ("load_s", 30), ("unload_s", 5), ("needed_bytes", 4.7e9)} <= stated
    assert suite.budget_bytes == 5e9


@pytest.mark.parametrize("name", SUITES)
def test_every_model_machine_and_measure_exists(name: str) -> None:
    suite = find_suite(name)
    assert find_profile(suite.hardware).name == suite.hardware
    for test in suite.tests:
        variants = {variant.name: variant for variant in test.variants}
        for variant in test.variants:
            models = variant.scenario.models() if isinstance(variant, RunVariant) else _models(variant)
            for model in models:
                stand_in = synthetic_spec(PREFIX + model)  # without the output matrix in 6 bits that files of Q4_0 have
                assert resolve(model).weight_bytes == pytest.approx(stand_in.weight_bytes, rel=0.01)
        for one in test.criteria:
            variant = variants[one.variant]
            if isinstance(variant, RunVariant):
                measure(Records("simulated"), one.measure)
                _, _, of = one.measure.partition(":")
                known = {*variant.scenario.models(), *(request.id for request in variant.scenario.workload().requests)}
                assert not of or of in known
            else:
                assert isinstance(variant, CAPACITY_MEASURES[one.measure])


@pytest.mark.parametrize("name", SUITES)
def test_every_run_names_one_way_of_running(name: str) -> None:
    runs = [variant for test in find_suite(name).tests for variant in test.variants if isinstance(variant, RunVariant)]
    assert runs
    for variant in runs:
        (plan,) = variant.scenario.plans(4)
        assert plan.on_demand or plan.strategy in STRATEGIES


def test_a_variant_that_is_like_another_changes_what_it_names_only() -> None:
    variants = {variant.name: variant for test in find_suite("jetson").tests for variant in test.variants}
    router, ollama = variants["two at once (router)"], variants["one after the other (Ollama)"]
    assert isinstance(router, RunVariant) and isinstance(ollama, RunVariant)
    assert router.scenario.requests == ollama.scenario.requests
    assert router.scenario.cold and ollama.scenario.cold
    assert [one.scenario.plans(4)[0].strategy for one in (router, ollama)] == ["llama-server-router", "ollama"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"criteria": [{"variant": "gone", "measure": "failed", "at_most": 0}]}, r"criteria name the variants \['gone'\]"),
        ({"criteria": [{"variant": "run", "measure": "failed", "at_most": 0, "at_least": 1}]}, "give one of at_most"),
        ({"criteria": [{"variant": "run", "measure": "failed"}]}, "give one of at_most"),
        ({"criteria": []}, "at least 1 item"),
        ({"colour": "red"}, "Extra inputs"),
        ({"variants": [{"name": "run", "kind": "run", "scenario": {"requests": REQUESTS}}]}, "has 5"),
        (
            {"variants": [{"name": "run", "kind": "run", "scenario": {"hardware": "h200", "requests": REQUESTS}}]},
            "names no hardware",
        ),
        (
            {"variants": [{"name": "run", "kind": "run", "like": "gone", "scenario": {"strategies": ["parallel"]}}]},
            "is like 'gone'",
        ),
        ({"variants": [{"name": "run", "kind": "guess"}]}, "guess"),
    ],
)
def test_mistakes_are_found(changes: dict[str, Any], complaint: str) -> None:
    assert Suite.model_validate(suite_of()).tests
    with pytest.raises(ValidationError, match=complaint):
        Suite.model_validate(suite_of(**changes))


def test_an_unknown_suite_is_an_error() -> None:
    with pytest.raises(UnknownNameError, match=re.escape("did you mean jetson?")):
        find_suite("jetsons")


def _models(variant: CountVariant | FitsVariant | MixVariant) -> tuple[str, ...]:
    return (variant.model,) if isinstance(variant, CountVariant) else tuple(variant.models)
