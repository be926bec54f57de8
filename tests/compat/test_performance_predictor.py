"""The guide's single-model predictor: its names and units, without its defects."""

from __future__ import annotations

import pytest

from mmpredict import PerformancePredictor
from mmpredict.errors import InputError, UnknownNameError


@pytest.mark.parametrize("platform", ["cpu", "cuda", "rocm", "mps", "openvino", "webgpu", "webnn"])
@pytest.mark.parametrize(
    ("name", "kind", "batch"),
    [("bert-base-uncased", "text_embedding", 4), ("vit-base-patch16-224", "vision", 1), ("t5-small", "text_generation", 2)],
)
def test_the_guides_models_on_its_platforms(name: str, kind: str, batch: int, platform: str) -> None:
    found = PerformancePredictor().predict(name, kind, platform, batch)
    low, high = found["intervals"]["latency"]
    assert 0 < low < found["latency"] < high
    assert found["throughput"] == pytest.approx(batch / found["latency"] * 1e3)
    slow, fast = found["intervals"]["throughput"]
    assert slow < found["throughput"] < fast
    assert found["memory"] > 50
    assert found["source"]


@pytest.mark.parametrize("name", ["bert-base-uncased", "vit-base-patch16-224", "t5-small", "whisper-base", "llama3.2:1b"])
def test_a_larger_batch_takes_longer_and_does_more(name: str) -> None:
    one, eight = (PerformancePredictor().predict(name, None, "cuda", batch) for batch in (1, 8))
    assert eight["latency"] > one["latency"]
    assert eight["throughput"] > one["throughput"]
    assert eight["memory"] > one["memory"]


def test_longer_texts_take_longer() -> None:
    short, long = (PerformancePredictor(text_tokens=tokens).predict("bert-base-uncased") for tokens in (64, 256))
    assert long["latency"] > short["latency"]
    few, many = (PerformancePredictor(output_tokens=tokens).predict("llama3.2:1b", None, "rocm") for tokens in (16, 256))
    assert many["latency"] > few["latency"]


def test_what_cannot_be_is_refused_with_a_reason() -> None:
    predictor = PerformancePredictor()
    with pytest.raises(InputError, match="did you mean"):
        predictor.predict("bert-tiny-typo")
    with pytest.raises(InputError, match="not vision"):
        predictor.predict("bert-base-uncased", "vision")
    with pytest.raises(InputError, match="known: text_generation"):
        predictor.predict("bert-base-uncased", "telepathy")
    with pytest.raises(UnknownNameError):
        predictor.predict("bert-base-uncased", "text_embedding", "abacus")
    for batch in (0, -1, 10**9):
        with pytest.raises(InputError, match="batch_size"):
            predictor.predict("bert-base-uncased", batch_size=batch)
    with pytest.raises(InputError, match="text_tokens"):
        PerformancePredictor(text_tokens=0)
