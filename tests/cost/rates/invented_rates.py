"""Prices that nobody measured, at what is believed of a GPU, and models of every kind to use them on."""

from __future__ import annotations

import math

from mmpredict.cost.rates.parameters import Belief, beliefs
from mmpredict.cost.rates.rates import PhaseError, Rate, Rates
from mmpredict.models.catalog import catalog_spec
from mmpredict.models.quantization.weight_types import WEIGHT_TYPES

BELIEFS = beliefs("gpu", WEIGHT_TYPES, Belief(math.log(200e9), 0.2), Belief(math.log(20e12), 0.5))
ERROR = PhaseError(rows=0, median=0.0, p90=0.0, bias=0.0, scale=1.0, covered=0.0)
RATES = Rates(
    machine="invented",
    mode="",
    processor="gpu",
    backend="vulkan",
    rows=0,
    bandwidth_bytes_per_s=256e9,
    compute_flop_per_s=60e12,
    rates={name: Rate(belief.mean, belief.spread) for name, belief in BELIEFS.items()},
    errors={"prompt": ERROR, "decode": ERROR},
)
# Dense, windowed, a mixture of experts, latent attention, recurrent.
SPECS = [catalog_spec(name, "Q4_K_M") for name in ("llama3.1-8b", "gemma3-4b", "qwen3-30b-a3b", "deepseek-v2-lite", "qwen3.5-9b")]
