"""The cost model: coefficients put together into the questions that the simulator asks."""

from __future__ import annotations

from collections.abc import Sequence

from mmpredict.cost.calibrated_prices import CalibratedPrices
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.contention import Contention, Demand, Phase, is_yielding
from mmpredict.cost.correction import correction_sentence
from mmpredict.cost.draw import REST_LOG_SPREAD, UNMEASURED_LOG_SPREAD, Draw, draw_contention
from mmpredict.cost.lent import lent_sentence
from mmpredict.cost.loading import load_s, unload_s
from mmpredict.cost.memory import Touched, instance_memory
from mmpredict.cost.overhead import overhead_of_build
from mmpredict.cost.pace import pace_sentence
from mmpredict.cost.prices import StepPrices
from mmpredict.errors import InputError
from mmpredict.models.cache import CacheOptions, cache_bytes
from mmpredict.models.spec import ModelSpec

SERVING: tuple[Phase, Phase] = ("prefill", "decode")


class InstanceCost:
    """What one instance costs, alone on the machine, in one simulation run.

    Args:
        spec: its model.
        threads: its worker threads [1].
        spincount: its waiting rule (``GOMP_SPINCOUNT``), ``None`` for the runtime's default.
        options: context, slots, batch and cache of the server.
        coefficients: of the machine and engine.
        draw: the run's luck.
        touched: what the requests use of its memory.
        passes_s: see ``CalibratedPrices``.

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
        touched: Touched | None = None,
        passes_s: dict[tuple[int, int], float] | None = None,
    ) -> None:
        if threads > coefficients.cores:
            raise InputError(
                f"{spec.name}: {threads} threads on {coefficients.cores} cores; a server with more threads than cores "
                f"waits for itself and is not modelled: use at most {coefficients.cores}"
            )
        self.spec = spec
        self.threads = threads
        self.yielding = threads > 1 and is_yielding(spincount)
        machine = draw.factor("machine", coefficients.machine_log_spread)
        price = coefficients.yielding_price if self.yielding else {}
        unmeasured = bool(unmeasured_types(spec, coefficients))
        factors: dict[Phase, float] = {
            phase: machine
            * price.get(phase, 1.0)
            * draw.factor(f"{phase} of {spec.name}", coefficients.model_log_spread[phase])
            * (draw.factor(f"unmeasured {phase} of {spec.name}", UNMEASURED_LOG_SPREAD) if unmeasured else 1.0)
            for phase in SERVING
        }
        self.prices: StepPrices = CalibratedPrices(spec, threads, options.ubatch_tokens, coefficients, factors, passes_s)
        rested = draw.factor("rest", REST_LOG_SPREAD)
        self.prices.rests = tuple((pause_s, rested * longer_s) for pause_s, longer_s in coefficients.rests)
        self.stacked = False
        self.device_bytes = 0.0
        self._coefficients = coefficients
        self._pass_bytes: dict[int, float] = {}  # tokens → weights that a pass reads
        self._kv_cache_bytes = cache_bytes(spec.shape, options)
        self._load_factor = machine * draw.factor(f"load of {spec.name}", coefficients.loading.log_spread)
        overhead = overhead_of_build(coefficients.lent_to, coefficients.engine)
        memory = instance_memory(spec, options, overhead, threads=threads, touched=touched)
        scale = draw.factor(f"memory of {spec.name}", coefficients.memory.log_spread)
        self.memory = memory.host.scaled(scale)
        self.program_bytes = scale * overhead.shared_bytes
        self.unload_s = machine * unload_s(spec, self._kv_cache_bytes, coefficients.loading)

    def load_s(self, cold: bool) -> float:
        """Time from process start to ready [s]."""
        return self._load_factor * load_s(self.spec, self._kv_cache_bytes, cold, self._coefficients.loading)

    def load_demand(self, solo_s: float, cold: bool) -> Demand:
        """See ``ServerCost``."""
        own = self._coefficients.loading
        byte_s = self._load_factor * own.factor_of.get(self.spec.name, 1.0) * own.cold_byte_s
        reading_s = byte_s * self.spec.weight_bytes if cold else 0.0
        return Demand("load", 1, False, solo_s, 0.0, False, disk=min(1.0, reading_s / solo_s) if solo_s else 0.0)

    def demand(self, phase: Phase, solo_s: float, passes: int, sequences: int) -> Demand:
        """See ``ServerCost``."""
        reading_s = passes * self._read_s(phase, sequences)
        return Demand(
            phase,
            self.threads,
            self.yielding,
            solo_s,
            float(passes * self.spec.shape.n_trunk_layers),
            self.stacked,
            bandwidth=min(1.0, reading_s / solo_s) if solo_s else 0.0,
        )

    def _read_s(self, phase: Phase, sequences: int) -> float:
        """Time in which memory could hand over at best what a pass reads [s]."""
        memory_bytes_per_s = self._coefficients.contention.memory_bytes_per_s
        if not memory_bytes_per_s:
            return 0.0
        tokens = sequences if phase == "decode" else self.prices.ubatch_tokens
        found = self._pass_bytes.get(tokens)
        if found is None:
            found = self._pass_bytes[tokens] = self.spec.pass_bytes(tokens)
        return found / memory_bytes_per_s


def unmeasured_types(spec: ModelSpec, coefficients: Coefficients) -> set[str]:
    """Weight types of a model for which there is no kernel measurement."""
    return set(spec.weight_types) - set(next(iter(coefficients.steps.values())).kernels)


KnownPasses = dict[tuple[ModelSpec, int], dict[tuple[int, int], float]]
"""(model, threads) → prices of passes (see ``CalibratedPrices``)."""


class CostModel:
    """Costs of every instance, and the contention between them, in one simulation run.

    Args:
        coefficients: of the machine and engine.
        draw: the run's luck; without it everything is at its median.
        known: prices of passes without luck, of models and threads; what is missing is added.
    """

    def __init__(self, coefficients: Coefficients, draw: Draw | None = None, known: KnownPasses | None = None) -> None:
        self._known: KnownPasses = {} if known is None else known
        self.coefficients = coefficients
        self.draw = draw or Draw()
        self.sharing: Contention = draw_contention(coefficients, self.draw)
        self.request_s = coefficients.request_s
        self.latency_s = 0.0
        self.lateness = self.draw.lateness()

    def instance(
        self,
        spec: ModelSpec,
        threads: int,
        spincount: int | None,
        options: CacheOptions,
        touched: Touched | None = None,
        gpu_layers: int | None = None,
    ) -> InstanceCost:
        """Costs of one instance (see ``InstanceCost``).

        Raises:
            InputError: layers on a GPU.
        """
        if gpu_layers:
            raise InputError(
                f"{spec.name}: {gpu_layers} layers on a GPU, but {self.coefficients.machine} was calibrated with its CPU alone; "
                "leave gpu_layers out"
            )
        passes_s = self._known.setdefault((spec, threads), {})
        return InstanceCost(spec, threads, spincount, options, self.coefficients, self.draw, touched, passes_s)

    def stacked(self, spinning: Sequence[str]) -> set[str]:
        """Which of several spinning instances get their threads stacked on one core when they compete.

        A scheduler that keeps as many threads on each core as on any other stacks them in pairs, or not at all: of an odd
        number of instances one is spared.
        """
        if len(spinning) < 2 or not self.draw.chance("stacked", self.coefficients.contention.stacked_probability):
            return set()
        order = sorted(spinning, key=lambda name: (self.draw.factor(f"spared {name}", 1.0), name))
        return set(order[len(order) % 2 :])


class CalibratedSource:
    """Costs by a calibration of the machine (see ``CostSource``).

    Args:
        coefficients: of the machine and engine.
    """

    on_cpu = True

    def __init__(self, coefficients: Coefficients) -> None:
        self.coefficients = coefficients
        self.cores = coefficients.cores
        self._known: KnownPasses = {}
        self.provenance = (
            f"coefficients fitted on {coefficients.measured_on} from {coefficients.measurements} measurements of "
            f"{coefficients.machine} with {coefficients.engine}",
            *([correction_sentence(coefficients.correction)] if coefficients.correction else []),
            *([pace_sentence(coefficients.pace)] if coefficients.pace else []),
        )

    def costs(self, draw: Draw) -> CostModel:
        """Costs of one run."""
        return CostModel(self.coefficients, draw, self._known)

    def doubts(self, specs: Sequence[ModelSpec], several: bool) -> tuple[str, ...]:
        """A calibration of another program, and models with weights that were not calibrated."""
        lent = lent_sentence(self.coefficients)
        kernels = {name for steps in self.coefficients.steps.values() for name in steps.kernels}
        unmeasured = (
            f"{spec.name} holds weights of a type that was not calibrated ({', '.join(sorted(spec.weight_types - kernels))}): its "
            "speed is a guess within wide bounds; calibrate with --types"
            for spec in specs
            if spec.weight_types - kernels
        )
        return (*([lent] if lent else []), *unmeasured)
