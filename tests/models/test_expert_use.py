"""Which experts a batch touches, and what experts cost that a backend has no kernel for."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.cost.rates.parameters import BATCH_KNOTS, Belief, batch, beliefs
from mmpredict.cost.rates.step_terms import USUAL, pass_terms
from mmpredict.models.catalog import catalog_spec
from mmpredict.models.expert_use import EVENNESS, touched_share
from mmpredict.models.quantization.weight_types import WEIGHT_TYPES
from mmpredict.models.shape import Experts


@given(total=st.integers(2, 1024), part=st.floats(0.001, 1.0), tokens=st.integers(1, 4096))
def test_a_batch_touches_between_one_token_s_experts_and_what_even_use_would(total: int, part: float, tokens: int) -> None:
    used = max(1, min(total, round(total * part)))
    experts = Experts(total, used, 64)
    one, even = used / total, 1 - (1 - used / total) ** tokens
    assert touched_share(experts, 1) == pytest.approx(one)
    assert one - 1e-9 <= touched_share(experts, tokens) <= even + 1e-9
    assert touched_share(experts, tokens + 1) >= touched_share(experts, tokens)


def test_it_is_the_mean_over_experts_whose_shares_are_beta_distributed() -> None:
    """Numerically: the mean of 1 − (1 − p)^n for p ~ Beta(a, a (E/k − 1)), in z = p^a, in which the density has no pole."""
    experts, tokens = Experts(128, 8, 64), 16
    seldom = EVENNESS * 15
    steps = 20_000
    shares = [((step + 0.5) / steps) ** (1 / EVENNESS) for step in range(steps)]
    weights = [(1 - share) ** (seldom - 1) for share in shares]
    mean = sum(w * (1 - (1 - share) ** tokens) for w, share in zip(weights, shares, strict=True)) / sum(weights)
    assert touched_share(experts, tokens) == pytest.approx(mean, rel=1e-3)


def test_dense_models_read_everything() -> None:
    assert touched_share(None, 1) == touched_share(Experts(4, 4, 64), 3) == 1.0


def test_few_tokens_pay_rows_of_experts_in_bf16_and_many_their_bytes() -> None:
    spec = catalog_spec("qwen3.5-35b-a3b", "BF16")
    rows = 40 * (2048 + 2048 + 512)  # gate, up and down of 40 layers
    few = [term for term in pass_terms(spec, 2, 8, 8, USUAL) if "bf16_expert_s" in term.powers]
    assert [term.amount for term in few] == [2 * rows]
    many = pass_terms(spec, 2, 9, 9, USUAL)
    assert not any("bf16_expert_s" in term.powers for term in many)
    assert sum("bf16_expert_tiles" in term.powers for term in many) == 1
    for other in (catalog_spec("qwen3.5-35b-a3b", "Q8_0"), catalog_spec("gemma3-4b", "BF16")):
        terms = [*pass_terms(other, 1, 1, 1, USUAL), *pass_terms(other, 1, 9, 9, USUAL)]
        assert not any(name.startswith("bf16_expert") for term in terms for name in term.powers)


def test_narrow_tiles_lose_less_in_small_batches() -> None:
    known = Belief(math.log(200e9), 0.2), Belief(math.log(20e12), 0.5)
    wide, narrow = (beliefs("gpu", WEIGHT_TYPES, *known, backend) for backend in ("vulkan", "cuda"))
    for knot in BATCH_KNOTS:
        assert (narrow[batch(knot)].mean < wide[batch(knot)].mean) == (knot > 8)
    assert beliefs("cpu", WEIGHT_TYPES, *known, "cuda") == beliefs("cpu", WEIGHT_TYPES, *known)
