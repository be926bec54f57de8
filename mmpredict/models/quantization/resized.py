"""A model whose publisher chose the type of every tensor, guessed from the name and the size of its file.

Unsloth's dynamic mixes (``UD-Q4_K_XL``) and files of older rules are larger or smaller than the rules give. What is known of them
(Unsloth, "Dynamic 2.0"; loaders' printed counts of types) is that matrices that every token passes are kept in more bits before
the experts are. So of a mixture of experts in such a file, these matrices and both tables have 8 bits whatever its size, and the
experts go up or down a step, layer by layer, until the size is met; with 8 bits for all, tables and then the matrices that every
token passes get 16 first.
Of other files, matrices that every token passes go up to 8 bits, then all others a step; one that is smaller than the rules give is
lowered likewise, of a mixture the experts alone. A size that one table explains changes nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mmpredict.models.quantization.weight_types import WEIGHT_TYPES, WeightType, tensor_bytes
from mmpredict.models.spec import EMBEDDING, OUTPUT, ModelSpec, Tensor

CLOSE_FRAC = 0.012
"""A size that is off by less is a matter of the tokenizer and of rounding."""

_EXACT_FRAC = 0.003  # of a size that one table explains
_UNSLOTH = "UD-"
_BASES = {
    "UD-Q2_K_XL": "Q2_K",
    "UD-Q3_K_XL": "Q3_K_M",
    "UD-Q4_K_XL": "Q4_K_M",
    "UD-Q5_K_XL": "Q5_K_M",
    "UD-Q6_K_XL": "Q6_K",
    "UD-Q8_K_XL": "Q8_0",
}
_STEPS = tuple(WEIGHT_TYPES[name] for name in ("iq2_xxs", "iq3_xxs", "q3_k", "q4_k", "q5_k", "q6_k", "q8_0", "bf16"))
_STEP_BITS = 0.4  # types closer than this are the same step
_EIGHT_BITS, _SIXTEEN_BITS = WEIGHT_TYPES["q8_0"], WEIGHT_TYPES["bf16"]
_OLDER = frozenset({"qwen3moe", "llama4", "glm4moe", "dots1", "ernie4_5-moe", "hunyuan-moe", "gpt-oss"})
"""Architectures whose files Unsloth made in 2025, when matrices that every token passes were not yet kept in 8 bits."""

_DRAFTING = frozenset({"qwen35", "qwen35moe"})
"""Architectures whose files may hold, since llama.cpp uses it (May 2026), another layer that only drafts, like the last one."""


def base_type(file_type: str) -> str:
    """The type that llama.cpp's rules know and that a publisher's own is a variant of (``UD-Q4_K_XL`` → ``Q4_K_M``)."""
    return _BASES.get(file_type.upper(), file_type.upper().removeprefix(_UNSLOTH))


def resized(spec: ModelSpec, file_type: str, file_bytes: int = 0) -> ModelSpec:
    """The model as a publisher's file holds it; unchanged where rules and size agree.

    Args:
        spec: as llama.cpp's rules store it.
        file_type: as the file is named.
        file_bytes: of the whole file, or of its tensors alone; 0 where unknown [bytes].
    """
    mixture = any(tensor.is_expert for tensor in spec.tensors)
    dynamic = mixture and file_type.upper().startswith(_UNSLOTH) and spec.shape.architecture not in _OLDER
    tensors = list(spec.tensors)
    if dynamic:
        tensors = [_kept(tensor) for tensor in tensors]
    missing = _missing(spec, tensors, file_bytes) if file_bytes else 0
    if not dynamic:
        if abs(missing) < CLOSE_FRAC * spec.file_bytes or abs(file_bytes - spec.weight_bytes) < CLOSE_FRAC * spec.weight_bytes:
            return spec
        if tables := _explained_by_a_table(spec, file_bytes):
            return replace(spec, tensors=tables)
    growing = missing > 0
    for index, wanted in _plans(tensors, growing, mixture):
        if (missing <= 0) if growing else (missing >= 0):
            break
        old = tensors[index]
        kind = wanted or _neighbour(old.type, up=growing)
        if kind is None or old.shape[0] % kind.block_weights:
            continue
        tensors[index] = Tensor(old.name, old.shape, kind)
        missing -= tensors[index].size_bytes - old.size_bytes
    doubt = f"types of {spec.name}'s tensors are guessed from the {'size' if file_bytes else 'name'} of its file"
    return replace(spec, tensors=tuple(tensors), doubts=(*spec.doubts, doubt))


def _kept(tensor: Tensor) -> Tensor:
    """A matrix that every token passes, or a table, in 8 bits at least."""
    table = tensor.name in (EMBEDDING, OUTPUT)
    if not (table or _changeable(tensor)) or tensor.is_expert or tensor.type.bits_per_weight >= _EIGHT_BITS.bits_per_weight:
        return tensor
    return tensor if tensor.shape[0] % _EIGHT_BITS.block_weights else Tensor(tensor.name, tensor.shape, _EIGHT_BITS)


def _missing(spec: ModelSpec, tensors: Sequence[Tensor], file_bytes: int) -> float:
    """What the file has beyond these tensors, and beyond a layer that only drafts where it is nearer with one [bytes]."""
    missing = file_bytes - sum(tensor.size_bytes for tensor in tensors) - spec.metadata_bytes
    if spec.shape.architecture not in _DRAFTING or spec.shape.n_draft_layers:
        return missing
    last = [tensor for tensor in tensors if tensor.layer == spec.shape.n_layers - 1 and tensor.is_matrix]
    widest = max((tensor.type for tensor in last), key=lambda kind: kind.bits_per_weight if kind.name != "f32" else 0.0)
    draft = sum(tensor.size_bytes for tensor in last) + 2 * spec.shape.n_embd**2 * widest.bits_per_weight / 8
    return min(missing, missing - draft, key=abs)


def _explained_by_a_table(spec: ModelSpec, file_bytes: int) -> tuple[Tensor, ...]:
    """The tensors of a model with one table for both ends whose file has two, or one of 16 bits (Google's QAT files); else none."""
    table = next((tensor for tensor in spec.tensors if tensor.name == EMBEDDING), None)
    if table is None or not spec.tied_output:
        return ()
    rest = tuple(tensor for tensor in spec.tensors if tensor is not table)
    most = max(spec.body_groups, key=lambda group: group.weights).type
    if table.shape[0] % most.block_weights == 0:
        second = tensor_bytes(most, table.shape)
        if _exactly(file_bytes, spec, second):
            return (*rest, Tensor(EMBEDDING, table.shape, most), Tensor(OUTPUT, table.shape, table.type))
    wider = Tensor(EMBEDDING, table.shape, WEIGHT_TYPES["f16"])
    return (*rest, wider) if _exactly(file_bytes, spec, wider.size_bytes - table.size_bytes) else ()


def _exactly(file_bytes: int, spec: ModelSpec, more_bytes: int) -> bool:
    return any(abs(file_bytes - size - more_bytes) < _EXACT_FRAC * size for size in (spec.file_bytes, spec.weight_bytes))


def _plans(tensors: Sequence[Tensor], growing: bool, mixture: bool) -> Iterator[tuple[int, WeightType | None]]:
    """Which tensors change first, and into what; None for the next step."""
    order = sorted(
        (index for index, tensor in enumerate(tensors) if _changeable(tensor)),
        key=lambda index: (tensors[index].layer or 0, index),
    )
    if not growing:
        lowered = [index for index in order if not mixture or tensors[index].is_expert]
        for step in reversed(_STEPS):  # those with the most bits first, as loaders' counts of types show
            yield from ((index, None) for index in lowered if tensors[index].type.bits_per_weight > step.bits_per_weight)
        return
    whole = all(not _below_eight_bits(tensors[index]) for index in order)
    always = [index for index in order if mixture and not tensors[index].is_expert and (whole or _below_eight_bits(tensors[index]))]
    tables = [index for name in (EMBEDDING, OUTPUT) for index, tensor in enumerate(tensors) if whole and tensor.name == name]
    yield from ((index, _SIXTEEN_BITS if whole else _EIGHT_BITS) for index in (*tables, *always))
    rest = [index for index in order if index not in always]
    yield from ((index, None) for index in sorted(rest, key=lambda index: _reluctance(tensors[index]) if mixture else 0))


def _reluctance(tensor: Tensor) -> int:
    """When a matrix of a mixture gets more bits after the first: the experts' last matrices, their others, then all others."""
    return 2 if not tensor.is_expert else 0 if "_down_" in tensor.name else 1


def _changeable(tensor: Tensor) -> bool:
    return tensor.is_matrix and tensor.layer is not None and tensor.type.name not in ("f32", "f16")


def _below_eight_bits(tensor: Tensor) -> bool:
    return tensor.type.bits_per_weight < _EIGHT_BITS.bits_per_weight


def _neighbour(kind: WeightType, up: bool) -> WeightType | None:
    bits = kind.bits_per_weight
    if up:
        return next((step for step in _STEPS if step.bits_per_weight > bits + _STEP_BITS), None)
    return next((step for step in reversed(_STEPS) if step.bits_per_weight < bits - _STEP_BITS), None)
