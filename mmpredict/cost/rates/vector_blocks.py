"""Thread blocks that multiply single tokens: what ggml-cuda starts for the rows of all matrices.

Its kernel for up to eight tokens (``mul_mat_vec_q``) gives a block of four warps one row, two with several tokens. A block is
started, waits for its first weights, and adds up what its warps have found, whatever the row's length: on a GPU of few
multiprocessors that takes as long as reading the row. Exceptions:

- rows shorter than what the threads of a block read at once come four to a block (``should_use_small_k``, since March 2026);
- a gate's row is taken by the block of the row beside it (``ggml_cuda_should_fuse_mul_mat_vec_q``), for one token, or of experts;
- experts have a block per pair of rows for all tokens together (``mul_mat_vec_q_moe``).
"""

from __future__ import annotations

from functools import lru_cache

from mmpredict.models.quantization.weight_types import WeightType
from mmpredict.models.spec import OUTPUT, ModelSpec, Tensor

MOST_TOKENS = 8  # ``MMVQ_MAX_BATCH_SIZE``; more are multiplied in tiles
_WARPS, _LANES = 4, 32  # ``calc_nwarps`` for one to four tokens
_EIGHT_EACH = frozenset({"q8_0", "q6_k"})
_SLOW_TABLES = frozenset({"iq3_xxs", "iq3_s"})
_REMEMBERED = 1024


@lru_cache(_REMEMBERED)
def vector_blocks(spec: ModelSpec, several: bool, early: bool) -> float:
    """Blocks of one pass through a model [1].

    Args:
        spec: the model, or the part of it that a processor has.
        several: whether more than one token is multiplied.
        early: whether the build is older than March 2026, when short rows were put together.
    """
    share = spec.expert_coverage(1)
    types = {tensor.name: tensor.type for tensor in spec.tensors}
    matrices = [tensor for tensor in spec.tensors if tensor.is_matrix and tensor.name != OUTPUT]
    found = 0.0
    for tensor in (*matrices, *((spec.output_matrix,) if spec.output_matrix else ())):
        fused = tensor.is_expert or not several
        if fused and types.get(tensor.name.replace("ffn_gate", "ffn_up")) == tensor.type and "ffn_gate" in tensor.name:
            continue
        together = 2.0 if several else _rows_together(tensor, early)
        found += tensor.rows * (share if tensor.is_expert else 1.0) / together
    return found


def _rows_together(tensor: Tensor, early: bool) -> float:
    return _WARPS if not early and tensor.shape[0] < _block_weights(tensor.type) else 1.0


def _block_weights(kind: WeightType) -> int:
    """Weights of a row that the threads of a block read at once [1]: ``vdr`` × 4 ``qr`` each; 0 for types without short rows."""
    if kind.block_weights == 1 or kind.name in _SLOW_TABLES:
        return 0
    each = 8 if kind.name in _EIGHT_EACH else 32 if kind.name.startswith("iq") and kind.name != "iq4_nl" else 16
    return _WARPS * _LANES * each
