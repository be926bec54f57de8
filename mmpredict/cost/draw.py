"""One draw of everything that the coefficients leave uncertain.

Draws depend on the seed, the number of the draw and the name of what is drawn, never on the order of drawing: two plans that
are simulated with the same draw share their luck (common random numbers), so their difference is better known than either.
Every second draw has the opposite luck of the one before (antithetic variates: J. M. Hammersley, K. W. Morton, 1956): what is as
likely too quick as too slow is then as often the one as the other, and medians are not off by the luck of a seed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from random import Random

import numpy as np

from mmpredict.cost.coefficients import Coefficients, Estimate
from mmpredict.cost.contention import Contention
from mmpredict.cost.sharing import MachineSharing

UNMEASURED_LOG_SPREAD = 0.4
"""Spread of the speed of a weight type that was never measured: it is bounded by the slowest kernel, not fitted."""

REST_LOG_SPREAD = 0.5
"""Spread of what a pause adds to the next first token: a second added 10 ms in an hour, 25 in another (a virtual Xeon)."""

SLICE = Estimate(value=0.017, log_spread=0.1)
"""Longest time that an NVIDIA GPU works for one process while others wait [s]: measured on an H200 (``docs/design.md``)."""
GPU_EFFICIENCY = Estimate(value=0.92, log_spread=0.06)
"""Part of a GPU's time that is worked while several processes take turns: fitted to these runs (``benchmarks/shared_gpu.py``)."""
OTHER_SLICE = Estimate(value=0.017, log_spread=0.4)
OTHER_EFFICIENCY = Estimate(value=1.0, log_spread=0.15)
"""The same of GPUs of other makers, which work for several processes at once, so that taking turns loses nothing: assumed."""

YIELDING = Estimate(value=0.95, log_spread=0.1)
SPINNING_PREFILL = Estimate(value=0.7, log_spread=0.35)
SPINNING_DECODE = Estimate(value=0.3, log_spread=0.6)
"""Speed ÷ fair share of servers with more threads than cores, where nothing was measured: assumed from two machines of two cores;
the second state of spinning servers (``docs/design.md``) is part of the spread."""


@dataclass(frozen=True, slots=True)
class Draw:
    """The uncertain factors of one simulation run.

    Attributes:
        seed: of the prediction.
        number: which draw; ``None`` puts every factor at its median.
    """

    seed: int = 0
    number: int | None = None

    def factor(self, name: str, log_spread: float) -> float:
        """A log-normal factor of median 1 [1]."""
        return 1.0 if self.number is None else math.exp(log_spread * _normal(self.seed, self.number, name))

    def chance(self, name: str, probability: float) -> bool:
        """Whether something of this probability happens; at the median, whether it is likelier than not."""
        if self.number is None:
            return probability > 0.5
        return _uniform(self.seed, self.number, name) < probability

    def lateness(self) -> Callable[[], float]:
        """How late servers see one request after another, in units of the mean; at the median they see them at once [1]."""
        if self.number is None:
            return lambda: 0.0
        random = Random(f"lateness {self.seed} {self.number}")
        return lambda: random.expovariate(1.0)


def _generator(seed: int, number: int, name: str) -> np.random.Generator:
    """The same for both draws of a pair, of which the second takes the opposite."""
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.default_rng([seed, number // 2, int.from_bytes(digest[:8], "little")])


def _uniform(seed: int, number: int, name: str) -> float:
    """Between 0 and 1."""
    drawn = float(_generator(seed, number, name).random())
    return 1.0 - drawn if number % 2 else drawn


@lru_cache(1 << 16)
def _normal(seed: int, number: int, name: str) -> float:
    """Plans that share their luck ask for the same numbers again and again."""
    drawn = float(_generator(seed, number, name).standard_normal())
    return -drawn if number % 2 else drawn


def draw_contention(coefficients: Coefficients, draw: Draw) -> Contention:
    """Contention coefficients of one run; efficiencies stay at or below 1."""
    own = coefficients.contention

    def drawn(name: str, estimate: Estimate) -> float:
        return estimate.value * draw.factor(f"contention {name}", estimate.log_spread)

    return Contention(
        cores=coefficients.cores,
        within_efficiency=min(1.0, drawn("within", own.within_efficiency)),
        yielding_efficiency=min(1.0, drawn("yielding", own.yielding_efficiency)),
        spinning_efficiency_prefill=min(1.0, drawn("spinning prefill", own.spinning_efficiency["prefill"])),
        spinning_efficiency_decode=min(1.0, drawn("spinning decode", own.spinning_efficiency["decode"])),
        stacked_layer_s=drawn("stacked", own.stacked_layer_s),
        crowding=own.crowding,
        load_within_efficiency=min(1.0, drawn("loads within", own.load_within_efficiency)),
        load_beyond_efficiency=min(1.0, drawn("loads beyond", own.load_beyond_efficiency)),
    )


def draw_sharing(cores: int, nvidia: bool, unified: bool, draw: Draw) -> MachineSharing:
    """How activities share a machine that was not calibrated, in one run.

    Args:
        cores: of its CPU [1].
        nvidia: whether its GPU is of the make that was measured; without a GPU it does not matter.
        unified: whether CPU and GPU read one memory.
        draw: the run's luck.
    """

    def drawn(name: str, estimate: Estimate) -> float:
        return estimate.value * draw.factor(f"sharing {name}", estimate.log_spread)

    cpu = Contention(
        cores=cores,
        within_efficiency=1.0,
        yielding_efficiency=min(1.0, drawn("yielding", YIELDING)),
        spinning_efficiency_prefill=min(1.0, drawn("spinning prefill", SPINNING_PREFILL)),
        spinning_efficiency_decode=min(1.0, drawn("spinning decode", SPINNING_DECODE)),
        stacked_layer_s=0.0,
    )
    slice_s = drawn("of time slices", SLICE if nvidia else OTHER_SLICE)
    efficiency = min(1.0, drawn("of a GPU's time", GPU_EFFICIENCY if nvidia else OTHER_EFFICIENCY))
    return MachineSharing(cpu, slice_s, efficiency, unified)
