"""Which layers of a deep model have to be built to know its memory.

After a few equal layers the allocator repeats itself: the memory that a layer leaves behind is what it found, or what the layer
before found. So of a run of equal layers, or of a repeated group of different ones, only the first few and the last are built.
Whether the allocator does repeat itself is seen in the replay; where it does not, all layers have to be built after all.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

RUN = 5  # equal layers in a row that are built, or one more
PERIODS = 3  # repetitions of a group that are built, or one more
LONGEST_GROUP = 8


@dataclass(frozen=True, slots=True)
class Selection:
    """Layers to build.

    Attributes:
        layers: their numbers; the model's last one is always among them.
        cuts: where layers were left out: before which entry of ``layers``, and after how many entries they repeat. A multiple
            of twice as many were left out, which is allowed if memory looks the same once or twice as many entries earlier.
    """

    layers: tuple[int, ...]
    cuts: tuple[tuple[int, int], ...]


def select_layers(kinds: Sequence[Hashable]) -> Selection:
    """The layers that are probably enough.

    Args:
        kinds: what distinguishes a layer from others, one per layer.
    """
    chosen = [(layer, 0) for layer in range(len(kinds))]
    left = list(kinds)
    for group in range(1, LONGEST_GROUP + 1):
        keep = RUN if group == 1 else PERIODS
        start = 0
        while start + (keep + 2) * group <= len(left):
            end = start + group
            while end < len(left) and left[end] == left[end - group]:
                end += 1
            surplus = ((end - start) // group - keep) // 2 * 2
            if surplus > 0:
                first = start + (keep - 1) * group
                behind = first + surplus * group
                chosen[first:] = [(chosen[behind][0], group), *chosen[behind + 1 :]]
                left[first:] = left[behind:]
                end -= surplus * group
            start = max(start + 1, end - group)
    cuts = tuple((entry, period) for entry, (_, period) in enumerate(chosen) if period)
    return Selection(tuple(layer for layer, _ in chosen), cuts)


def all_layers(kinds: Sequence[Hashable]) -> Selection:
    """Every layer."""
    return Selection(tuple(range(len(kinds))), ())
