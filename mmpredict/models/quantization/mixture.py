"""From a file type and a tensor list to the type of every tensor: how large a quantized model is, before it exists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.models.quantization.file_types import FILE_TYPES, FILE_TYPES_BY_NUMBER, FileType, file_type
from mmpredict.models.quantization.mixture_ollama import OLLAMA_FILE_TYPES, OllamaChooser, ollama_keeps_mxfp4, ollama_may_quantize
from mmpredict.models.quantization.mixture_rules import Chooser
from mmpredict.models.quantization.tensor_roles import VALUE_ROLES, dimensions, layer_of, may_be_quantized, role_of
from mmpredict.models.quantization.unquantized import converted_type, ollama_converted_type
from mmpredict.models.quantization.weight_types import SHORT_ROW_FALLBACK, WEIGHT_TYPES, WeightType, storable_type
from mmpredict.models.spec import Tensor

__all__ = ["FILE_TYPES", "FILE_TYPES_BY_NUMBER", "RULES", "FileType", "MixFacts", "Rules", "file_type", "mix"]

Rules = Literal["llama.cpp", "llama.cpp-2025", "ollama"]
RULES: tuple[Rules, ...] = ("llama.cpp", "llama.cpp-2025", "ollama")
FLOAT_TYPES = ("f16", "bf16", "f32")
_SMALLEST_FALLBACK_BLOCK = 32
_LEGACY_IQ4_NL = ("q2_k", "q3_k")  # short rows of these became iq4_nl before March 2026; q4_0, which they are now, is as large

# Layers at which llama.cpp takes a model of the architecture for one of 70B (src/models/*.cpp, LLM_TYPE_70B).
_70B_LAYERS = {"llama": 80, "llama-embed": 80, "qwen2": 80, "deci": 80, "olmo": 80, "jais2": 68}
_70B_NEEDS_SHARED_HEADS = ("llama", "llama-embed")  # with as many key as query heads it is LLaMA 65B

NamedShape = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class MixFacts:
    """What the rules look at besides names and shapes; the values that the GGUF header holds.

    Attributes:
        architecture: GGUF architecture.
        n_layers: ``block_count``, layers for predicting several tokens included [1].
        n_heads: query heads of the first layer [1].
        n_kv_heads: key and value heads of the first layer; 0 when it has no attention, 1 with latent attention [1].
        n_experts: experts of a layer; 0 without [1].
        imatrix: whether an importance matrix is used; None means only for file types that need one.
        source: type of large matrices before quantization: ``f16``, ``bf16`` or ``f32``; few tensors keep it. None means
            f16, and for a file of one of these types that the model was converted to it at once.
    """

    architecture: str
    n_layers: int
    n_heads: int
    n_kv_heads: int
    n_experts: int = 0
    imatrix: bool | None = None
    source: str | None = None

    @property
    def query_heads_per_value(self) -> int:
        """Query heads that share one key and value head in the first layer [1]."""
        return self.n_heads // self.n_kv_heads if self.n_kv_heads else 0

    @property
    def is_70b(self) -> bool:
        """Whether llama.cpp takes the model for one of 70B."""
        if self.n_layers != _70B_LAYERS.get(self.architecture):
            return False
        return self.architecture not in _70B_NEEDS_SHARED_HEADS or (self.n_heads != self.n_kv_heads and self.n_experts != 8)


def mix(wanted: FileType | str, tensors: Iterable[NamedShape], facts: MixFacts, rules: Rules = "llama.cpp") -> tuple[Tensor, ...]:
    """Every tensor in the type that it has in a file of type ``wanted``, in the order given.

    Args:
        wanted: a file type or its name.
        tensors: names and shapes in file order; a shape begins with the row length, as in GGUF.
        facts: what the rules look at besides.
        rules: whose. ``llama.cpp`` is llama-quantize today; ``llama.cpp-2025`` is llama-quantize before pull request 19770
            (March 2026), which made most published files: it treats fused ``attn_qkv``, ``attn_kv_b`` and
            ``per_layer_token_embd`` otherwise; ``ollama`` is Ollama's own quantizer (gemma3, gpt-oss and qwen3 in its library;
            older models there were made with llama.cpp).

    Raises:
        InputError: no rule makes such a file, or a tensor cannot be stored in it.
        UnknownNameError: no such file type or rule set.
    """
    kind = file_type(wanted) if isinstance(wanted, str) else wanted
    listed = list(tensors)
    _check(kind, listed, facts, rules)
    if rules == "ollama":
        types = _ollama_types(kind, listed, facts)
    else:
        types = _llama_cpp_types(kind, listed, facts, rules == "llama.cpp-2025")
    return tuple(Tensor(name, shape, weight) for (name, shape), weight in zip(listed, types, strict=True))


def _check(kind: FileType, listed: Sequence[NamedShape], facts: MixFacts, rules: str) -> None:
    if rules not in RULES:
        raise UnknownNameError("rule set", rules, RULES)
    if facts.source is not None and facts.source not in FLOAT_TYPES:
        raise UnknownNameError("type before quantization", facts.source, FLOAT_TYPES)
    if kind.weight is None:
        raise InputError(
            f"no rule gives the types of a file of type {kind.name}: it is converted from a checkpoint that is quantized "
            "already; give the GGUF file itself (its header is enough)"
        )
    if rules == "ollama" and kind.name not in OLLAMA_FILE_TYPES:
        raise InputError(
            f"Ollama does not quantize to {kind.name}, only to {', '.join(OLLAMA_FILE_TYPES)}; "
            "other files in its library were made with llama.cpp (rules llama.cpp-2025)"
        )
    for name, shape in listed:
        if not shape or min(shape) < 1:
            raise InputError(f"tensor {name!r} has the shape {shape}; every extent must be at least 1")


def _llama_cpp_types(kind: FileType, listed: Sequence[NamedShape], facts: MixFacts, legacy: bool) -> list[WeightType]:
    base, source = _base(kind), _source(kind, facts)
    chooser = Chooser(
        file_type=kind.name,
        base=base.name,
        base_block=base.block_weights,
        architecture=facts.architecture,
        n_layers=facts.n_layers,
        n_experts=facts.n_experts,
        query_heads_per_value=facts.query_heads_per_value,
        is_70b=facts.is_70b,
        imatrix=kind.needs_imatrix if facts.imatrix is None else facts.imatrix,
        tied=not any(name == "output.weight" for name, _ in listed),
        n_values=sum(role_of(name) in VALUE_ROLES for name, _ in listed),
        legacy=legacy,
    )
    types: dict[int, WeightType] = {}
    # llama-quantize walks layer by layer, and by name within a layer, whatever the order of the file
    for index in sorted(range(len(listed)), key=lambda index: (layer_of(listed[index][0]), listed[index][0])):
        name, shape = listed[index]
        if dimensions(shape) < 2 or not may_be_quantized(name, facts.architecture):
            types[index] = WEIGHT_TYPES[converted_type(name, len(shape), source)]
        elif base.name in FLOAT_TYPES:
            types[index] = base
        else:
            types[index] = _stored(WEIGHT_TYPES[chooser.choose(name, shape)], name, shape[0], legacy)
    return [types[index] for index in range(len(listed))]


def _ollama_types(kind: FileType, listed: Sequence[NamedShape], facts: MixFacts) -> list[WeightType]:
    base, source = _base(kind), _source(kind, facts)
    chooser = OllamaChooser(
        file_type=kind.name,
        base=base.name,
        base_block=base.block_weights,
        architecture=facts.architecture,
        n_experts=facts.n_experts,
        tied=not any(name == "output.weight" for name, _ in listed),
        n_values=sum(role_of(name) in VALUE_ROLES for name, _ in listed),
        n_blocks=len({layer_of(name) for name, _ in listed} - {-1}),
    )
    types: dict[int, WeightType] = {}
    for index in sorted(range(len(listed)), key=lambda index: layer_of(listed[index][0])):
        name, shape = listed[index]
        types[index] = WEIGHT_TYPES[ollama_converted_type(name, len(shape), source)]
        if kind.name == "MXFP4_MOE":
            types[index] = base if ollama_keeps_mxfp4(name, shape) else types[index]
        elif len(shape) > 1 and ollama_may_quantize(name) and base.name not in FLOAT_TYPES:
            types[index] = _stored(WEIGHT_TYPES[chooser.choose(name, shape)], name, shape[0])
    return [types[index] for index in range(len(listed))]


def _base(kind: FileType) -> WeightType:
    assert kind.weight is not None, "checked before"
    return kind.weight


def _source(kind: FileType, facts: MixFacts) -> str:
    base = _base(kind).name
    return facts.source or (base if base in FLOAT_TYPES else "f16")


def _stored(chosen: WeightType, name: str, row_weights: int, legacy: bool = False) -> WeightType:
    stored = storable_type(chosen, row_weights)
    if stored is chosen:
        return chosen
    if chosen.name not in SHORT_ROW_FALLBACK and (legacy or chosen.block_weights > _SMALLEST_FALLBACK_BLOCK):
        raise InputError(
            f"llama.cpp cannot store {name!r} as {chosen.name}: its rows of {row_weights} weights are not a multiple of "
            f"{chosen.block_weights}, and there is no type to fall back on; choose another quantization"
        )
    return WEIGHT_TYPES["iq4_nl"] if legacy and stored.name == "q4_0" and chosen.name in _LEGACY_IQ4_NL else stored
