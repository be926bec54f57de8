"""File types of llama.cpp: the names under which a whole quantized file goes (``Q4_K_M``), and what people call them.

A file type is a rule that gives every tensor its own weight type; ``mmpredict.models.quantization.mixture`` applies it.
Source: llama.cpp ``include/llama.h`` (``enum llama_ftype``), ``src/llama-quant.cpp`` (``llama_ftype_get_default_type``),
``src/llama-model-loader.cpp`` (the names that llama-bench prints), ``tools/quantize/quantize.cpp`` (aliases).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.models.quantization.weight_types import WEIGHT_TYPES, WeightType


@dataclass(frozen=True, slots=True)
class FileType:
    """One file type.

    Attributes:
        name: as llama-quantize takes it (``Q4_K_M``).
        number: ``general.file_type`` of a GGUF file.
        weight: type of every tensor that no rule singles out; None where no rule exists.
        label: as llama.cpp prints it (``Q4_K - Medium``).
        needs_imatrix: whether llama-quantize refuses to make it without an importance matrix.
    """

    name: str
    number: int
    weight: WeightType | None
    label: str
    needs_imatrix: bool = False


def _row(name: str, number: int, weight: str | None, label: str = "", needs_imatrix: bool = False) -> FileType:
    return FileType(name, number, WEIGHT_TYPES[weight] if weight else None, label or name, needs_imatrix)


_ROWS = (
    _row("F32", 0, "f32", "all F32"),
    _row("F16", 1, "f16"),
    _row("Q4_0", 2, "q4_0"),
    _row("Q4_1", 3, "q4_1"),
    _row("Q8_0", 7, "q8_0"),
    _row("Q5_0", 8, "q5_0"),
    _row("Q5_1", 9, "q5_1"),
    _row("Q2_K", 10, "q2_k", "Q2_K - Medium"),
    _row("Q3_K_S", 11, "q3_k", "Q3_K - Small"),
    _row("Q3_K_M", 12, "q3_k", "Q3_K - Medium"),
    _row("Q3_K_L", 13, "q3_k", "Q3_K - Large"),
    _row("Q4_K_S", 14, "q4_k", "Q4_K - Small"),
    _row("Q4_K_M", 15, "q4_k", "Q4_K - Medium"),
    _row("Q5_K_S", 16, "q5_k", "Q5_K - Small"),
    _row("Q5_K_M", 17, "q5_k", "Q5_K - Medium"),
    _row("Q6_K", 18, "q6_k"),
    _row("IQ2_XXS", 19, "iq2_xxs", "IQ2_XXS - 2.0625 bpw", True),
    _row("IQ2_XS", 20, "iq2_xs", "IQ2_XS - 2.3125 bpw", True),
    _row("Q2_K_S", 21, "q2_k", "Q2_K - Small", True),
    _row("IQ3_XS", 22, "iq3_s", "IQ3_XS - 3.3 bpw", True),
    _row("IQ3_XXS", 23, "iq3_xxs", "IQ3_XXS - 3.0625 bpw", True),
    _row("IQ1_S", 24, "iq1_s", "IQ1_S - 1.5625 bpw", True),
    _row("IQ4_NL", 25, "iq4_nl", "IQ4_NL - 4.5 bpw"),
    _row("IQ3_S", 26, "iq3_s", "IQ3_S - 3.4375 bpw"),
    _row("IQ3_M", 27, "iq3_s", "IQ3_S mix - 3.66 bpw"),
    _row("IQ2_S", 28, "iq2_xs", "IQ2_S - 2.5 bpw", True),
    _row("IQ2_M", 29, "iq2_s", "IQ2_M - 2.7 bpw", True),
    _row("IQ4_XS", 30, "iq4_xs", "IQ4_XS - 4.25 bpw"),
    _row("IQ1_M", 31, "iq1_m", "IQ1_M - 1.75 bpw", True),
    _row("BF16", 32, "bf16"),
    _row("TQ1_0", 36, "tq1_0", "TQ1_0 - 1.69 bpw ternary"),
    _row("TQ2_0", 37, "tq2_0", "TQ2_0 - 2.06 bpw ternary"),
    _row("MXFP4_MOE", 38, "mxfp4", "MXFP4 MoE"),
    _row("NVFP4", 39, None),  # converted from checkpoints that are quantized already; llama-quantize does not make it
    _row("Q1_0", 40, "q1_0"),
    _row("Q2_0", 41, "q2_0"),
)
FILE_TYPES = {row.name: row for row in _ROWS}
_OLLAMA_MXFP4 = 4  # Ollama numbers its own gpt-oss files so (fs/ggml/type.go); llama.cpp no longer uses the number
FILE_TYPES_BY_NUMBER = {**{row.number: row for row in _ROWS}, _OLLAMA_MXFP4: FILE_TYPES["MXFP4_MOE"]}

# Other names, without their separators. "q4" and "q5" are left out: some mean Q4_0 by it, others Q4_K_M.
_ALIASES = {
    "q2km": "Q2_K",
    "q3k": "Q3_K_M",
    "q4k": "Q4_K_M",
    "q5k": "Q5_K_M",
    "q6": "Q6_K",
    "q8": "Q8_0",
    "mxfp4": "MXFP4_MOE",
    "fp32": "F32",
    "float32": "F32",
    "fp16": "F16",
    "float16": "F16",
    "half": "F16",
    "bfloat16": "BF16",
}
_SEPARATORS = re.compile(r"[^a-z0-9]+")
_GUESSED = "(guessed)"  # llama.cpp's prefix for a file that does not say its type
_OWN_CHOICE = re.compile(r"ud.*|i?q\d(k|nl|0)?x{0,3}l|q\d(k|0)\dl")
_MAX_NAME = 80


def _key(name: str) -> str:
    return _SEPARATORS.sub("", name.lower().replace(_GUESSED, ""))


_BY_KEY = {
    **{key: FILE_TYPES[name] for key, name in _ALIASES.items()},
    **{_key(row.label): row for row in _ROWS},
    **{_key(row.name): row for row in _ROWS},
}


def file_type(name: str) -> FileType:
    """Look up a file type: case and separators do not matter, and llama-bench's and Ollama's spellings are known.

    Raises:
        InputError: a mix that its publisher chose tensor by tensor (``UD-Q4_K_XL``): no rule gives it.
        UnknownNameError: no such file type.
    """
    key = _key(name[:_MAX_NAME])
    found = _BY_KEY.get(key)
    if found is not None:
        return found
    if _OWN_CHOICE.fullmatch(key):
        raise InputError(
            f"{name[:_MAX_NAME]!r} is no file type of llama.cpp: its publisher chose the type of every tensor for each model, "
            "so no rule gives it; give the GGUF file itself (its header is enough), or a plain type such as Q4_K_M"
        )
    raise UnknownNameError("quantization", name[:_MAX_NAME].strip().upper(), FILE_TYPES)
