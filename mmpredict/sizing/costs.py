"""What servers cost on a machine that was not calibrated: placed as llama-server would place them, at the best known rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mmpredict.cost.loading import assumed_load
from mmpredict.cost.published_costs import PublishedSource, Served, ServedKey, ServedPart
from mmpredict.cost.published_prices import PublishedPrices
from mmpredict.cost.rates.choice import Choice
from mmpredict.cost.rates.datasheet import processor_of
from mmpredict.cost.rates.fewer_threads import with_arithmetic, with_threads
from mmpredict.cost.rates.parameters import ProcessorClass
from mmpredict.cost.rates.step_terms import Conditions
from mmpredict.cost.speed import NORMAL_80
from mmpredict.errors import DoesNotFitError
from mmpredict.models.cache import CacheOptions
from mmpredict.models.spec import ModelSpec
from mmpredict.sizing.divided import DOUBT, ModelPart, divided
from mmpredict.sizing.find_machine import find_machine
from mmpredict.sizing.models import gauge_of
from mmpredict.sizing.pools import pools
from mmpredict.sizing.provenance import unique
from mmpredict.sizing.residents import Added, Resident, added
from mmpredict.sizing.speed import choice_of
from mmpredict.sizing.start_llama import start_llama_server
from mmpredict.sizing.wish import Engine, Wish
from mmpredict.units import format_bytes

if TYPE_CHECKING:
    from mmpredict.hardware.profile import HardwareProfile

_ENGINE: Engine = "llama-server"
_PEAK_SHARE = 0.8  # of a memory's peak that its fastest reader gets, where nobody measured it (``cost.rates.datasheet``)
_LOADS = "load times are assumed: a server's start, and the file at the slower of storage and a copy by the processor"


@dataclass(frozen=True, slots=True)
class PlannedServer:
    """A server that a plan asks for.

    Attributes:
        spec: its model.
        threads: worker threads [1].
        options: context, slots, batch and cache.
        gpu_layers: layers on the GPU, the output counted as one; ``None`` for as many as the engine finds room for [1].
    """

    spec: ModelSpec
    threads: int
    options: CacheOptions
    gpu_layers: int | None = None


class UncalibratedMachine:
    """A machine by its profile and the best known rates.

    Args:
        profile: the machine, in its power mode.
        backend: programming interface of the GPU; by default the one that most people run.
        gpu_frac: part of the GPU's arithmetic that models may use [1].

    Raises:
        InputError: the profile says too little of the processor.
        NotCalibratedError: it is this machine, and nothing was measured here.
    """

    def __init__(self, profile: HardwareProfile, backend: str | None = None, gpu_frac: float = 1.0) -> None:
        self._profile, self._backend, self._gpu_frac = profile, backend, gpu_frac
        self.machine = find_machine(profile)
        self._choices: dict[ProcessorClass, Choice] = {}
        self._prices: dict[tuple[str, float, ProcessorClass, int, Conditions], PublishedPrices] = {}
        self._main: ProcessorClass = "gpu" if self.machine.device is not None else "cpu"
        self._choice(self._main)

    def source(self, companies: Sequence[Sequence[PlannedServer]], check: bool = True) -> PublishedSource:
        """Costs of the servers of a plan.

        Args:
            companies: servers that are loaded together, in this order, one company after another.
            check: whether every company must fit; otherwise whoever loads them decides what becomes of what does not.

        Raises:
            DoesNotFitError: a company that must fit needs more memory than there is.
            InputError: the profile says too little of a processor.
        """
        served: dict[ServedKey, Served] = {}
        notes = [_LOADS]
        for company in companies:
            for planned, one in zip(company, self.place(company, check), strict=True):
                served.setdefault((planned.spec.name, planned.threads, planned.options, planned.gpu_layers), one)
                if len(one.parts) > 1:
                    notes.append(f"{planned.spec.name}: {DOUBT}")
        kinds = sorted({part.kind for one in served.values() for part in one.parts}, reverse=True)
        main = self._choice(kinds[0] if kinds else self._main).rates
        return PublishedSource(
            machine=self.machine.name,
            cores=self._profile.cpu.cores,
            nvidia="cuda" in self.machine.backends,  # whatever backend is asked for, its time is sliced alike
            unified=self.machine.unified,
            request_s=math.exp(main.rates["request_s"].log),
            request_log_spread=main.rates["request_s"].spread,
            served=served,
            provenance=tuple(f"{self.machine.name}, {kind}: {self._choice(kind).sentence}" for kind in kinds),
            notes=unique(notes),
        )

    def place(self, company: Sequence[PlannedServer], check: bool = True) -> list[Served]:
        """Servers that are loaded together, in this order (arguments and errors as ``source``)."""
        residents: list[Resident] = []
        for planned in company:
            gauge = gauge_of(planned.spec, self.machine, _ENGINE)
            wish = _wish(planned.options, planned.gpu_layers)
            residents.append(start_llama_server(gauge, wish, self.machine, residents).resident)
        takes = added(residents)
        if check:
            self._check(company, takes)
        return [self._served(*one) for one in zip(company, residents, takes, strict=True)]

    def priced_as(self, served: Served, spec: ModelSpec, options: CacheOptions) -> Served:
        """The same server with the steps of another model, such as a part of its own, on the first processor that it uses."""
        how = Conditions(options.ubatch_tokens, options.key_type, options.value_type, sampled=True)
        return replace(served, parts=(self._part(ModelPart(served.parts[0].kind, spec, how), served.threads),))

    def _check(self, company: Sequence[PlannedServer], takes: Sequence[Added]) -> None:
        for pool in pools(self.machine, takes):
            if not pool.fits:
                names = ", ".join(planned.spec.name for planned in company)
                raise DoesNotFitError(
                    f"{names} need {format_bytes(pool.needed.value)} of {pool.name}, {format_bytes(pool.usable.value)} are usable; "
                    "run fewer models at once, or use smaller contexts or quantizations"
                )

    def _served(self, planned: PlannedServer, resident: Resident, take: Added) -> Served:
        spec, options, where = planned.spec, planned.options, resident.placement
        kept = sum(tensor.size_bytes for tensor in spec.tensors if tensor.name in where.kept)
        how = Conditions(options.ubatch_tokens, options.key_type, options.value_type, sampled=True)
        machine, memory = self.machine, resident.memory
        disk = machine.storage_bytes_per_s
        warm = assumed_load(spec.file_bytes, machine.bandwidth_bytes_per_s)
        needed = take.host + take.device
        return Served(
            spec=spec,
            threads=planned.threads,
            parts=tuple(self._part(part, planned.threads) for part in divided(spec, where.gpu_layers, kept, how)),
            memory=memory.host + memory.device if machine.unified else memory.host,
            program_bytes=resident.gauge.overhead.shared_bytes,
            device_bytes=0.0 if machine.unified else memory.device.total,
            memory_log_spread=math.log(needed.high / needed.low) / 2 / NORMAL_80,
            warm=warm,
            cold=assumed_load(spec.file_bytes, machine.bandwidth_bytes_per_s, (disk.value, disk.low, disk.high)) if disk else warm,
        )

    def _part(self, part: ModelPart, threads: int) -> ServedPart:
        cores = self.machine.threads
        count = min(threads, cores) if part.kind == "cpu" else 0
        key = (part.spec.name, part.how.share, part.kind, count, part.how)
        prices = self._prices.get(key)
        if prices is None:
            rates = self._choice(part.kind).rates
            rates = with_threads(rates, count, cores) if part.kind == "cpu" else rates
            prices = self._prices[key] = PublishedPrices(part.spec, rates, part.how)
        return ServedPart(part.kind, prices, self._pool_bytes_per_s(part.kind) or prices.bandwidth_bytes_per_s)

    def _pool_bytes_per_s(self, kind: ProcessorClass) -> float:
        """What the memory of a processor gives to its fastest reader; 0 where nothing is known [bytes/s]."""
        reader = processor_of(self._profile, kind)
        measured = [
            one.bandwidth_bytes_per_s.value
            for one in self._profile.processors
            if one.pool == reader.pool and one.bandwidth_bytes_per_s is not None
        ]
        peak = self._profile.pool_of(reader).bandwidth_bytes_per_s
        return max(measured, default=_PEAK_SHARE * peak.value if peak is not None else 0.0)

    def _choice(self, kind: ProcessorClass) -> Choice:
        if kind not in self._choices:
            backend = self._backend if kind == "gpu" else None
            found = choice_of(self.machine, self._profile, backend, kind)
            if kind == "gpu" and self._gpu_frac < 1.0:
                found = replace(found, rates=with_arithmetic(found.rates, self._gpu_frac))
            self._choices[kind] = found
        return self._choices[kind]


def _wish(options: CacheOptions, gpu_layers: int | None) -> Wish:
    return Wish(
        engine=_ENGINE,
        gpu_layers=gpu_layers,
        context_tokens=options.context_tokens,
        slots=options.slots,
        unified=options.unified,
        key_type=options.key_type,
        value_type=options.value_type,
        ubatch_tokens=options.ubatch_tokens,
        flash_attention=options.flash_attention,
    )
