"""The cost model: coefficients put together into the questions that the simulator asks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.contention import Contention, is_yielding
from mmpredict.cost.draw import UNMEASURED_LOG_SPREAD, Draw, draw_contention
from mmpredict.cost.loading import load_s
from mmpredict.cost.memory import instance_memory
from mmpredict.cost.overhead import EMBEDDED
from mmpredict.cost.step import PromptPiece, StepCost, StepFeatures, batch_features, decode_features
from mmpredict.errors import InputError
from mmpredict.models.cache import CacheOptions, cache_bytes
from mmpredict.models.spec import ModelSpec


class InstanceCost:
    """What one instance costs, alone on the machine, in one simulation run.

    Args:
        spec: its model.
        threads: its worker threads [1].
        spincount: its waiting rule (``GOMP_SPINCOUNT``), ``None`` for the runtime's default.
        options: context, slots, batch and cache of the server.
        coefficients: of the machine and engine.
        draw: the run's luck.
        touched_tokens: largest batch that the requests can make (``cost.memory``) [tokens].

    Raises:
        InputError: more threads than the machine has cores.
    """

    def __init__(
        self,
        spec: ModelSpec,
        threads: int,
        spincount: int | None,
        options: CacheOptions,
        coefficients: Coefficients,
        draw: Draw,
        touched_tokens: int | None = None,
    ) -> None:
        if threads > coefficients.cores:
            raise InputError(
                f"{spec.name}: {threads} threads on {coefficients.cores} cores; a server with more threads than cores "
                f"waits for itself and is not modelled: use at most {coefficients.cores}"
            )
        self.spec = spec
        self.threads = threads
        self.yielding = threads > 1 and is_yielding(spincount)
        self._ubatch_tokens = options.ubatch_tokens
        self._coefficients = coefficients
        self._weighted_costs = _bracket(coefficients, threads)
        machine = draw.factor("machine", coefficients.machine_log_spread)
        price = coefficients.yielding_price if self.yielding else {}
        unmeasured = self.unmeasured_types()
        self._factors = {
            phase: machine
            * price.get(phase, 1.0)
            * draw.factor(f"{phase} of {spec.name}", coefficients.model_log_spread[phase])
            * (draw.factor(f"unmeasured {phase} of {spec.name}", UNMEASURED_LOG_SPREAD) if unmeasured else 1.0)
            for phase in ("prefill", "decode")
        }
        self._kv_cache_bytes = cache_bytes(spec.shape, options)
        self._load_factor = machine * draw.factor(f"load of {spec.name}", coefficients.loading.log_spread)
        memory = instance_memory(spec, options, EMBEDDED, threads=threads, touched_tokens=touched_tokens)
        scale = draw.factor(f"memory of {spec.name}", coefficients.memory.log_spread)
        self.memory = memory.host.scaled(scale)

    def batch_s(self, depths: Sequence[float], pieces: Sequence[PromptPiece]) -> float:
        """Duration of one batch that holds pieces of prompts [s]."""
        return self._factors["prefill"] * self._duration_s(batch_features(self.spec, depths, pieces, self._ubatch_tokens))

    def decode_s(self, depths: Sequence[float], steps: int) -> float:
        """Duration of ``steps`` decode steps of sequences that begin at ``depths`` [s]."""
        return self._factors["decode"] * self._duration_s(decode_features(self.spec, depths, steps)) if steps else 0.0

    def passes(self, tokens: int) -> int:
        """Physical batches that a batch of ``tokens`` is evaluated in [1]."""
        return -(-tokens // self._ubatch_tokens)

    def load_s(self, cold: bool) -> float:
        """Time from process start to ready [s]."""
        return self._load_factor * load_s(self.spec, self._kv_cache_bytes, cold, self._coefficients.loading)

    def unmeasured_types(self) -> set[str]:
        """Weight types of the model for which there is no kernel measurement."""
        used = self.spec.weight_types
        return set(used) - set(self._weighted_costs[0][1].coefficients.kernels)

    def _duration_s(self, features: StepFeatures) -> float:
        # Speed over threads is interpolated geometrically between measured numbers of threads.
        if len(self._weighted_costs) == 1:
            return self._weighted_costs[0][1].duration_s(features)
        return math.exp(sum(weight * math.log(cost.duration_s(features)) for weight, cost in self._weighted_costs))


class CostModel:
    """Costs of every instance, and the contention between them, in one simulation run.

    Args:
        coefficients: of the machine and engine.
        draw: the run's luck; without it everything is at its median.
    """

    def __init__(self, coefficients: Coefficients, draw: Draw | None = None) -> None:
        self.coefficients = coefficients
        self.draw = draw or Draw()
        self.contention: Contention = draw_contention(coefficients, self.draw)

    def instance(
        self, spec: ModelSpec, threads: int, spincount: int | None, options: CacheOptions, touched_tokens: int | None = None
    ) -> InstanceCost:
        """Costs of one instance (see ``InstanceCost``)."""
        return InstanceCost(spec, threads, spincount, options, self.coefficients, self.draw, touched_tokens)

    def stacked(self, spinning: Sequence[str]) -> set[str]:
        """Which of several spinning instances get their threads stacked on one core when they compete.

        A scheduler that keeps as many threads on each core as on any other stacks them in pairs, or not at all: of an odd
        number of instances one is spared.
        """
        if len(spinning) < 2 or not self.draw.chance("stacked", self.coefficients.contention.stacked_probability):
            return set()
        order = sorted(spinning, key=lambda name: (self.draw.factor(f"spared {name}", 1.0), name))
        return set(order[len(order) % 2 :])


def _bracket(coefficients: Coefficients, threads: int) -> list[tuple[float, StepCost]]:
    """Measured neighbours of a number of threads with their weights (one, when it was measured or lies outside)."""
    measured = sorted(coefficients.steps)
    above = next((count for count in measured if count >= threads), measured[-1])
    below = next((count for count in reversed(measured) if count <= threads), measured[0])
    if above == below:
        return [(1.0, StepCost(coefficients.steps[above]))]
    position = math.log(threads / below) / math.log(above / below)
    return [(1 - position, StepCost(coefficients.steps[below])), (position, StepCost(coefficients.steps[above]))]
