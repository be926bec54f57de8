"""Room that a GGUF file takes besides its weights: the tokenizer, the list of tensors, and padding.

Sizes of tokenizers are what published files hold besides weights and the list of tensors, chat template included; where none
was at hand, bytes per entry of a tokenizer of the same kind. They differ by up to 0.6 MB between converters and chat templates,
and an estimate per entry is off by up to a fifth: below 0.2 % of any file above 1 GB.
"""

from __future__ import annotations

from collections.abc import Iterable

from mmpredict.models.shape import Shape
from mmpredict.models.spec import Tensor

# Files on Hugging Face (file size less weights and list of tensors), and llama.cpp's models/ggml-vocab-*.gguf.
TOKENIZERS: dict[str, int] = {
    "bert": 627_549,  # ggml-vocab-bert-bge.gguf
    "bert-2023": 356_567,  # all-MiniLM-L6-v2 and mxbai-embed-large, as converted before scores were written
    "command-r": 10_874_545,  # ggml-vocab-command-r.gguf
    "deepseek-coder": 1_156_067,  # ggml-vocab-deepseek-coder.gguf
    "deepseek-llm": 3_970_167,  # ggml-vocab-deepseek-llm.gguf
    "falcon3": 4_731_522,  # tiiuae/Falcon3-7B-Instruct-GGUF
    "gemma": 6_029_351,  # bartowski/gemma-2-2b-it-GGUF
    "gemma3": 6_513_319,  # bartowski/google_gemma-3-4b-it-GGUF
    "gemma4": 15_785_195,  # unsloth/gemma-4-26B-A4B-it-GGUF
    "glm4": 9_306_642,  # unsloth/GLM-4-9B-0414-GGUF
    "granite": 1_725_199,  # ibm-granite/granite-3.3-2b-instruct-GGUF
    "lfm2": 2_374_834,  # LiquidAI/LFM2-350M-GGUF
    "llama2": 723_770,  # TheBloke/Llama-2-7B-GGUF
    "llama3": 7_822_854,  # bartowski/Llama-3.2-3B-Instruct-GGUF
    "llama4": 13_061_185,  # unsloth/Llama-4-Scout-17B-16E-Instruct-GGUF
    "mistral3": 740_634,  # MaziyarPanahi/Mistral-7B-Instruct-v0.3-GGUF
    "nemotron": 6_320_948,  # bartowski/Nemotron-Mini-4B-Instruct-GGUF
    "neox": 1_770_088,  # allenai/OLMoE-1B-7B-0924-Instruct-GGUF
    "nomic": 740_577,  # nomic-ai/nomic-embed-text-v1.5-GGUF
    "o200k": 12_980_318,  # ggml-org/gpt-oss-20b-GGUF
    "phi2": 1_766_807,  # ggml-vocab-gpt-2.gguf
    "phi3": 726_987,  # bartowski/Phi-3.5-mini-instruct-GGUF
    "phi4": 3_541_400,  # bartowski/phi-4-GGUF
    "phi4-mini": 8_239_360,  # bartowski/microsoft_Phi-4-mini-instruct-GGUF
    "qwen2": 5_934_232,  # Qwen/Qwen2.5-Coder-14B-Instruct-GGUF
    "qwen3.5": 11_000_000,  # unsloth/Qwen3.6-27B-GGUF and Qwen3.6-35B-A3B-GGUF, known to 0.5 MB
    "smollm": 1_769_823,  # bartowski/SmolLM2-1.7B-Instruct-GGUF
    "tekken": 7_867_434,  # bartowski/mistralai_Mistral-Small-3.2-24B-Instruct-2506-GGUF
    "whisper": 569_501,  # ggerganov/whisper.cpp ggml-tiny.bin, filters included
    "xlm-roberta": 6_820_471,  # bge-m3 GGUF
    "none": 0,
}
# Vocabularies that only one tokenizer has, for a config.json, which does not name it.
_BY_VOCABULARY = {
    32000: "llama2",
    32016: "llama2",
    32064: "phi3",
    32768: "mistral3",
    49152: "smollm",
    49159: "granite",
    50304: "neox",
    51200: "phi2",
    65536: "lfm2",
    100352: "phi4",
    102400: "deepseek-llm",
    128256: "llama3",
    131072: "tekken",
    151552: "glm4",
    151936: "qwen2",
    152064: "qwen2",
    200064: "phi4-mini",
    201088: "o200k",
    202048: "llama4",
    250002: "xlm-roberta",
    30522: "bert",
    30528: "nomic",
}
# ``tokenizer.ggml.merges`` as loaders print it; tokenizers of pieces have none, and the others about one per token.
MERGES: dict[str, int] = {
    "glm4": 318_088,
    "llama3": 280_147,
    "llama4": 439_802,
    "o200k": 446_189,
    "phi2": 50_000,
    "phi4": 100_000,
    "qwen2": 151_387,
    "smollm": 48_900,
    "tekken": 269_443,
}
_WITHOUT_MERGES = ("bert", "bert-2023", "gemma", "gemma3", "llama2", "mistral3", "nomic", "phi3", "pieces", "xlm-roberta", "none")
_BYTES_PER_ENTRY = {
    "pieces": 24,  # a piece, its score and its type: as llama2, gemma
    "pairs": 40,  # a token, its type and the merge that makes it: as qwen2, phi4-mini, command-r
}
_PIECES = ("gemma", "gemma2", "gemma3", "nemotron", "t5")
_GGUF_HEADER = 24
_TENSOR_INFO = 8 + 4 + 4 + 8  # length of the name, number of extents, type, offset
_EXTENT = 8
_ALIGNMENT = 32


def tokenizer_bytes(shape: Shape, tokenizer: str = "") -> int:
    """Room of the tokenizer and what little else a file says about a model [bytes].

    Args:
        shape: the model.
        tokenizer: a name in ``TOKENIZERS``, or the kind of one (``pieces``, ``pairs``); guessed when empty.
    """
    kind = _kind(shape, tokenizer)
    if kind in TOKENIZERS:
        return TOKENIZERS[kind]
    return shape.n_vocab * _BYTES_PER_ENTRY[kind]


def merge_count(shape: Shape, tokenizer: str = "") -> int:
    """Merges of the tokenizer [1]; one per token where the number is not known.

    Args:
        shape, tokenizer: as for ``tokenizer_bytes``.
    """
    kind = _kind(shape, tokenizer)
    return 0 if kind in _WITHOUT_MERGES else MERGES.get(kind, shape.n_vocab)


def metadata_bytes(shape: Shape, tensors: Iterable[Tensor], tokenizer: str = "") -> int:
    """What a GGUF file holds besides weights [bytes]: tokenizer, list of tensors, padding.

    Args:
        shape, tokenizer: as for ``tokenizer_bytes``.
        tensors: all tensors of the file.
    """
    listed = padding = 0
    for tensor in tensors:
        listed += _TENSOR_INFO + len(tensor.name) + _EXTENT * len(tensor.shape)
        padding += -tensor.size_bytes % _ALIGNMENT
    return _GGUF_HEADER + tokenizer_bytes(shape, tokenizer) + listed + padding


def _kind(shape: Shape, tokenizer: str) -> str:
    return tokenizer or _BY_VOCABULARY.get(shape.n_vocab) or ("pieces" if shape.architecture in _PIECES else "pairs")
