"""What a calibration measures. Measured models are the ``probe-`` shapes, which no real model has."""

from __future__ import annotations

from dataclasses import dataclass

from mmpredict.errors import InputError
from mmpredict.models.synthetic import PREFIX, SYNTHESISABLE

NARROW = "probe-narrow"
WIDE = "probe-wide"
DEEP = "probe-deep"
LARGE = "probe-large"
HEADS = "probe-heads"
EXPERTS = "probe-experts"


@dataclass(frozen=True, slots=True)
class Protocol:
    """Sizes of a calibration.

    Attributes:
        weight_types: measured on the narrow probe, for their kernels.
        shape_types: measured on the wide probe too, and the last of them on the deep and the large one, one with a large cache
            and one with experts: they tell what belongs to layers, vocabulary, matrices, caches and memory, and how large the
            error is from one shape to another.
        prefill_tokens: prompt lengths at every number of threads [tokens], on the large probe only the first two; one of
            them should also be a number of concurrent sequences, or the fixed cost of a prompt cannot be told from that of
            a small batch.
        long_prompt_tokens: further prompt lengths with all threads, and for the first weight type with any [tokens].
        decode_sequences: concurrent sequences [1].
        depth_tokens: prompt lengths and depths of the deep measurements, on the first model, the wide one of the same type and
            the one with a large cache [tokens]; one of them more than a physical batch, or attention cannot be told from the
            matrices.
        decode_steps: steps per decode measurement [1].
        repeats: of every decode, and of prefills but the long ones [1].
        company_s: how long servers are watched in company [s].
        alone_s: how long each is watched alone before [s].
        spinning_episodes: fresh starts of the oversubscribed pair [1].
    """

    weight_types: tuple[str, ...] = ("q8_0", "q4_0", "q4_k", "q5_0", "q6_k", "f16")
    shape_types: tuple[str, ...] = ("q8_0", "q4_0")
    prefill_tokens: tuple[int, ...] = (4, 8, 32, 128)
    long_prompt_tokens: tuple[int, ...] = (512,)
    decode_sequences: tuple[int, ...] = (1, 2, 4)
    depth_tokens: tuple[int, ...] = (512, 1536)
    decode_steps: int = 10
    repeats: int = 3
    company_s: float = 2.0
    alone_s: float = 1.0
    spinning_episodes: int = 3

    def __post_init__(self) -> None:
        for name in (*self.weight_types, *self.shape_types):
            if name not in SYNTHESISABLE:
                raise InputError(f"weight type {name!r} cannot be measured; allowed: {', '.join(SYNTHESISABLE)}")
        if not set(self.shape_types) <= set(self.weight_types) or not self.shape_types:
            raise InputError(f"shape types {self.shape_types} must be some of the weight types {self.weight_types}")

    @classmethod
    def of_types(cls, weight_types: tuple[str, ...]) -> Protocol:
        """The usual protocol for some weight types only.

        Raises:
            InputError: no type, or one that cannot be measured.
        """
        if not weight_types:
            raise InputError(f"no weight type to measure; allowed: {', '.join(SYNTHESISABLE)}")
        shared = tuple(name for name in cls().shape_types if name in weight_types)
        return cls(weight_types=weight_types, shape_types=shared or weight_types[:1])

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that is measured."""
        narrow = [f"{PREFIX}{NARROW}@{name}" for name in self.weight_types]
        wide = [f"{PREFIX}{WIDE}@{name}" for name in self.shape_types]
        return (*narrow, *wide, *(f"{PREFIX}{probe}@{self.shape_types[-1]}" for probe in (DEEP, LARGE, HEADS, EXPERTS)))

    @property
    def deep_models(self) -> tuple[str, ...]:
        """Models that are measured at depth: with few and with many cached numbers per head."""
        first = self.shape_types[0]
        return (self.models[0], f"{PREFIX}{WIDE}@{first}", f"{PREFIX}{HEADS}@{self.shape_types[-1]}")

    @property
    def pair(self) -> tuple[str, str]:
        """The two models that are measured in company."""
        return self.models[0], f"{PREFIX}{WIDE}@{self.shape_types[0]}"


def thread_counts(cores: int) -> tuple[int, ...]:
    """Numbers of threads to measure: powers of two up to all cores, and all cores; every number up to four."""
    counts = {1, cores} | {2**power for power in range(1, 11) if 2**power < cores}
    return tuple(sorted(counts | set(range(1, min(cores, 4) + 1))))
