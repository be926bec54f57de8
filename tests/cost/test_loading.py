"""Loads: each byte is paid for where it goes, and a cold file costs its reading on top."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mmpredict.cost.coefficients import Coefficients, LoadCoefficients
from mmpredict.cost.loading import load_features, load_s
from mmpredict.cost.placement import repacked_bytes
from mmpredict.models.spec import ModelSpec

NAMES = ("smollm2-135m@q8_0", "smollm2-135m@q4_0", "gemma3-270m@q4_0", "probe-wide@q8_0")
KV_CACHE_BYTES = 94_371_840


@pytest.mark.parametrize("name", NAMES)
def test_a_cold_load_takes_the_reading_longer(coefficients: Coefficients, make_spec: Callable[[str], ModelSpec], name: str) -> None:
    spec, own = make_spec(name), coefficients.loading
    warm_s, cold_s = (load_s(spec, KV_CACHE_BYTES, cold, own) for cold in (False, True))
    assert cold_s - warm_s == pytest.approx(spec.weight_bytes * own.cold_byte_s, rel=1e-12)
    assert warm_s > own.start_s


def test_a_load_adds_up(make_spec: Callable[[str], ModelSpec]) -> None:
    spec = make_spec("llama3.2-1b@q4_0")
    own = LoadCoefficients(
        start_s=0.5, mapped_byte_s=1e-10, private_byte_s=2e-10, vocabulary_s=1e-6, cold_byte_s=1e-9, log_spread=0
    )
    expected_s = (
        0.5 + 1e-10 * spec.weight_bytes + 2e-10 * (repacked_bytes(spec) + KV_CACHE_BYTES) + 0.128256 + 1e-9 * spec.weight_bytes
    )
    assert load_s(spec, KV_CACHE_BYTES, True, own) == pytest.approx(expected_s, rel=1e-12)


def test_repacking_and_a_larger_cache_cost_time(coefficients: Coefficients, make_spec: Callable[[str], ModelSpec]) -> None:
    own = coefficients.loading
    plain, repacked = make_spec("smollm2-360m@q8_0"), make_spec("smollm2-360m@q4_0")
    per_byte = {spec: (load_s(spec, 0, False, own) - own.start_s) / spec.weight_bytes for spec in (plain, repacked)}
    assert per_byte[repacked] > 2 * per_byte[plain]
    assert load_s(plain, 2 * KV_CACHE_BYTES, False, own) > load_s(plain, KV_CACHE_BYTES, False, own)


def test_only_the_reading_tells_cold_from_warm(make_spec: Callable[[str], ModelSpec]) -> None:
    spec = make_spec("gemma3-270m@q4_0")
    warm, cold = (load_features(spec, KV_CACHE_BYTES, state) for state in (False, True))
    assert warm[:-1] == cold[:-1] == (1.0, spec.weight_bytes, repacked_bytes(spec) + KV_CACHE_BYTES, 262144)
    assert (warm[-1], cold[-1]) == (0.0, spec.weight_bytes)
