"""Passes of batches, by hand."""

from __future__ import annotations

import pytest

from mmpredict.models.catalog import shape
from mmpredict.simulation.passes import equal_passes, split_of


@pytest.mark.parametrize(
    ("tokens", "ubatch", "sequential", "passes"),
    [
        ({0: 1, 1: 1, 2: 1}, 512, True, [3]),
        ({0: 1, 2: 1}, 512, True, [1, 1]),
        ({0: 1, 2: 1}, 512, False, [2]),
        ({0: 1, 1: 100}, 512, True, [2, 99]),
        ({0: 1, 2: 1, 1: 50}, 512, True, [2, 1, 49]),  # tokens of prompts come after those of decoding slots
        ({0: 1, 2: 1, 1: 50}, 512, False, [3, 49]),
        ({3: 1000}, 512, True, [512, 488]),
        ({0: 300, 1: 400}, 512, True, [512, 88, 100]),
        ({0: 1, 1: 1, 2: 1}, 2, True, [2, 1]),
    ],
)
def test_passes(tokens: dict[int, int], ubatch: int, sequential: bool, passes: list[int]) -> None:
    assert equal_passes(tokens, ubatch, sequential) == passes


@pytest.mark.parametrize(
    ("model", "unified", "split"),
    [
        ("llama3.1-8b", True, "simple"),
        ("llama3.1-8b", False, "sequential"),
        ("qwen3.5-9b", True, "equal"),
        ("qwen3.5-9b", False, "sequential"),
    ],
)
def test_models_with_states_are_never_divided_simply(model: str, unified: bool, split: str) -> None:
    assert split_of(shape(model), unified) == split
