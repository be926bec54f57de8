"""The servers of the memory check: what the issue of being exact asks for, cut down so that it fits anywhere."""

from __future__ import annotations

import pytest

from mmpredict.models.catalog import shape
from mmpredict.units import GIB
from mmpredict.validation.memory import full_prompt
from mmpredict.validation.memory_cases import QUICK_CASES, cut, memory_cases

CASES = memory_cases(2)


def test_cases_cover_architectures_types_and_options() -> None:
    assert len(CASES) >= 12
    assert len({case.spec.shape.architecture for case in CASES}) >= 5
    assert len({case.spec.name.partition("@")[2] for case in CASES}) >= 5
    for option in ("context_tokens", "slots", "ubatch_tokens", "unified", "key_type"):
        assert len({getattr(case.instance, option) for case in CASES}) >= 2, option
    assert any(case.spec.shape.experts for case in CASES) and any(case.spec.shape.window for case in CASES)
    assert any(case.pair for case in CASES[:QUICK_CASES])


def test_every_case_is_small() -> None:
    assert max(case.spec.weight_bytes for case in CASES) < 1.5 * GIB


@pytest.mark.parametrize("name", ["qwen3-30b-a3b", "gpt-oss-20b", "gemma2-2b", "glm-4.5-air", "llama3.1-8b"])
def test_a_cut_model_is_the_beginning_of_the_whole(name: str) -> None:
    whole = shape(name)
    small = cut(whole, 2)
    assert (small.n_layers, small.n_draft_layers, small.architecture, small.n_embd) == (2, 0, whole.architecture, whole.n_embd)
    assert [small.is_local(layer) for layer in range(2)] == [whole.is_local(layer) for layer in range(2)]
    if whole.experts:
        assert small.experts and small.experts.used == whole.experts.used <= small.experts.total


def test_prompts_fill_a_batch_and_fit_into_a_slot() -> None:
    for case in CASES:
        cache = case.instance.cache
        assert cache.ubatch_tokens <= full_prompt(cache) < cache.slot_cells
