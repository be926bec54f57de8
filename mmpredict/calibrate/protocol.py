"""What a calibration measures. Measured models are the ``probe-`` shapes, which no real model has.

Everything is measured in rounds, minutes apart, each in another order: a neighbour on the machine or heat then meets all models
alike, and how far rounds are apart tells how steady the machine is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.models.synthetic import PREFIX, SYNTHESISABLE

NARROW = "probe-narrow"
WIDE = "probe-wide"
DEEP = "probe-deep"
LARGE = "probe-large"
HEADS = "probe-heads"
EXPERTS = "probe-experts"
SMALL = "probe-small"
CELLS = "probe-cells"

CONTENTION = "contention"


@dataclass(frozen=True, slots=True)
class Protocol:
    """Sizes of a calibration.

    Attributes:
        weight_types: measured on the narrow and the wide probe, for their kernels.
        shape_types: measured on the wide probe in every round, the first of them on a small one and one with a cache beyond the
            caches, and the last on the deep and the large one, one with a large cache and one with experts: they tell what
            belongs to layers, vocabulary, matrices, caches and memory, and how large the error is from one shape to another.
        prefill_tokens: prompt lengths at every number of threads [tokens], on the large probe only the first two; one of
            them should also be a number of concurrent sequences, or the fixed cost of a prompt cannot be told from that of
            a small batch.
        long_prompt_tokens: further prompt lengths with all threads, and for the first shape type with any [tokens].
        decode_sequences: concurrent sequences [1].
        many_sequences: further numbers of them, on the two models that are measured in company too [1].
        depth_tokens: prompt lengths and depths of the deep measurements, on the first model, the wide one of the same type and
            those with large caches [tokens]; one of them more than a physical batch, or attention cannot be told from the
            matrices.
        decode_steps: steps per decode measurement [1].
        pauses_s: after which the first model is asked again, with all threads; the first is none [s].
        rounds: every measurement is made in each of them, of ``once_models`` in the first only [1].
        most_rounds: further ones until repeats agree, of what does not [1].
        narrow_frac: half of the 80 % interval from which on they do [1].
        limit_s: no round but the first begins anything after this time [s].
        company_s: how long servers are watched in company [s].
        alone_s: how long each is watched alone before [s].
        within_episodes, yielding_episodes, spinning_episodes: fresh starts of pairs with a core for each thread, with more threads
            than cores that yield, and that spin, in each round [1].
    """

    name: str = "quick"

    weight_types: tuple[str, ...] = ("q8_0", "q4_0", "q4_k", "q5_0", "q6_k", "f16")
    shape_types: tuple[str, ...] = ("q8_0", "q4_0")
    prefill_tokens: tuple[int, ...] = (4, 8, 32, 128)
    long_prompt_tokens: tuple[int, ...] = (512,)
    decode_sequences: tuple[int, ...] = (1, 2, 3, 4)
    many_sequences: tuple[int, ...] = (8,)
    depth_tokens: tuple[int, ...] = (512, 1536)
    decode_steps: int = 10
    pauses_s: tuple[float, ...] = (0.0, 1.0, 4.0)
    rounds: int = 3
    most_rounds: int = 3
    narrow_frac: float = 0.02
    limit_s: float = 510.0
    company_s: float = 2.0
    alone_s: float = 1.0
    within_episodes: int = 1
    yielding_episodes: int = 1
    spinning_episodes: int = 1

    def __post_init__(self) -> None:
        for name in (*self.weight_types, *self.shape_types):
            if name not in SYNTHESISABLE:
                raise InputError(f"weight type {name!r} cannot be measured; allowed: {', '.join(SYNTHESISABLE)}")
        if not set(self.shape_types) <= set(self.weight_types) or not self.shape_types:
            raise InputError(f"shape types {self.shape_types} must be some of the weight types {self.weight_types}")

    @classmethod
    def named(cls, name: str, weight_types: tuple[str, ...] = ()) -> Protocol:
        """``quick``, ``full``, or ``contention``, which measures servers in company only.

        Args:
            name: of the protocol.
            weight_types: measured instead of the protocol's own.

        Raises:
            UnknownNameError: no such protocol.
            InputError: a type that cannot be measured.
        """
        if name not in _NAMED:
            raise UnknownNameError("protocol", name, _NAMED)
        protocol = replace(cls(name=name), **_NAMED[name])
        if not weight_types:
            return protocol
        shared = tuple(kind for kind in protocol.shape_types if kind in weight_types)
        return replace(protocol, weight_types=weight_types, shape_types=shared or weight_types[:1])

    @property
    def company_only(self) -> bool:
        """Whether servers alone are not measured: what company costs is added to measurements that there are."""
        return self.name == CONTENTION

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that is measured."""
        both = [f"{PREFIX}{probe}@{name}" for probe in (NARROW, WIDE) for name in self.weight_types]
        others = [f"{PREFIX}{probe}@{self.shape_types[-1]}" for probe in (DEEP, LARGE, HEADS, EXPERTS)]
        return (*both, *others, *(f"{PREFIX}{probe}@{self.shape_types[0]}" for probe in (SMALL, CELLS)))

    @property
    def first(self) -> str:
        """The model that is measured most closely."""
        return f"{PREFIX}{NARROW}@{self.shape_types[0]}"

    @property
    def once_models(self) -> tuple[str, ...]:
        """Models that are measured in the first round only."""
        wide = (f"{PREFIX}{WIDE}@{name}" for name in self.weight_types if name not in self.shape_types)
        return (*wide, f"{PREFIX}{LARGE}@{self.shape_types[-1]}", f"{PREFIX}{CELLS}@{self.shape_types[0]}")

    @property
    def deep_models(self) -> tuple[str, ...]:
        """Models that are measured at depth: with few and with many cached numbers per head, in caches and beyond them."""
        first, last = self.shape_types[0], self.shape_types[-1]
        return (self.first, f"{PREFIX}{WIDE}@{first}", f"{PREFIX}{HEADS}@{last}", f"{PREFIX}{CELLS}@{first}")

    def sequences(self, name: str) -> tuple[int, ...]:
        """Numbers of sequences that decode at once on a model [1]."""
        return self.decode_sequences + (self.many_sequences if name in self.pair else ())

    @property
    def pair(self) -> tuple[str, str]:
        """The two models that are measured in company."""
        return self.first, f"{PREFIX}{WIDE}@{self.shape_types[0]}"


_NAMED: Mapping[str, Mapping[str, Any]] = {
    "quick": {},
    "full": {
        "weight_types": SYNTHESISABLE,
        "prefill_tokens": (4, 8, 16, 32, 64, 128),
        "decode_sequences": (1, 2, 3, 4),
        "most_rounds": 8,
        "limit_s": 3600.0,
        "yielding_episodes": 2,
        "spinning_episodes": 3,
    },
    CONTENTION: {"company_s": 4.0, "alone_s": 2.0, "yielding_episodes": 2, "spinning_episodes": 5, "limit_s": 900.0},
}
"""What is different from ``quick``."""


def thread_counts(cores: int) -> tuple[int, ...]:
    """Numbers of threads to measure: powers of two up to all cores, and all cores; every number up to four."""
    counts = {1, cores} | {2**power for power in range(1, 11) if 2**power < cores}
    return tuple(sorted(counts | set(range(1, min(cores, 4) + 1))))
