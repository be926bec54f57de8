"""The compute buffer of a model: what llama.cpp prints as ``CPU compute buffer size``, from hyperparameters alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from mmpredict.cost.graph.batch import Batch, worst_batch
from mmpredict.cost.graph.building import Building
from mmpredict.cost.graph.families import SIGNAL_ENCODERS, Family, family_of, wants_all_outputs
from mmpredict.cost.graph.replay import Replay, replay, replay_split
from mmpredict.models.cache import CacheOptions
from mmpredict.models.shape import Shape

_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class ComputeBuffer:
    """Memory of intermediate results.

    Attributes:
        bytes: of a model that a CPU computes [bytes].
        exact: whether the graph is the model's own, or that of the nearest architecture that is known.
        family: GGUF architecture whose graph it is.
        device_bytes, host_bytes: of a model whose layers are all on one GPU: the GPU's part, and what stays with the CPU
            (inputs, embedding rows). The device is one as CUDA has it, but for what some of its kernels for mixtures of experts
            keep longer than the graph asks for [bytes].
    """

    bytes: int
    exact: bool
    family: str
    device_bytes: int
    host_bytes: int


@lru_cache(_REMEMBERED)
def compute_buffer(shape: Shape, options: CacheOptions, outputs: int | None = None, mixed_batches: bool = True) -> ComputeBuffer:
    """How much llama.cpp reserves for intermediate results of the largest batch.

    The graph of that batch is built as llama.cpp builds it, and ggml's allocator is replayed on it; the answer is that of the
    engine, byte for byte, where ``exact`` is set. Encoders of images and sound, which llama.cpp runs on one input of fixed
    size, ignore ``options``.

    Args:
        shape: hyperparameters.
        options: context, slots, physical batch and cache of the server.
        outputs: tokens whose logits are computed at most; one per slot, as in llama-server, by default. Tools that reserve
            logits for a whole batch, and llama-server before June 2026, have ``options.ubatch_tokens``. Models that make
            embeddings compute all, whatever is asked for [tokens].
        mixed_batches: whether the engine takes batches of tokens and ready embeddings together, for which it reserves room that
            a batch of tokens never uses; the embedded engine does, llama.cpp as vendored in llama_cpp_python 0.3.36 did not.
    """
    name, family, exact = family_of(shape)
    if shape.architecture in SIGNAL_ENCODERS and shape.context_length:
        tokens = shape.context_length
        options = replace(options, context_tokens=tokens, ubatch_tokens=tokens, slots=1, unified=True)
    batch = worst_batch(shape, options, outputs, wants_all_outputs(shape, family))
    whole, split = _replays(shape, batch, family, mixed_batches, False)
    if not (whole.steady and split.steady):
        whole, split = _replays(shape, batch, family, mixed_batches, True)
    return ComputeBuffer(whole.host_bytes, exact, name, split.device_bytes, split.host_bytes)


def _replays(shape: Shape, batch: Batch, family: Family, mixed_batches: bool, whole: bool) -> tuple[Replay, Replay]:
    building = Building(shape, batch, family.positions, mixed_batches, whole)
    family.build(building)
    return replay(building.tape), replay_split(building.tape)
