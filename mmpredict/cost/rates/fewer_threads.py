"""Rates of a CPU on some of its cores, where only runs with all of them are known."""

from __future__ import annotations

import math
from dataclasses import replace

from mmpredict.cost.rates.rates import Rate, Rates

_READING_SHARE = 0.5  # of the cores, from which on the memory gives no more (assumed)
_SPREAD = 0.3  # of what is assumed of fewer threads (assumed)
_PER_THREAD_S = ("mac_s", "prompt_mac_s", "recurrent_mac_s", "far_mac_s")


def with_threads(rates: Rates, threads: int, cores: int) -> Rates:
    """Rates with so many threads: arithmetic goes by threads, memory is read at full speed by half of the cores.

    Args:
        rates: with all cores.
        threads: worker threads, at most one per core [1].
        cores: of the CPU [1].
    """
    if threads >= cores:
        return rates
    computing, reading = threads / cores, min(1.0, threads / (_READING_SHARE * cores))
    shifts = {"compute": math.log(computing), "bandwidth": math.log(reading)}
    shifts |= dict.fromkeys(_PER_THREAD_S, -math.log(computing))
    changed = {
        name: Rate(log=rates.rates[name].log + shift, spread=math.hypot(rates.rates[name].spread, _SPREAD))
        for name, shift in shifts.items()
    }
    return replace(rates, rates={**rates.rates, **changed})
