"""Operations of a step: how many kernels a GPU starts, or barriers a CPU's threads meet at, for one pass through a model."""

from __future__ import annotations

from functools import lru_cache

from mmpredict.cost.graph.batch import worst_batch
from mmpredict.cost.graph.building import Building
from mmpredict.cost.graph.families import family_of
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
    _, family, _ = family_of(shape)
    building = Building(shape, worst_batch(shape, _ONE_SEQUENCE), family.positions, mixed_batches=False, whole=True)
    family.build(building)
    return len(building.tape.nodes)
