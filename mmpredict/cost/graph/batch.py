"""The worst batch: what llama.cpp reserves memory for before it knows any request.

Source: llama.cpp ``src/llama-context.cpp`` (constructor, ``sched_reserve``, ``graph_reserve``).
"""

from __future__ import annotations

from dataclasses import dataclass

from mmpredict.models.cache import CacheOptions, padded
from mmpredict.models.quantization.weight_types import WeightType, weight_type
from mmpredict.models.shape import Shape


@dataclass(frozen=True, slots=True)
class Batch:
    """One physical batch, as large as it can get.

    Attributes:
        tokens: tokens of all sequences together; a multiple of the sequences [tokens].
        outputs: tokens whose logits are wanted [tokens].
        sequences: sequences in the batch [1].
        streams: separate caches [1].
        cells, local_cells: cells of one stream, of global and of local layers [tokens].
        flash: whether attention is one fused operation.
        key_type, value_type: storage of the cache.
    """

    tokens: int
    outputs: int
    sequences: int
    streams: int
    cells: int
    local_cells: int
    flash: bool
    key_type: WeightType
    value_type: WeightType

    @property
    def mask_element_bytes(self) -> int:
        """One entry of the attention mask: flash attention wants 16 bits [bytes]."""
        return 2 if self.flash else 4

    def copied_bytes(self, stored: WeightType, width: int, cells: int) -> int:
        """A copy of ``width`` numbers of every cell of all streams, in the type in which they are stored [bytes]."""
        return self.streams * cells * width * stored.block_bytes // stored.block_weights


def worst_batch(shape: Shape, options: CacheOptions, outputs: int | None = None, all_outputs: bool = False) -> Batch:
    """The batch that memory is reserved for.

    Args:
        shape: hyperparameters.
        options: how the server sets up its cache.
        outputs: tokens whose logits are wanted at most; ``None`` for one per slot, as llama-server has it [tokens].
        all_outputs: whether every token is an output, as in encoders.
    """
    ubatch = min(options.context_tokens, options.ubatch_tokens)
    wanted = ubatch if all_outputs else min(ubatch, options.slots if outputs is None else outputs)
    window = shape.window.tokens if shape.window else 0
    reach = window * (options.slots if options.unified else 1) + ubatch
    return Batch(
        tokens=-(-ubatch // options.slots) * options.slots,
        outputs=wanted,
        sequences=options.slots,
        streams=options.streams,
        cells=options.slot_cells,
        local_cells=padded(min(options.slot_cells, reach)),
        flash=options.flash_attention,
        key_type=weight_type(options.key_type),
        value_type=weight_type(options.value_type),
    )
