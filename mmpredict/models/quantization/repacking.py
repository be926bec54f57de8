"""Which matrices llama.cpp's CPU backend copies into a layout of its own, by weight type and by what the processor can do.

A copied matrix leaves the mapped file: it is private memory of each process, and the pages it came from stay in the page cache.

Source: llama.cpp ``ggml/src/ggml-cpu/repack.cpp`` (``ggml_repack_get_optimal_repack_type``, ``supports_op``),
``src/llama-arch.cpp`` (which operation uses a tensor), ``src/llama-model.cpp`` (``make_cpu_buft_list``: with a GPU in the list,
its host buffers come first and nothing is copied). s390x and RISC-V have rules too and are left out here; so are AMX and
KleidiAI buffers, which no released wheel of xllamacpp is built with.
"""

from __future__ import annotations

from collections.abc import Collection

from mmpredict.models.quantization.tensor_roles import dimensions
from mmpredict.models.quantization.weight_types import WeightType
from mmpredict.models.spec import Tensor

# Names are those of /proc/cpuinfo, as in mmpredict.hardware.detect.KERNEL_FEATURES.
AVX2, AVX512, NEON, DOT_PRODUCT, INT8_MATRIX = "avx2", "avx512f", "asimd", "asimddp", "i8mm"

# Features that xllamacpp's wheels use, however much more the processor has: x86-64 is built for AVX2 (its own system information
# says so), Linux on ARM for plain armv8-a (scripts/build.py); a Mac's is built for the Mac that builds it, taken for an M1 here.
WHEEL_FEATURES = frozenset({AVX2, "f16c", "fma", NEON})
MAC_WHEEL_FEATURES = frozenset({NEON, DOT_PRODUCT})

_Rule = tuple[tuple[str, ...], int]  # features that must all be there; what the number of rows must be a multiple of

_ARM_4: tuple[_Rule, ...] = (((NEON, INT8_MATRIX), 4), ((NEON, DOT_PRODUCT), 4))
_ARM_8: tuple[_Rule, ...] = (((NEON, INT8_MATRIX), 8), ((NEON, DOT_PRODUCT), 8))
_X86: _Rule = ((AVX2,), 8)
_RULES: dict[str, tuple[_Rule, ...]] = {
    "q4_0": (_X86, *_ARM_4),
    "q4_k": (_X86, *_ARM_8),
    "q2_k": (((AVX512,), 8),),
    "q5_k": _ARM_8,
    "q6_k": _ARM_8,
    "iq4_nl": (_X86, ((NEON, DOT_PRODUCT), 4)),
    "mxfp4": (_X86, ((NEON, DOT_PRODUCT), 4)),
    "q8_0": _ARM_4,
    "q1_0": _ARM_4,
}

_EXPERT_PARTS = ("_exps.weight", "_chexps.weight")
_LOOKED_UP_PARTS = ("token_embd.weight", "position_embd.weight", "token_types.weight", "attn_rel_b.weight", "embed_tokens.weight")
_ENCODER_STARTS = ("v.", "a.", "mm.")  # loaded by llama.cpp's image and sound encoder, which never copies


def repacks(weight: WeightType, rows: int, features: Collection[str]) -> bool:
    """Whether a matrix that is multiplied with is copied.

    Args:
        weight: its type.
        rows: its rows; of one expert in a stack of experts [1].
        features: what processor *and* build can do (``WHEEL_FEATURES`` for the embedded engine's build).
    """
    return any(rows % multiple == 0 and set(needed) <= set(features) for needed, multiple in _RULES.get(weight.name, ()))


def repacks_tensor(tensor: Tensor, features: Collection[str], as_output: bool = False) -> bool:
    """Whether a tensor of a model file is copied.

    Matrices of two dimensions are, and stacks of experts; not stacks that are multiplied one by one (``attn_k_b`` of latent
    attention), not tables that are only looked up.

    Args:
        tensor: the tensor.
        features: what processor and build can do.
        as_output: whether the embedding table is meant in its second use, as output matrix: tied models load it twice.
    """
    if tensor.name.startswith(_ENCODER_STARTS) or (tensor.name.endswith(_LOOKED_UP_PARTS) and not as_output):
        return False
    if dimensions(tensor.shape) != (3 if tensor.name.endswith(_EXPERT_PARTS) else 2):
        return False
    return repacks(tensor.type, tensor.shape[1], features)
