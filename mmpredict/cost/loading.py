"""Time to load one instance, alone on the machine: process start to ready."""

from __future__ import annotations

from mmpredict.cost.coefficients import LoadCoefficients
from mmpredict.cost.placement import repacked_bytes
from mmpredict.models.spec import ModelSpec


def load_features(spec: ModelSpec, kv_cache_bytes: float, cold: bool) -> tuple[float, float, float, float, float]:
    """Terms of the load time without their coefficients: (starts, mapped bytes, private bytes, vocabulary, cold bytes)."""
    return 1.0, spec.weight_bytes, repacked_bytes(spec) + kv_cache_bytes, spec.shape.n_vocab, spec.weight_bytes if cold else 0.0


def load_s(spec: ModelSpec, kv_cache_bytes: float, cold: bool, coefficients: LoadCoefficients) -> float:
    """Load time, warm-up step included [s].

    Args:
        spec: the model.
        kv_cache_bytes: KV cache, filled with zeros at load [bytes].
        cold: whether the file must come from storage rather than from the page cache.
        coefficients: fitted numbers.
    """
    own = coefficients
    per_unit = (own.start_s, own.mapped_byte_s, own.private_byte_s, own.vocabulary_s, own.cold_byte_s)
    return sum(amount * cost for amount, cost in zip(load_features(spec, kv_cache_bytes, cold), per_unit, strict=True))
