"""Runs of fronts on a machine of round numbers: a request of n output tokens takes n seconds, no server slows another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from mmpredict.cost.contention import Demand, Phase
from mmpredict.cost.memory import MemoryParts, Touched
from mmpredict.cost.prices import StepPrices
from mmpredict.models.cache import CacheOptions
from mmpredict.models.catalog import uniform_spec
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.models.spec import ModelSpec
from mmpredict.results.columns import ActivityRow, RequestRow
from mmpredict.results.records import Records
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.simulation.run import simulate
from mmpredict.simulation.serving import OllamaServing, Serving
from mmpredict.simulation.site import Site
from mmpredict.workload.request import Request, Workload

GB = 1e9
LOAD_S = 2.0
NEEDS_BYTES = 1 * GB
MODELS = ("a", "b", "c", "d", "e")
SPEC = uniform_spec("smollm2-135m", weight_type("q8_0"))


class SecondPrices(StepPrices):
    """10 ms per prompt token, 1 s per decode step, however many sequences are in it."""

    def piece_s(self, start: int, tokens: int) -> float:
        return 0.0

    def _price_decode_pass(self, sequences: int) -> float:
        return 1.0

    def _price_batch_pass(self, tokens: int, sampled: int) -> float:
        return 0.01 * tokens


class SecondCost:
    """A server of given load time and memory."""

    stacked = False
    unload_s = 0.0
    program_bytes = 0.0

    def __init__(self, loading_s: float, needs_bytes: float, device_bytes: float) -> None:
        self.prices: StepPrices = SecondPrices(100_000)
        self.memory = MemoryParts(weights=needs_bytes)
        self.device_bytes = device_bytes
        self._loading_s = loading_s

    def load_s(self, cold: bool) -> float:
        return self._loading_s

    def load_demand(self, solo_s: float, cold: bool) -> Demand:
        return Demand("load", 1, False, solo_s, 0.0, False)

    def demand(self, phase: Phase, solo_s: float, passes: int, sequences: int) -> Demand:
        return Demand(phase, 1, False, solo_s, float(passes), False)


class Independent:
    """Nothing slows anything."""

    cores = 64

    def rates(self, running: Sequence[Demand]) -> list[float]:
        return [1.0] * len(running)


class SecondCosts:
    """Costs of every server: name of the model → seconds, bytes."""

    sharing = Independent()
    request_s = 0.0
    latency_s = 0.0

    @staticmethod
    def lateness() -> float:
        return 0.0

    def __init__(self, loads_s: Mapping[str, float], needs: Mapping[str, float], device: Mapping[str, float]) -> None:
        self._loads_s, self._needs, self._device = loads_s, needs, device

    def instance(
        self,
        spec: ModelSpec,
        threads: int,
        spincount: int | None,
        options: CacheOptions,
        touched: Touched | None = None,
        gpu_layers: int | None = None,
    ) -> SecondCost:
        name = spec.name
        return SecondCost(self._loads_s.get(name, LOAD_S), self._needs.get(name, NEEDS_BYTES), self._device.get(name, 0.0))

    def stacked(self, spinning: Sequence[str]) -> set[str]:
        return set()


def ask(name: str, model: str, arrival_s: float, seconds: int = 1, **more: object) -> Request:
    """A request that takes ``seconds`` alone."""
    return Request(name, model, 100, seconds, arrival_s, **more)  # type: ignore[arg-type]


def plan_of(serving: Serving, models: Iterable[str] = MODELS, slots: int = 1) -> Plan:
    """Every model as an instance of its own name."""
    slots = serving.num_parallel if isinstance(serving, OllamaServing) else slots
    instances = tuple(InstancePlan(name, name, 1, context_tokens=4096 * slots, slots=slots, unified=False) for name in models)
    return Plan(serving.rules, instances, (Stage(tuple(models)),), serving)


def run(
    serving: Serving,
    *requests: Request,
    loads_s: Mapping[str, float] | None = None,
    needs: Mapping[str, float] | None = None,
    device: Mapping[str, float] | None = None,
    site: Site | None = None,
    slots: int = 1,
) -> Records:
    """Records of requests that meet a front."""
    specs = {name: replace(SPEC, name=name) for name in MODELS}
    costs = SecondCosts(loads_s or {}, needs or {}, device or {})
    return simulate(plan_of(serving, slots=slots), Workload(requests), specs, costs, 100 * GB, site=site)


def rows(records: Records) -> dict[str, RequestRow]:
    """Requests by their names."""
    return {row.request: row for row in records.requests}


def times(records: Records) -> dict[str, tuple[float, float]]:
    """Name → when it was sent and when it ended, in seconds to the millisecond."""
    return {row.request: (round(row.dispatched_s, 3), round(row.finish_s, 3)) for row in records.requests if row.status == "ok"}


def spans(records: Records, kind: str) -> list[tuple[str, float, float]]:
    """(instance, begin, end) of all activities of a kind, to the millisecond."""
    return [(row.instance, round(row.start_s, 3), round(row.end_s, 3)) for row in records.activities if row.kind == kind]


def causes(records: Records, kind: str, instance: str = "", request: str = "") -> list[str]:
    """Causes of all activities of a kind."""
    return [row.cause for row in records.activities if _is(row, kind, instance, request)]


def _is(row: ActivityRow, kind: str, instance: str, request: str) -> bool:
    return row.kind == kind and instance in ("", row.instance) and request in ("", row.request)
