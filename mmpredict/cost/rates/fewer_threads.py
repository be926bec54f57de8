"""Rates of a part of a processor, where only runs with all of it are known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from mmpredict.cost.rates.rates import Rate, Rates
from mmpredict.errors import InputError

_READING_SHARE = 0.5  # of the cores, from which on the memory gives no more (assumed)
_SPREAD = 0.3  # of what is assumed of a part of a processor (assumed)
_ARITHMETIC_S = ("mac_s", "prompt_mac_s", "recurrent_mac_s", "far_mac_s")


def with_threads(rates: Rates, threads: int, cores: int) -> Rates:
    """Rates with so many threads: arithmetic goes by threads, memory is read at full speed by half of the cores.

    Args:
        rates: with all cores.
        threads: worker threads, at most one per core [1].
        cores: of the CPU [1].
    """
    if threads >= cores:
        return rates
    reading = min(1.0, threads / (_READING_SHARE * cores))
    return _shifted(rates, _slower_arithmetic(threads / cores) | {"bandwidth": math.log(reading)})


def with_arithmetic(rates: Rates, share: float) -> Rates:
    """Rates of a processor of whose arithmetic units a share may be used, and all of whose memory's bandwidth [1].

    Raises:
        InputError: the share is not above 0 and at most 1.
    """
    if not 0.0 < share <= 1.0:
        raise InputError(f"the share of a processor's arithmetic is {share}; it must be above 0 and at most 1")
    return _shifted(rates, _slower_arithmetic(share)) if share < 1.0 else rates


def _slower_arithmetic(share: float) -> dict[str, float]:
    return {"compute": math.log(share), **dict.fromkeys(_ARITHMETIC_S, -math.log(share))}


def _shifted(rates: Rates, shifts: Mapping[str, float]) -> Rates:
    """Rates with logarithms moved by so much, and the doubt about that."""
    changed = {
        name: Rate(log=rates.rates[name].log + shift, spread=math.hypot(rates.rates[name].spread, _SPREAD))
        for name, shift in shifts.items()
    }
    return replace(rates, rates={**rates.rates, **changed})
