"""The servers whose memory is predicted and then measured: random-weight models of many architectures, types and options.

Small models are whole. Of large ones the first layers are taken, with fewer experts and words, so that they fit anywhere:
every kind of layer and every rule stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mmpredict.models.catalog import shape, spec_of
from mmpredict.models.shape import PerLayer, Shape
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import YIELDING_SPINCOUNT, InstancePlan

QUICK_CASES = 4
QUERY_RANK = 768


@dataclass(frozen=True, slots=True)
class MemoryCase:
    """One server to be measured.

    Attributes:
        spec: its model.
        instance: its options.
        pair: whether a second process with the same file is measured too.
    """

    spec: ModelSpec
    instance: InstancePlan
    pair: bool = False


def cut(model: Shape, n_layers: int, n_vocab: int = 32_000, n_experts: int = 8) -> Shape:
    """The first layers of a model, with fewer experts and a smaller vocabulary.

    Args:
        model: the whole.
        n_layers, n_vocab: what is left at most [1].
        n_experts: what is left of the experts of a layer, at least those that a token passes [1].
    """
    layers = min(n_layers, model.n_layers - model.n_draft_layers)
    experts, window, recurrent = model.experts, model.window, model.recurrent
    return replace(
        model,
        name=f"{model.name}-first-{layers}",
        n_layers=layers,
        n_draft_layers=0,
        n_vocab=min(n_vocab, model.n_vocab),
        n_heads=_first(model.n_heads, layers),
        n_kv_heads=_first(model.n_kv_heads, layers),
        n_ff=_first(model.n_ff, layers),
        experts=experts and replace(experts, total=max(experts.used, min(n_experts, experts.total))),
        window=window and replace(window, local=window.local[:layers]),
        recurrent=recurrent and replace(recurrent, layers=recurrent.layers[:layers]),
    )


def memory_cases(threads: int) -> list[MemoryCase]:
    """Every case; the first ``QUICK_CASES`` are a fair sample.

    Args:
        threads: of every server [1].
    """
    return list(_cases(threads))


def _cases(threads: int) -> Iterable[MemoryCase]:
    def case(
        model: Shape,
        quantization: str,
        context: int,
        slots: int,
        ubatch: int,
        unified: bool = True,
        cache_type: str = "f16",
        pair: bool = False,
    ) -> MemoryCase:
        spec = spec_of(model, quantization)
        instance = InstancePlan(
            spec.name,
            spec.name,
            threads,
            YIELDING_SPINCOUNT,  # sizes do not depend on it, and other programs hinder it less
            context,
            slots,
            batch_tokens=max(2048, ubatch),
            ubatch_tokens=ubatch,
            unified=unified,
            key_type=cache_type,
            value_type=cache_type,
        )
        return MemoryCase(spec, instance, pair)

    yield case(shape("qwen2.5-0.5b"), "Q4_K_M", 4096, 4, 512, pair=True)
    yield case(shape("gemma3-270m"), "Q8_0", 8192, 2, 256)
    yield case(cut(shape("qwen3-30b-a3b"), 6), "Q4_K_M", 4096, 2, 512)
    yield case(shape("smollm2-135m"), "F16", 2048, 1, 128, pair=True)
    yield case(shape("smollm2-360m"), "Q4_0", 8192, 4, 512, unified=False, pair=True)
    yield case(shape("qwen2.5-0.5b"), "Q5_K_M", 2048, 8, 1024)
    yield case(shape("qwen3-0.6b"), "Q6_K", 4096, 4, 512, cache_type="q8_0")
    yield case(shape("gemma3-1b"), "Q4_K_M", 16384, 1, 512, pair=True)
    yield case(shape("llama3.2-1b"), "Q8_0", 4096, 2, 512)
    yield case(shape("tinyllama-1.1b"), "Q3_K_M", 2048, 2, 512)
    yield case(cut(shape("gpt-oss-20b"), 4), "MXFP4_MOE", 8192, 1, 512)
    yield case(_compressed_queries(cut(shape("deepseek-v2-lite"), 4)), "Q6_K", 4096, 2, 512)
    yield case(cut(shape("phi3-mini"), 6), "Q5_K_M", 4096, 2, 256, unified=False)
    yield case(cut(shape("gemma2-2b"), 6), "Q4_K_M", 8192, 2, 512)
    yield case(cut(shape("glm-4.5-air"), 3), "Q4_K_M", 4096, 1, 512)
    yield case(cut(shape("llama3.1-8b"), 4), "Q4_K_M", 32768, 1, 512)


def _compressed_queries(model: Shape) -> Shape:
    """With compressed queries, as the larger DeepSeek models have: llama.cpp knows the one without by its number of layers."""
    return replace(model, latent=model.latent and replace(model.latent, q_rank=QUERY_RANK))


def _first(value: PerLayer, layers: int) -> PerLayer:
    return value[:layers] if isinstance(value, tuple) else value
