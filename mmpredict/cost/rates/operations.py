"""Operations of a step: how many kernels a GPU starts, or barriers a CPU's threads meet at, and how much they write."""

from __future__ import annotations

from functools import lru_cache

from mmpredict.cost.graph.batch import worst_batch
from mmpredict.cost.graph.building import FLOAT_BYTES, Building
from mmpredict.cost.graph.families import family_of
from mmpredict.cost.graph.tape import Value
from mmpredict.models.cache import CacheOptions
from mmpredict.models.shape import Shape

_ONE_SEQUENCE = CacheOptions(4096, ubatch_tokens=1)
_REMEMBERED = 1024


@lru_cache(_REMEMBERED)
def operations(shape: Shape) -> int:
    """Nodes of llama.cpp's graph for one token of one sequence, views not counted [1].

    The graph is the one that ``cost.graph`` builds for the compute buffer; of architectures that it does not know, that of the
    nearest relative. Backends fuse some of the operations, so a price per operation is a fitted average.
    """
    return len(_graph_of_a_token(shape))


@lru_cache(_REMEMBERED)
def written_numbers(shape: Shape) -> float:
    """Numbers that the same operations write for one token, its logits not counted [1]."""
    return sum(node.bytes for node in _graph_of_a_token(shape) if not node.kept) / FLOAT_BYTES


def _graph_of_a_token(shape: Shape) -> list[Value]:
    _, family, _ = family_of(shape)
    building = Building(shape, worst_batch(shape, _ONE_SEQUENCE), family.positions, mixed_batches=False, whole=True)
    family.build(building)
    return building.tape.nodes
