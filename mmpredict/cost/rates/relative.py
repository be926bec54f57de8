"""How prices of one processor are carried over to another of its family.

Families are described in reference units: bandwidth and compute as shares of the data sheet, times of multiplications as those of
a processor of 1 TFLOP/s, and what far cells cost as that of a memory of 100 GB/s. Everything else is in its own unit.
"""

from __future__ import annotations

import math
from dataclasses import replace

from mmpredict.cost.rates.datasheet import Peaks
from mmpredict.cost.rates.parameters import Belief
from mmpredict.cost.rates.rates import Rate, Rates

REFERENCE_COMPUTE, REFERENCE_BANDWIDTH = 1e12, 100e9

# How far the logarithms of parameters differ from one machine to its relatives, beyond what their data sheets say.
_BANDWIDTH_SPREAD, _COMPUTE_SPREAD, _TIME_SPREAD, _FACTOR_SPREAD = 0.25, 0.35, 0.50, 0.08
_SAME_KIND = 0.5  # of these, between two machines of one kind: other hosts, coolers, drivers
_WITH_COMPUTE = frozenset({"mac_s", "prompt_mac_s", "recurrent_mac_s", "vector_block_s"})
_WITH_BANDWIDTH = frozenset({"far_mac_s"})
_SHARED = ("read_", "expert_read_", "compute_", "expert_compute_", "early_")


def reference_factor(name: str, peaks: Peaks) -> float:
    """A processor's own unit of a parameter in reference units, so that ``own = factor · reference``."""
    if name == "bandwidth":
        return peaks.bandwidth_bytes_per_s
    if name == "compute":
        return peaks.compute_flop_per_s
    if name in _WITH_COMPUTE:
        return REFERENCE_COMPUTE / peaks.compute_flop_per_s
    if name in _WITH_BANDWIDTH:
        return REFERENCE_BANDWIDTH / peaks.bandwidth_bytes_per_s
    return 1.0


def own_spread(name: str) -> float:
    """How far a parameter of one member is from what its family has in common [logarithm]; 0 where all have the same."""
    if name == "bandwidth":
        return _BANDWIDTH_SPREAD
    if name == "compute":
        return _COMPUTE_SPREAD
    if name.endswith("_s"):
        return _TIME_SPREAD
    return 0.0 if name.startswith(_SHARED) else _FACTOR_SPREAD


def beliefs_of(rates: Rates, peaks: Peaks) -> dict[str, Belief]:
    """What prices of a machine let expect of another one of its kind, in reference units."""
    return {
        name: Belief(rate.log - math.log(reference_factor(name, peaks)), math.hypot(rate.spread, _SAME_KIND * own_spread(name)))
        for name, rate in rates.rates.items()
    }


def alike_rates(rates: Rates, theirs: Peaks, machine: str, mode: str, peaks: Peaks) -> Rates:
    """Prices of a machine that was not measured, from those of one that was built alike.

    A card that reads less than memories usually give is held up by its processors: a slower memory does not slow it until it gives
    no more than that.

    Args:
        rates, theirs: of the one that was measured.
        machine, mode, peaks: of the other.
    """
    found = {
        name: Rate(log=belief.mean + math.log(reference_factor(name, peaks)), spread=belief.spread)
        for name, belief in beliefs_of(rates, theirs).items()
    }
    read = found["bandwidth"]
    by_processors = rates.rates["bandwidth"].log + math.log(peaks.compute_flop_per_s / theirs.compute_flop_per_s)
    found["bandwidth"] = replace(read, log=max(read.log, min(by_processors, peaks.read.mean)))
    return _of(rates, machine, mode, peaks, found)


def relative_rates(common: Rates, machine: str, mode: str, peaks: Peaks) -> Rates:
    """Prices of a machine that was not measured, from what its family has in common."""
    rates = {
        name: Rate(log=rate.log + math.log(reference_factor(name, peaks)), spread=math.hypot(rate.spread, own_spread(name)))
        for name, rate in common.rates.items()
    }
    return _of(common, machine, mode, peaks, rates)


def _of(known: Rates, machine: str, mode: str, peaks: Peaks, rates: dict[str, Rate]) -> Rates:
    return replace(
        known,
        machine=machine,
        mode=mode,
        rates=rates,
        bandwidth_bytes_per_s=peaks.bandwidth_bytes_per_s,
        compute_flop_per_s=peaks.compute_flop_per_s,
    )
