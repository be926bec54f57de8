"""A platform word of the guide as a machine on which servers are placed and priced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace

from mmpredict.compat.model_config import Limits, Processor
from mmpredict.compat.servers import Stated, StatedServer
from mmpredict.compat.work import Member
from mmpredict.cost.chain import CalibratedSource
from mmpredict.cost.draw import Draw
from mmpredict.cost.encoder_decoder import EncoderDecoderServer, halves, writes
from mmpredict.cost.library import machine_key, newest_coefficients
from mmpredict.cost.loading import assumed_load
from mmpredict.cost.published_costs import PublishedServer, Served
from mmpredict.cost.server_cost import CostSource, MachineCosts, ServerCost
from mmpredict.errors import DoesNotFitError, InputError
from mmpredict.hardware.library import find_profile
from mmpredict.simulation.plan import InstancePlan
from mmpredict.sizing.costs import PlannedServer, UncalibratedMachine
from mmpredict.sizing.find_machine import THIS_MACHINE
from mmpredict.units import format_bytes

_BACKEND_OF = {"cuda": "cuda", "rocm": "rocm", "mps": "metal", "webgpu": "webgpu", "webnn": "webnn"}
"""The programming interface that a platform word names."""
BROWSER_WORDS = ("webgpu", "webnn", "wasm")

Server = Callable[[Draw, MachineCosts], ServerCost]
"""(the run's luck, costs of the machine) → costs of one server."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A member that is to be placed.

    Attributes:
        spec: its model, with its label.
        plan: its server.
        processor: where it shall run; None leaves it to the machine.
        stated: all that is known of it, where the model itself is not known.
    """

    spec: Member
    plan: InstancePlan
    processor: Processor | None = None
    stated: Stated | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """A member in its place.

    Attributes:
        seat: what was asked for.
        server: makes its costs.
        pace_s: what a pass through the model takes here; it tells whether two places are alike [s].
    """

    seat: Seat
    server: Server
    pace_s: float = 0.0


class Platform:
    """A machine, and what of it may be used.

    Args:
        word: a platform word, or a machine's name.
        backend: programming interface of the GPU; by default the one that the word names, or most people run.
        limits: what may be used.

    Attributes:
        cores: of the CPU that may be used [1].
        word: as it was asked for.
        name: of the machine.
        limits: what may be used.
        on_gpu: whether models run on a GPU unless they ask for the CPU.
        browser: whether it is one.
        context_bytes: what a process loses on the GPU [bytes].
        ram_bytes: usable memory of the system [bytes].

    Raises:
        InputError: no such machine, or its profile says too little.
        NotCalibratedError: it is this machine, and nothing was measured here.
    """

    def __init__(self, word: str, backend: str | None = None, limits: Limits | None = None) -> None:
        if not isinstance(word, str):
            raise InputError(f"hardware_platform is {word!r}; it must be a word such as 'cuda'")
        limits = limits or Limits()
        profile = find_profile(word)
        own = newest_coefficients(machine_key(profile)) if profile.name == THIS_MACHINE else None
        self._own = None if own is None else CalibratedSource(own)
        backend = backend or _BACKEND_OF.get(word.strip().lower())
        self._machine = None if own is not None else UncalibratedMachine(profile, backend, limits.compute_frac)
        self.word = word
        self.name = profile.full_name
        self.cores = max(1, int(limits.compute_frac * profile.cpu.cores + 1e-9))
        self.limits = limits
        self.on_gpu = self._machine is not None and self._machine.machine.device is not None
        self.browser = word.strip().lower() in BROWSER_WORDS or profile.name == "browser"
        self.context_bytes = self._machine.machine.context.value if self._machine is not None and self.on_gpu else 0.0
        self.ram_bytes = profile.cpu_memory.usable_bytes.value
        ram = profile.cpu_memory.bandwidth_bytes_per_s
        self._bandwidth_bytes_per_s = 0.0 if ram is None else ram.value

    def place(self, company: Sequence[Seat]) -> list[Placed]:
        """Members that are loaded together, in this order.

        Raises:
            DoesNotFitError: they do not fit.
            InputError: one shall run on a GPU that is not there.
        """
        for seat in company:
            if seat.processor == "gpu" and not self.on_gpu:
                raise InputError(
                    f"{seat.plan.name} shall run on a GPU, which {self.name} has not; leave 'processor' out or say cpu"
                )
        known = [seat for seat in company if seat.stated is None]
        machine = self._machine
        if machine is None:
            placed = {seat.plan.name: Placed(seat, self._calibrated(seat)) for seat in known}
        else:
            served = machine.place([_planned(seat) for seat in known])
            placed = {
                seat.plan.name: Placed(
                    seat, _published(machine, seat, one), sum(part.prices.decode_pass_s(1) for part in one.parts)
                )
                for seat, one in zip(known, served, strict=True)
            }
        return [placed.get(seat.plan.name) or Placed(seat, self._stated(seat)) for seat in company]

    def without_memory_limit(self) -> Platform:
        """The same machine, whose memory may be used as far as it goes."""
        found = copy(self)
        found.limits = Limits(compute_frac=self.limits.compute_frac)
        return found

    def check_own(self, name: str, needed_bytes: float) -> None:
        """Whether members fit into what may be used, by the sum of what they take [bytes].

        Raises:
            DoesNotFitError: they do not.
        """
        limit = self.limits.memory_bytes
        if needed_bytes > limit:
            raise DoesNotFitError(
                f"{name}: {needed_bytes / 1e6:.0f} MB are needed, max_memory allows {limit / 1e6:.0f} MB; allow more, or take a "
                "smaller batch, model or quantization"
            )
        if self._machine is None and needed_bytes > self.ram_bytes:
            raise DoesNotFitError(f"{name}: {format_bytes(needed_bytes)} are needed, {format_bytes(self.ram_bytes)} are usable")

    def source(self, stages: Sequence[Sequence[Placed]]) -> CostSource:
        """What is known of the machine; servers come from the members that were placed."""
        if self._own is not None:
            return self._own
        assert self._machine is not None
        known = [[_planned(one.seat) for one in stage if one.seat.stated is None] for stage in stages]
        return replace(self._machine.source([stage for stage in known if stage], check=False), cores=self.cores)

    def _calibrated(self, seat: Seat) -> Server:
        plan = seat.plan

        def make(draw: Draw, costs: MachineCosts) -> ServerCost:
            whole = costs.instance(seat.spec, plan.threads, plan.spincount, plan.cache)
            if not writes(seat.spec.shape):
                return whole
            parts = (costs.instance(half, plan.threads, plan.spincount, plan.cache) for half in halves(seat.spec))
            return EncoderDecoderServer(whole, *parts)

        return make

    def _stated(self, seat: Seat) -> Server:
        stated = seat.stated
        assert stated is not None
        on_gpu = self.on_gpu and seat.processor != "cpu"
        load = assumed_load(stated.memory_bytes, self._bandwidth_bytes_per_s)
        threads = 0 if on_gpu else seat.plan.threads
        return lambda draw, costs: StatedServer(stated, threads, load)


def _planned(seat: Seat) -> PlannedServer:
    return PlannedServer(seat.spec, seat.plan.threads, seat.plan.cache, 0 if seat.processor == "cpu" else None)


def _published(machine: UncalibratedMachine, seat: Seat, served: Served) -> Server:
    plan, nvidia = seat.plan, "cuda" in machine.machine.backends
    priced = [served]
    if writes(seat.spec.shape):
        priced += [machine.priced_as(served, half, plan.cache) for half in halves(seat.spec)]

    def make(draw: Draw, costs: MachineCosts) -> ServerCost:
        servers = [PublishedServer(one, plan.spincount, draw, nvidia) for one in priced]
        return servers[0] if len(servers) == 1 else EncoderDecoderServer(*servers)

    return make
