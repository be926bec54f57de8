"""What a description of a model may have wrong: architectures whose memory llama.cpp lays out in a way that a shape cannot say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmpredict.models.metadata.keys import Value
from mmpredict.models.metadata.recurrence import HYBRID, RECURRENT
from mmpredict.models.metadata.translation import TEXT_ENCODERS
from mmpredict.models.metadata.windows import PATTERN, RULES, WINDOW
from mmpredict.models.shape import Shape
from mmpredict.models.spec import Tensor
from mmpredict.units import format_bytes

# Architectures of llama.cpp (src/llama-arch.cpp) that keep keys and values of every layer in the one usual way.
_PLAIN = frozenset((
    "llama", "llama-embed", "deci", "falcon", "grok", "gpt2", "gptj", "gptneox", "mpt", "baichuan", "starcoder", "starcoder2",
    "refact", "bloom", "stablelm", "qwen", "qwen2", "qwen2moe", "qwen2vl", "qwen3", "qwen3moe", "qwen3vl", "qwen3vlmoe", "phi2",
    "phi3", "phimoe", "plamo", "codeshell", "orion", "internlm2", "minicpm", "minicpm3", "gemma", "xverse", "command-r", "dbrx",
    "olmo", "olmoe", "openelm", "arctic", "deepseek", "deepseek2", "deepseek2-ocr", "chatglm", "glm4", "glm4moe", "bitnet",
    "t5", "jais", "jais2", "nemotron", "exaone", "granite", "granitemoe", "chameleon", "plm", "bailingmoe", "bailingmoe2",
    "dots1", "arcee", "ernie4_5", "ernie4_5-moe", "hunyuan-moe", "hunyuan-dense", "hunyuan_vl", "hy_v3", "smollm3", "seed_oss",
    "grovemoe", "apertus", "minimax-m2", "cogvlm", "pangu-embedded", "mistral3", "mistral4", "paddleocr", "maincoder",
    "k2-horizon", "talkie",
))  # fmt: skip
_INDEXED = "the keys of its sparse attention's indexer are not counted in the cache"
_UNUSUAL = {
    **dict.fromkeys(("deepseek32", "glm-dsa", "dots3note", "hy_v4", "glm5-next", "qwen4exp", "minimax-m3"), _INDEXED),
    "deepseek4": "its compressed cache is not known; keys and values of every layer are assumed",
    "falcon-h1": "every layer has attention and a state; only the attention's cache is counted",
    **dict.fromkeys(("nanbeige", "hrm_text"), "its layers may be passed several times, with a cache for each; one pass is assumed"),
    "graniteswitch": "the cache of its router is not counted",
    **dict.fromkeys(("dflash", "eagle3", "gemma4-assistant"), "it only drafts for another model, whose cache it may share"),
    **dict.fromkeys(("dream", "llada", "llada-moe", "rnd1"), "it is a diffusion model and has no cache; one is counted"),
}


def doubts(metadata: Mapping[str, Value], shape: Shape, tensors: Sequence[Tensor]) -> tuple[str, ...]:
    """Sentences about what is assumed of a model; none if its memory is understood.

    Args:
        metadata: what the shape was read from.
        shape: the model.
        tensors: its tensors; may be empty.
    """
    found = (_of_window(metadata, shape), _of_shared_cache(shape), _of_experts(shape, tensors), _of_encoder(shape, tensors))
    return tuple(filter(None, (_of_architecture(shape), *found)))


def _of_architecture(shape: Shape) -> str:
    name = shape.architecture
    if name in _UNUSUAL:
        return f"architecture {name}: {_UNUSUAL[name]}"
    if name in _PLAIN or name in (*TEXT_ENCODERS, "clip", "whisper") or name in RULES or name in HYBRID or name in RECURRENT:
        return ""
    return f"architecture {name} is not known; keys and values of the whole context are assumed for every layer"


def _of_window(metadata: Mapping[str, Value], shape: Shape) -> str:
    rule = RULES.get(shape.architecture)
    if rule is None or rule.period is not None or shape.window is not None:
        return ""
    if f"{shape.architecture}.{WINDOW}" not in metadata:
        return ""
    return f"{shape.architecture}.{PATTERN} is not known; every layer is assumed to see the whole context"


def _of_shared_cache(shape: Shape) -> str:
    if shape.architecture not in ("gemma3n", "gemma4") or not isinstance(shape.n_kv_heads, tuple):
        return ""
    sharing = shape.n_kv_heads.count(0)
    return f"{sharing} layers use the keys and values of others; the time of their attention is not counted" if sharing else ""


def _of_experts(shape: Shape, tensors: Sequence[Tensor]) -> str:
    experts = shape.experts
    if experts is None or not tensors:
        return ""
    widths = {tensor.shape[0] for tensor in tensors if tensor.name.endswith(".ffn_down_exps.weight")}
    if not widths:
        return "its experts are separate tensors, as in old files; all of them are counted as read for every token"
    if len(widths) > 1:
        return f"its experts are {min(widths)} to {max(widths)} wide; {experts.n_ff} is assumed of all"
    return ""


def _of_encoder(shape: Shape, tensors: Sequence[Tensor]) -> str:
    if shape.architecture == "clip":
        return "it is a projector, which is loaded beside a language model (--mmproj) and not by itself"
    inside = sum(tensor.size_bytes for tensor in tensors if tensor.name.startswith(("v.", "a.", "mm.")))
    if not inside:
        return ""
    return f"{format_bytes(inside)} of it encode images or sound; their time is counted as if every token passed them"
