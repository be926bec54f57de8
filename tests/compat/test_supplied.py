"""A predictor of the user's is honoured; files of his parameters and tables too, and both are marked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from guide import configs

from mmpredict import MultiModelPredictor
from mmpredict.errors import FileFormatError, InputError, UnknownNameError


class Mine:
    """Says the same of every model."""

    def __init__(self, latency: Any = 50.0, memory: Any = 1500.0) -> None:
        self.answer, self.asked = {"latency": latency, "memory": memory, "mood": "good"}, []

    def predict(self, **what: Any) -> dict[str, Any]:
        self.asked.append(what)
        return self.answer


def test_what_it_says_of_a_model_alone_holds() -> None:
    mine = Mine()
    found = MultiModelPredictor(mine).predict_multi_model_performance(configs()[:1], "cuda")
    assert mine.asked == [
        {"model_name": "bert-base-uncased", "model_type": "text_embedding", "hardware_platform": "cuda", "batch_size": 4}
    ]
    assert found["total_metrics"]["execution_time"] == pytest.approx(50.0)
    assert found["total_metrics"]["combined_memory"] == pytest.approx(1500.0)
    [alone] = found["individual_predictions"]
    assert (alone["latency"], alone["memory"], alone["mood"]) == (50.0, 1500.0, "good")
    assert alone["throughput"] == pytest.approx(80.0)
    assert any("predictor that was given" in sentence for sentence in found["assumed"])


@pytest.mark.parametrize(("platform", "least", "most"), [("cuda", 2.0, 2.3), ("rocm", 1.5, 2.3), ("cpu", 2.0, 6.0)])
def test_models_that_nobody_knows_share_the_machine(platform: str, least: float, most: float) -> None:
    unknown = [{"model_name": "house-model-1", "batch_size": 3}, {"model_name": "house-model-2", "model_type": "vision"}]
    found = MultiModelPredictor(Mine()).predict_multi_model_performance(unknown, platform)
    assert least <= found["total_metrics"]["execution_time"] / 50.0 <= most
    assert found["total_metrics"]["combined_memory"] == pytest.approx(3000.0)
    assert sum("is not known" in sentence for sentence in found["assumed"]) == 2
    assert found["total_metrics"]["combined_throughput"] == pytest.approx(4 / found["total_metrics"]["combined_latency"] * 1e3)
    one_by_one = MultiModelPredictor(Mine()).predict_multi_model_performance(unknown, platform, "sequential")
    assert one_by_one["total_metrics"]["execution_time"] == pytest.approx(100.0)


def test_a_slower_answer_is_a_slower_company() -> None:
    times = [
        MultiModelPredictor(Mine(latency)).predict_multi_model_performance(configs(), "cuda")["total_metrics"]["execution_time"]
        for latency in (10.0, 100.0)
    ]
    assert times[1] == pytest.approx(10 * times[0], rel=0.35)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"latency": 0.0}, "as latency of bert-base-uncased"),
        ({"latency": float("nan")}, "as latency"),
        ({"memory": "much"}, "as memory"),
        ({"memory": None}, "as memory"),
    ],
)
def test_an_answer_that_is_no_number_is_named(answer: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        MultiModelPredictor(Mine(**answer)).predict_multi_model_performance(configs()[:1], "cuda")
    with pytest.raises(InputError, match="without predict"):
        MultiModelPredictor(single_model_predictor=object())


TABLE = {
    "text_embedding": {
        "compatible_types": ["text_embedding", "text_generation"],
        "sharing_efficiency": 0.5,
        "memory_reduction": 0.3,
    },
    "vision": {"compatible_types": ["vision", "multimodal"], "sharing_efficiency": 0.4, "memory_reduction": 0.25},
}


def written(path: Path, table: Any) -> str:
    path.write_text(table if isinstance(table, str) else json.dumps(table))
    return str(path)


def test_a_table_of_sharing_is_applied_as_it_is_stated(tmp_path: Path) -> None:
    path = written(tmp_path / "sharing.json", TABLE)
    plain, shared = (
        MultiModelPredictor(Mine(), cross_model_sharing_config=given).predict_multi_model_performance(configs(), "cuda", "parallel")
        for given in (None, path)
    )
    assert plain["sharing_benefits"]["compatible_pairs"] == 0 and not plain["sharing_benefits"]["assumed"]
    benefits = shared["sharing_benefits"]
    assert benefits["compatible_pairs"] == 1 and benefits["assumed"]
    assert [pair["models"] for pair in benefits["pairs"]] == [["bert-base-uncased", "t5-small"]]
    # BERT has one partner: half of what is in common counts for it; T5's type is not in the table.
    assert benefits["compute_benefit"] == pytest.approx((0.75 + 1 + 1) / 3)
    assert benefits["memory_benefit"] == pytest.approx((0.85 + 1 + 1) / 3, rel=0.02)
    assert shared["total_metrics"]["execution_time"] <= plain["total_metrics"]["execution_time"]
    assert any(path in sentence for sentence in shared["assumed"])
    alone = MultiModelPredictor(Mine(), cross_model_sharing_config=path).predict_multi_model_performance(
        configs(), "cuda", "sequential"
    )
    assert alone["sharing_benefits"]["compute_benefit"] == 1.0  # nobody is there to share with


def test_two_of_a_type_hold_what_they_have_in_common_once(tmp_path: Path) -> None:
    path = written(tmp_path / "sharing.json", TABLE)
    twice = [{"model_name": f"house-{number}", "model_type": "vision"} for number in (1, 2)]
    found = MultiModelPredictor(Mine(), cross_model_sharing_config=path).predict_multi_model_performance(twice, "cuda")
    assert found["total_metrics"]["combined_memory"] == pytest.approx((2 - 0.25) * 1500)


@pytest.mark.parametrize(
    ("table", "error", "words"),
    [
        ("[1]", FileFormatError, "must be a table"),
        ("{", FileFormatError, "no JSON"),
        ({"vision": 3}, FileFormatError, "must be a table of"),
        ({"vision": {"compatible": []}}, UnknownNameError, "did you mean compatible_types"),
        ({"vision": {"memory_reduction": 1.5}}, FileFormatError, "memory_reduction is 1.5"),
        ({"vision": {"compatible_types": "vision"}}, FileFormatError, "must be a list"),
    ],
)
def test_a_bad_table_is_named(tmp_path: Path, table: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        MultiModelPredictor(cross_model_sharing_config=written(tmp_path / "sharing.json", table))
    with pytest.raises(InputError, match="cannot read"):
        MultiModelPredictor(cross_model_sharing_config=str(tmp_path / "nowhere.json"))


def test_stated_contention_replaces_what_was_measured(tmp_path: Path) -> None:
    path = written(tmp_path / "contention.json", {"gpu_efficiency": 0.46, "slice_s": 0.01})
    models = [{"model_name": "llama3.2:1b"}, {"model_name": "llama3.2:3b"}]
    plain = MultiModelPredictor().predict_multi_model_performance(models, "cuda")
    stated = MultiModelPredictor(contention_model_path=path).predict_multi_model_performance(models, "cuda")
    ratio = stated["contention_factors"]["compute_contention"] / plain["contention_factors"]["compute_contention"]
    assert ratio == pytest.approx(2.0, rel=0.1)  # half of the efficiency that was measured, 0.92
    assert any("gpu_efficiency, slice_s" in sentence for sentence in stated["assumed"])
    with pytest.raises(UnknownNameError, match="did you mean gpu_efficiency"):
        MultiModelPredictor(contention_model_path=written(tmp_path / "bad.json", {"gpu_eficiency": 1}))
    with pytest.raises(InputError, match="gpu_efficiency is 0"):
        MultiModelPredictor(contention_model_path=written(tmp_path / "bad.json", {"gpu_efficiency": 0}))
