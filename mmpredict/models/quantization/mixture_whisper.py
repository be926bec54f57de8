"""Types of the tensors of whisper.cpp's own files, which know nothing of mixes: every matrix of two extents has one type.

Source: whisper.cpp ``models/convert-pt-to-ggml.py`` and ``examples/common-ggml.cpp`` (``ggml_common_quantize_0``).
"""

from __future__ import annotations

from collections.abc import Iterable

from mmpredict.errors import InputError
from mmpredict.models.quantization.file_types import FileType
from mmpredict.models.quantization.weight_types import WEIGHT_TYPES
from mmpredict.models.spec import Tensor

WHISPER_FILE_TYPES = ("F32", "F16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0")
_FLOATS = ("F32", "F16")
_MATRIX_EXTENTS = 2


def whisper_mix(kind: FileType, tensors: Iterable[tuple[str, tuple[int, ...]]]) -> tuple[Tensor, ...]:
    """Every tensor in the type that it has in a file of type ``kind``: biases, norms and positions stay ``f32``, and
    convolutions ``f16``.

    Raises:
        InputError: whisper.cpp makes no such file.
    """
    if kind.name not in WHISPER_FILE_TYPES or kind.weight is None:
        raise InputError(f"whisper.cpp does not quantize to {kind.name}; allowed: {', '.join(WHISPER_FILE_TYPES)}")
    vector, converted = WEIGHT_TYPES["f32"], WEIGHT_TYPES["f32" if kind.name == "F32" else "f16"]
    typed = []
    for name, extents in tensors:
        stored = vector
        if len(extents) > 1 and name.endswith(".weight"):
            stored = kind.weight if len(extents) == _MATRIX_EXTENTS and kind.name not in _FLOATS else converted
        typed.append(Tensor(name, extents, stored))
    return tuple(typed)
