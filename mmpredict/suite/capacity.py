"""Tests that ask what fits into memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmpredict.errors import DoesNotFitError
from mmpredict.results.estimate import Estimate, PoolEstimate, Span
from mmpredict.results.prediction import Interval
from mmpredict.results.suite import VariantResult
from mmpredict.sizing.estimate import estimate
from mmpredict.sizing.find_machine import find_machine
from mmpredict.sizing.mix import Demand, fit
from mmpredict.sizing.wish import GpuLayers, Wish
from mmpredict.suite.definition import CountVariant, FitsVariant, MixVariant
from mmpredict.units import format_bytes

Capacity = CountVariant | FitsVariant | MixVariant


def capacity(variant: Capacity, hardware: str, budget_bytes: float | None) -> VariantResult:
    """What fits.

    Args:
        variant: what is asked.
        hardware: name of the machine.
        budget_bytes: memory for models; None for what the profile says [bytes].

    Raises:
        InputError: a model or the machine cannot be used.
    """
    match variant:
        case CountVariant():
            return _count(variant, hardware, budget_bytes)
        case FitsVariant():
            return _fits(variant, hardware, budget_bytes)
        case MixVariant():
            return _mix(variant, hardware, budget_bytes)


def _count(variant: CountVariant, hardware: str, budget_bytes: float | None) -> VariantResult:
    """Needs grow in a straight line from one instance to the next, so that two estimates tell of any number."""
    one, two = (_estimate([variant.model] * count, variant.context_tokens, hardware, budget_bytes) for count in (1, 2))
    counts = [_counts(first, second) for first, second in zip(one.pools, two.pools, strict=True)]
    tightest = min(range(len(counts)), key=lambda place: counts[place].value)
    pool, found = one.pools[tightest], counts[tightest]
    each = _minus(two.pools[tightest].needed, pool.needed)
    left = pool.usable.value - pool.needed.value - (found.value - 1) * each.value
    binds = f"one more needs {format_bytes(each.value)}, {format_bytes(left)} of {pool.name} remain"
    if not found.value:
        binds = f"one needs {format_bytes(pool.needed.value)}, there are {format_bytes(pool.usable.value)} of {pool.name}"
    return VariantResult(variant.name, {"count": found, "each_bytes": _interval(each)}, binds)


def _counts(one: PoolEstimate, two: PoolEstimate) -> Interval:
    """Instances that fit: with the largest needs that are possible, the likely ones, and the smallest."""
    each, there = _minus(two.needed, one.needed), one.usable.value

    def most(first: float, further: float) -> float:
        return 0.0 if first > there else 1.0 + math.floor((there - first) / further) if further > 0 else math.inf

    high, low = most(one.needed.low, each.low), most(one.needed.high, each.high)
    return Interval(most(one.needed.value, each.value), low, high)


def _fits(variant: FitsVariant, hardware: str, budget_bytes: float | None) -> VariantResult:
    listed = [model for model, count in variant.models.items() for _ in range(count)]
    found = _estimate(listed, variant.context_tokens, hardware, budget_bytes)
    pool = min(found.pools, key=lambda one: one.remains_bytes)
    needed = _interval(pool.needed)
    there = pool.usable.value
    values = {"needed_bytes": needed, "remains_bytes": Interval(there - needed.value, there - needed.high, there - needed.low)}
    parts = {
        "weights": sum(one.host.weights + one.device.weights + one.host.mapped + one.device.mapped for one in found.instances),
        "caches": sum(one.host.kv_cache + one.device.kv_cache for one in found.instances),
    }
    said = ", ".join(f"{name} {format_bytes(size)}" for name, size in parts.items())
    binds = f"{said}; {format_bytes(there)} of {pool.name} are there"
    return VariantResult(variant.name, values, binds, "fits" if there >= needed.value else "does not fit")


def _mix(variant: MixVariant, hardware: str, budget_bytes: float | None) -> VariantResult:
    wish = Wish(context_tokens=variant.context_tokens, slots=1)
    try:
        mixes = fit(variant.models, hardware, wish, Demand(distinct=True, top=1), budget_bytes)
    except DoesNotFitError as error:
        return VariantResult(variant.name, why_not=str(error))
    best = mixes.mixes[0]
    used = Interval(*[max(best.used_bytes)] * 3)
    answer = " + ".join(f"{count} × {model}" if count > 1 else model for model, count in best.counts.items())
    return VariantResult(variant.name, {"needed_bytes": used}, "; ".join(mixes.why_not_more), answer)


def _estimate(models: Sequence[str], context_tokens: int, hardware: str, budget_bytes: float | None) -> Estimate:
    """Instances of one slot each, all of their layers on the GPU where there is one."""
    layers: GpuLayers = 0 if find_machine(hardware).device is None else "all"
    return estimate(models, hardware, context_tokens=context_tokens, slots=1, gpu_layers=layers, budget_bytes=budget_bytes)


def _minus(first: Span, second: Span) -> Span:
    return Span(first.value - second.value, first.low - second.low, first.high - second.high)


def _interval(span: Span) -> Interval:
    return Interval(span.value, span.low, span.high)
