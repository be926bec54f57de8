"""Time to load one instance, alone on the machine: process start to ready."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmpredict.cost.placement import repacked_bytes
from mmpredict.models.spec import ModelSpec

if TYPE_CHECKING:
    from mmpredict.cost.coefficients import LoadCoefficients

# Loading copies a file through the processor: what was seen is 1.6 % of the memory's bandwidth, from 1 to 5 GB/s (unified machines
# and NVMe, docs/accuracy.md), and a server's start besides.
_COPY_SHARE, _COPY_LEAST, _COPY_MOST, _COPY_UNKNOWN = 0.016, 1e9, 5e9, 3e9
_COPY_SPREAD = 2.0  # a factor either way
_START_S = 1.0
_START_SPREAD = 2.0


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
    plain = sum(amount * cost for amount, cost in zip(load_features(spec, kv_cache_bytes, cold), per_unit, strict=True))
    return own.factor_of.get(spec.name, 1.0) * plain


def unload_s(spec: ModelSpec, kv_cache_bytes: float, coefficients: LoadCoefficients) -> float:
    """Time until an ended server's memory is free (arguments as ``load_s``) [s]."""
    return coefficients.unload_s + coefficients.unload_byte_s * (repacked_bytes(spec) + kv_cache_bytes)


@dataclass(frozen=True, slots=True)
class LoadTime:
    """How long a load takes between bounds of an 80 % interval [s]."""

    value: float
    low: float
    high: float

    @property
    def log_halfwidth(self) -> float:
        """Half-width of the interval of its logarithm."""
        return math.log(self.high / self.low) / 2


def assumed_load(
    file_bytes: float, memory_bytes_per_s: float, storage_bytes_per_s: tuple[float, float, float] | None = None
) -> LoadTime:
    """Load time where nothing was measured: a server's start, and the file at the slower of storage and a copy by the processor.

    Args:
        file_bytes: size of the file [bytes].
        memory_bytes_per_s: bandwidth of the system's memory; 0 where it is not known [bytes/s].
        storage_bytes_per_s: value and bounds of how fast the file is read; None for one in the page cache [bytes/s].
    """
    copy = _COPY_UNKNOWN
    if memory_bytes_per_s:
        copy = min(max(memory_bytes_per_s * _COPY_SHARE, _COPY_LEAST), _COPY_MOST)
    rates = (copy, copy / _COPY_SPREAD, copy * _COPY_SPREAD)
    if storage_bytes_per_s is not None:
        rates = (min(copy, storage_bytes_per_s[0]), min(rates[1], storage_bytes_per_s[1]), min(rates[2], storage_bytes_per_s[2]))
    value, slow, fast = rates
    starts = (_START_S, _START_S / _START_SPREAD, _START_S * _START_SPREAD)
    found = (start + file_bytes / rate for start, rate in zip(starts, (value, fast, slow), strict=True))
    return LoadTime(*found)
