"""Scratch memory of the CPU is what ggml's plan of the graph says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from graph_truth import Answer, answers

from mmpredict.cost.graph import work_buffer_bytes
from mmpredict.models.architectures import tensor_shapes
from mmpredict.models.cache import CacheOptions
from mmpredict.models.quantization.repacking import AVX2
from mmpredict.models.quantization.weight_types import WEIGHT_TYPES, storable_type
from mmpredict.models.shape import Experts, Shape
from mmpredict.models.spec import ModelSpec, Tensor

UNTOUCHED = ("norm", "conv", "ssm_a", "ssm_d", ".bias", ".scale", "layer_output_scale")  # as in benchmarks/oracle_graph.py
SMALL = Shape("small", "llama", 8, 512, 8192, 4096, 8, 4, 64, 64, 4096)
MIXTURE = Shape("mixture", "qwen3moe", 8, 512, 8192, 4096, 8, 4, 64, 64, 512, experts=Experts(16, 4, 256))
OPTIONS = CacheOptions(2048, 2, 2048)


def spec_of(shape: Shape, weights: str) -> ModelSpec:
    wanted, plain = WEIGHT_TYPES[weights], WEIGHT_TYPES["f32"]
    tensors = []
    for name, extents in tensor_shapes(shape):
        matrix = len(extents) > 1 and not any(part in name for part in UNTOUCHED)
        tensors.append(Tensor(name, extents, storable_type(wanted, extents[0]) if matrix else plain))
    return ModelSpec(shape.name, shape, tuple(tensors))


def comparable(name: str) -> list[Answer]:
    return [answer for answer in answers(name) if answer.outputs in (None, answer.options.slots)]


@pytest.mark.parametrize("answer", comparable("known.csv") + comparable("unseen.csv"), ids=lambda answer: answer.label)
def test_scratch_memory_is_what_the_engine_plans(answer: Answer) -> None:
    assert work_buffer_bytes(spec_of(answer.shape, answer.weights), answer.options, answer.threads) == answer.work_bytes


@pytest.mark.parametrize(
    ("shape", "weights", "expected"),
    [
        (SMALL, "q4_0", 8913152), (SMALL, "q4_k", 9568512), (SMALL, "q8_0", 8913152), (SMALL, "q6_k", 11665728),
        (MIXTURE, "q4_0", 2490752), (MIXTURE, "q4_k", 2654592), (MIXTURE, "q8_0", 3278336), (MIXTURE, "q6_k", 5539392),
    ],
)  # fmt: skip
def test_matrices_that_are_repacked_need_less(shape: Shape, weights: str, expected: int) -> None:
    """Values of llama.cpp (xllamacpp 2026.10.11549, AVX2, four threads) with these models loaded, so that it did repack."""
    assert work_buffer_bytes(spec_of(shape, weights), OPTIONS, 4) == expected


def test_every_thread_has_tiles_of_its_own() -> None:
    spec = spec_of(SMALL, "q6_k")
    per_thread = work_buffer_bytes(spec, OPTIONS, 8) - work_buffer_bytes(spec, OPTIONS, 7)
    assert per_thread == 512 * 1024 + 64
    assert work_buffer_bytes(spec, OPTIONS, 8, features=()) < work_buffer_bytes(spec, OPTIONS, 8, features={AVX2})


def test_without_flash_attention_scores_are_copied() -> None:
    long = replace(OPTIONS, context_tokens=32768, flash_attention=False)
    scores = SMALL.heads(0) * 32768 * OPTIONS.ubatch_tokens
    assert work_buffer_bytes(spec_of(SMALL, "f16"), long, 4) == 2 * scores + 4 * 64
