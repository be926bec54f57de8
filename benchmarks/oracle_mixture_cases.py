"""The models that ``oracle_mixture.py`` asks about: layers, heads and experts of real ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from oracle_mixture_blocks import (
    VOCABULARY,
    WIDE,
    Row,
    attention,
    bert,
    dense,
    ends,
    experts,
    fused,
    gemma3n,
    hybrid_of_glm,
    latent_attention,
    linear_attention,
    nemotron_h,
    rwkv6,
    short_convolutions,
    t5,
    vision,
)


@dataclass(frozen=True)
class Case:
    """One model: what its header says, and its tensors."""

    name: str
    architecture: str
    n_layers: int
    heads: tuple[int, int]
    rows: list[Row]
    n_experts: int = 0
    metadata: dict[str, Any] = field(default_factory=dict)
    with_imatrix: bool = False
    since_march_2026: bool = False  # not to be asked of older engines


LATENT = {"attention.q_lora_rank": 0, "attention.kv_lora_rank": 512, "rope.dimension_count": 64, "leading_dense_block_count": 1}
SSM = {"ssm.conv_kernel": 4, "ssm.inner_size": 512, "ssm.state_size": 16, "ssm.time_step_rank": 8, "ssm.group_count": 1}
LINEAR = {
    **LATENT,
    **SSM,
    "attention.key_length_mla": 64,
    "attention.value_length_mla": 64,
    "kda.head_dim": 64,
    "kda.gate_lower_bound": -5.0,
}
INDEXED = {
    "attention.indexer.head_count": 4,
    "attention.indexer.key_length": 64,
    "attention.indexer.top_k": 64,
    "attention.indexer.kpool": 4,
    "hyper_connection.count": 4,
    "hyper_connection.sinkhorn_iterations": 4,
    "hyper_connection.epsilon": 1e-6,
}
NEMOTRON_ATTENTION = (7, 21, 35, 45)
LFM_ATTENTION = (2, 5, 8, 10, 12, 14)

CASES = [
    Case("llama3-8b", "llama", 32, (32, 8), [*ends(False), *dense(32)], with_imatrix=True),
    Case("llama2-7b", "llama", 32, (32, 32), [*ends(False), *dense(32)], with_imatrix=True),
    Case("llama3-70b", "llama", 80, (64, 8), [*ends(False), *dense(80)]),
    Case("llama-65b", "llama", 80, (64, 64), [*ends(False), *dense(80)]),
    Case("deci-80", "deci", 80, (64, 8), [*ends(False), *dense(80)]),
    Case("mixtral-8x7b", "llama", 32, (32, 8), [*ends(False), *attention(range(32)), *experts(range(32), 8, False)], 8),
    Case("smollm2-1.7b", "llama", 24, (32, 32), [*ends(True), *dense(24)]),
    Case("odd-rows", "llama", 9, (9, 3), [*ends(True, 96), *dense(9, 96, 160)]),
    Case("unusual-rows", "llama", 8, (8, 8), [*ends(False, 100), *dense(8, 100, 320)]),
    Case("qwen2.5-0.5b", "qwen2", 24, (14, 2), [*ends(True, 896), *dense(24, 896, 4864)]),
    Case("qwen2.5-72b", "qwen2", 80, (64, 8), [*ends(False), *dense(80)]),
    Case(
        "qwen2-moe",
        "qwen2moe",
        24,
        (16, 16),
        [
            *ends(False),
            *attention(range(24)),
            *experts(range(24), 60, True),
            ("blk.{}.stack_of_one.weight", (WIDE, WIDE, 1), range(2)),
            ("blk.{}.vector.weight", (WIDE, 1), range(2)),
        ],
        60,
    ),
    Case("qwen3-30b-a3b", "qwen3moe", 48, (32, 4), [*ends(False), *attention(range(48)), *experts(range(48), 128, False)], 128),
    Case("qwen3-next", "qwen3next", 48, (16, 2), linear_attention(48, 512), 512, SSM),
    Case("gemma-2b", "gemma", 18, (8, 1), [*ends(True), *dense(18)]),
    Case("gemma3-1b", "gemma3", 26, (4, 1), [*ends(True, 1152), *dense(26, 1152, 6912)], 0, {"attention.sliding_window": 512}),
    Case(
        "gemma3n-e2b",
        "gemma3n",
        30,
        (8, 2),
        gemma3n(30),
        0,
        {"embedding_length_per_layer_input": 256, "attention.sliding_window": 512, "attention.shared_kv_layers": 10},
    ),
    Case("phi3-mini", "phi3", 32, (32, 32), [*ends(False), *fused(range(32))], 0, {"attention.sliding_window": 2048}),
    Case("phi4", "phi3", 40, (40, 10), [*ends(False), *fused(range(40))]),
    Case("falcon-7b", "falcon", 32, (71, 1), [*ends(False), *fused(range(32))]),
    Case("bert-base", "bert", 12, (12, 12), bert(False, 12), 0, {"attention.causal": False}),
    Case("nomic-embed", "nomic-bert", 12, (12, 12), bert(True, 12), 0, {"attention.causal": False, "pooling_type": 1}),
    Case(
        "deepseek-v2-lite",
        "deepseek2",
        27,
        (16, 1),
        [*ends(False), *latent_attention(range(27), True), *dense(1)[6:], *experts(range(1, 27), 64, True)],
        64,
        LATENT,
    ),
    Case(
        "deepseek-v2-lite-2024",
        "deepseek2",
        27,
        (16, 16),
        [*ends(False), *latent_attention(range(27), False), *dense(1)[6:], *experts(range(1, 27), 64, True)],
        64,
        LATENT,
    ),
    Case(
        "gpt-oss-20b",
        "gpt-oss",
        24,
        (64, 8),
        [
            *ends(False, 2880),
            *attention(range(24), 2880),
            ("blk.{}.attn_sinks.weight", (64,), range(24)),
            *experts(range(24), 32, False, 2880, 2880),
            ("blk.{}.ffn_down_exps.bias", (2880, 32), range(24)),
        ],
        32,
        {"attention.sliding_window": 128},
    ),
    Case(
        "glm4.5-air",
        "glm4moe",
        47,
        (96, 8),
        [
            *ends(False),
            *attention(range(47)),
            *dense(1)[6:],
            *experts(range(1, 47), 128, True),
            ("blk.{}.nextn.eh_proj.weight", (2 * WIDE, WIDE), (46,)),
            ("blk.{}.nextn.embed_tokens.weight", (WIDE, VOCABULARY), (46,)),
        ],
        128,
        {"leading_dense_block_count": 1, "nextn_predict_layers": 1},
    ),
    Case(
        "llama4-scout",
        "llama4",
        48,
        (40, 8),
        [*ends(False), *attention(range(48)), *experts(range(48), 16, True)],
        16,
        {"interleave_moe_layer_step": 1},
    ),
    Case("t5-small", "t5", 6, (8, 8), t5(6), 0, {"attention.relative_buckets_count": 32, "decoder_block_count": 6}),
    Case(
        "nemotron-h",
        "nemotron_h",
        52,
        (40, 0),
        nemotron_h(52, NEMOTRON_ATTENTION),
        0,
        {**SSM, "attention.head_count_kv": [8 if layer in NEMOTRON_ATTENTION else 0 for layer in range(52)]},
    ),
    Case(
        "lfm2",
        "lfm2",
        16,
        (32, 0),
        short_convolutions(16, LFM_ATTENTION),
        0,
        {"shortconv.l_cache": 3, "attention.head_count_kv": [8 if layer in LFM_ATTENTION else 0 for layer in range(16)]},
    ),
    Case("glm5.3-flash", "glm5-next", 24, (16, 1), hybrid_of_glm(24, 64), 64, {**LINEAR, **INDEXED}, since_march_2026=True),
    Case(
        "ling-3",
        "bailingmoe3",
        24,
        (16, 1),
        [
            *ends(False),
            *latent_attention(range(24), True),
            *experts(range(24), 128, True),
        ],
        128,
        LINEAR,
        since_march_2026=True,
    ),
    Case("rwkv6", "rwkv6", 24, (0, 0), rwkv6(24), 0, {"wkv.head_size": 64, "time_mix_extra_dim": 32, "time_decay_extra_dim": 64}),
    Case("clip", "clip", 0, (0, 0), vision(26), since_march_2026=True),
]
