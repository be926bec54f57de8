"""What an estimate of memory says: instances, memories, what the server would do, and what would help.

Sizes are in bytes throughout. A ``Span`` is a best known value between bounds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mmpredict.results.speed import SpeedEstimate

Verdict = Literal["fits", "fits only if", "does not fit"]


@dataclass(frozen=True, slots=True)
class Span:
    """A size between bounds [bytes]."""

    value: float
    low: float
    high: float

    @staticmethod
    def exact(value: float) -> Span:
        """A size without doubt."""
        return Span(value, value, value)

    def __add__(self, other: Span) -> Span:
        return Span(self.value + other.value, self.low + other.low, self.high + other.high)


NOTHING = Span(0, 0, 0)


def total(spans: Iterable[Span]) -> Span:
    """The sum; bounds add up, as errors of the same rule do."""
    return sum(spans, NOTHING)


@dataclass(frozen=True, slots=True)
class Parts:
    """What an instance has in one memory [bytes].

    Attributes:
        mapped: pages of the model file, which instances of one file share.
        weights: weights of its own.
        kv_cache: keys, values, recurrent states.
        compute: intermediate results.
        output: logits.
        process: program, vocabulary, runtime; of a GPU, the state that each process keeps there.
    """

    mapped: float = 0
    weights: float = 0
    kv_cache: float = 0
    compute: float = 0
    output: float = 0
    process: float = 0

    @property
    def total(self) -> float:
        """All parts together [bytes]."""
        return self.mapped + self.weights + self.kv_cache + self.compute + self.output + self.process

    def __add__(self, other: Parts) -> Parts:
        return Parts(
            self.mapped + other.mapped,
            self.weights + other.weights,
            self.kv_cache + other.kv_cache,
            self.compute + other.compute,
            self.output + other.output,
            self.process + other.process,
        )


@dataclass(frozen=True, slots=True)
class InstanceEstimate:
    """One model as a server holds it.

    Attributes:
        model: name by which it was asked for.
        file: what identifies its file; instances of one file share its mapped pages.
        file_bytes: size of the file [bytes].
        parameters: weights of the model [1].
        context_tokens: cells of all slots together [tokens].
        slot_tokens: what one sequence can use of them [tokens].
        slots: sequences served at a time [1].
        unified: whether the slots share the cells.
        ubatch_tokens: physical batch [tokens].
        key_type, value_type: storage of the cache.
        flash_attention: whether attention is one fused operation.
        gpu_layers, most_gpu_layers: layers on the GPU, and how many a full offload has [1].
        fitting_gpu_layers: layers that the GPU's memory would hold beside the instances before; None without a GPU [1].
        kept_bytes: expert weights that stay with the CPU although their layer is on the GPU [bytes].
        host, device: parts in the system's memory and in the GPU's, as if it were alone.
        idle_bytes: of the mapped pages, those that are only read to be copied; they give way where room is short [bytes].
        host_added, device_added: what it takes beside the instances before it, without such pages [bytes].
        server: what the server does with it, one sentence.
        loaded: whether the server ends with it in memory.
        doubts: what is assumed of it.
    """

    model: str
    file: str
    file_bytes: int
    parameters: int
    context_tokens: int
    slot_tokens: int
    slots: int
    unified: bool
    ubatch_tokens: int
    key_type: str
    value_type: str
    flash_attention: bool
    gpu_layers: int
    most_gpu_layers: int
    fitting_gpu_layers: int | None
    kept_bytes: int
    host: Parts
    device: Parts
    idle_bytes: float
    host_added: Span
    device_added: Span
    server: str
    loaded: bool = True
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PoolEstimate:
    """One memory: what is needed of it, and what there is.

    Attributes:
        name: ``RAM``, ``VRAM``, ``unified memory``, or the share of a unified memory that the GPU's driver allows.
        needed: by all instances together, shared pages once [bytes].
        reclaimable_bytes: of that, pages of files, which the system may drop and must read again [bytes].
        idle_bytes: besides, pages of files that nobody reads again; they stay as long as there is room [bytes].
        usable: what models may take [bytes].
        capacity_bytes: what is installed [bytes].
        source: where the usable size comes from.
    """

    name: str
    needed: Span
    reclaimable_bytes: float
    idle_bytes: float
    usable: Span
    capacity_bytes: float
    source: str

    @property
    def remains_bytes(self) -> float:
        """What is left, negative when it is too little [bytes]."""
        return self.usable.value - self.needed.value

    @property
    def verdict(self) -> Verdict:
        """Whether it fits at every value of both intervals, at some, or at none."""
        if self.needed.high <= self.usable.low:
            return "fits"
        return "fits only if" if self.needed.low <= self.usable.high else "does not fit"

    @property
    def fits(self) -> bool:
        """Whether it fits at the best known values."""
        return self.remains_bytes >= 0


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change, and what it would lead to.

    Attributes:
        change: as it would be typed or done.
        needed: of the memory that is short, after the change [bytes].
        usable_bytes: of that memory [bytes].
        fits: whether it would fit at the best known values.
    """

    change: str
    needed: Span
    usable_bytes: float
    fits: bool


@dataclass(frozen=True, slots=True)
class Advice:
    """How far one can go, and what would help.

    Attributes:
        largest_context_tokens: largest ``--ctx`` at which everything still fits, all models with the same; None if none does.
        whole_context: whether that is all that the models were trained on.
        remedies: changes, each by itself; empty when it fits.
    """

    largest_context_tokens: int | None
    whole_context: bool
    remedies: tuple[Remedy, ...] = ()


@dataclass(frozen=True, slots=True)
class Estimate:
    """Memory of models on a machine.

    Attributes:
        hardware: name of the machine.
        engine: whose rules hold.
        instances: in the order in which they are loaded.
        pools: memories, the one that matters most first.
        physics: what is physically true, one sentence each.
        rules: what the server's own rule says, one sentence each.
        defaults: what was not asked for and how it was filled in.
        sources: where figures come from.
        doubts: what is assumed.
        advice: how far one can go; None if it was not wanted.
        speeds: how fast each model is alone, in the order of the instances; empty if it was not wanted.
    """

    hardware: str
    engine: str
    instances: tuple[InstanceEstimate, ...]
    pools: tuple[PoolEstimate, ...]
    physics: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    advice: Advice | None = None
    speeds: tuple[SpeedEstimate, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst of all memories."""
        order: tuple[Verdict, ...] = ("fits", "fits only if", "does not fit")
        return max((pool.verdict for pool in self.pools), key=order.index)

    @property
    def fits(self) -> bool:
        """Whether everything fits at the best known values."""
        return all(pool.fits for pool in self.pools)

    @property
    def total(self) -> Span:
        """What all instances together take of all memories, shared pages once [bytes]."""
        return total(one.host_added + one.device_added for one in self.instances)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "schema_version": 1,
            "hardware": self.hardware,
            "engine": self.engine,
            "verdict": self.verdict,
            "fits": self.fits,
            "total_bytes": asdict(self.total),
            "instances": [asdict(instance) | {"doubts": list(instance.doubts)} for instance in self.instances],
            "pools": [
                asdict(pool) | {"remains_bytes": pool.remains_bytes, "verdict": pool.verdict, "fits": pool.fits}
                for pool in self.pools
            ],
            "physics": list(self.physics),
            "rules": list(self.rules),
            "defaults": list(self.defaults),
            "sources": list(self.sources),
            "doubts": list(self.doubts),
            "speeds": [one.to_dict() for one in self.speeds],
            "advice": None
            if self.advice is None
            else asdict(self.advice) | {"remedies": [asdict(r) for r in self.advice.remedies]},
        }
