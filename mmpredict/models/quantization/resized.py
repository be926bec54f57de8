"""A model whose publisher chose the type of every tensor, guessed from the size of its file.

Unsloth's dynamic mixes (``UD-Q4_K_XL``) and files of older rules are larger or smaller than the rules give. What is known of them
(Unsloth, "Dynamic 2.0") is that matrices that every token passes are kept in more bits before the experts are. So: first these
matrices go up to 8 bits, layer by layer, then all others go up a step, until the size is met; a file that is smaller than the
rules give is lowered likewise, of a mixture the experts alone.
"""

from __future__ import annotations

from dataclasses import replace

from mmpredict.models.quantization.weight_types import WEIGHT_TYPES, WeightType
from mmpredict.models.spec import ModelSpec, Tensor

CLOSE_FRAC = 0.012
"""A size that is off by less is a matter of the tokenizer and of rounding."""

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
_EIGHT_BITS = WEIGHT_TYPES["q8_0"]


def base_type(file_type: str) -> str:
    """The type that llama.cpp's rules know and that a publisher's own is a variant of (``UD-Q4_K_XL`` → ``Q4_K_M``)."""
    return _BASES.get(file_type.upper(), file_type.upper().removeprefix("UD-"))


def resized(spec: ModelSpec, file_bytes: int) -> ModelSpec:
    """The same model with types changed until its file has about this size [bytes]; unchanged where it is close already."""
    missing = file_bytes - spec.file_bytes
    if abs(missing) < CLOSE_FRAC * spec.file_bytes:
        return spec
    tensors = list(spec.tensors)
    order = sorted(
        (index for index, tensor in enumerate(tensors) if _changeable(tensor)),
        key=lambda index: (tensors[index].layer or 0, index),
    )
    mixture = any(tensor.is_expert for tensor in tensors)
    growing = missing > 0
    first = [index for index in order if growing and mixture and _below_eight_bits(tensors[index])]
    plans: list[tuple[int, WeightType | None]] = [(index, _EIGHT_BITS) for index in first]
    others = (index for index in order if growing or not mixture or tensors[index].is_expert)
    plans += [(index, None) for index in others if index not in set(first)]
    for index, wanted in plans:
        if (missing <= 0) if growing else (missing >= 0):
            break
        old = tensors[index]
        kind = wanted or _neighbour(old.type, up=growing)
        if kind is None or old.shape[0] % kind.block_weights:
            continue
        tensors[index] = Tensor(old.name, old.shape, kind)
        missing -= tensors[index].size_bytes - old.size_bytes
    doubt = f"types of {spec.name}'s tensors are guessed from the size of its file"
    return replace(spec, tensors=tuple(tensors), doubts=(*spec.doubts, doubt))


def _changeable(tensor: Tensor) -> bool:
    return tensor.is_matrix and tensor.layer is not None and tensor.type.name not in ("f32", "f16")


def _below_eight_bits(tensor: Tensor) -> bool:
    return not tensor.is_expert and tensor.type.bits_per_weight < _EIGHT_BITS.bits_per_weight


def _neighbour(kind: WeightType, up: bool) -> WeightType | None:
    bits = kind.bits_per_weight
    if up:
        return next((step for step in _STEPS if step.bits_per_weight > bits + _STEP_BITS), None)
    return next((step for step in reversed(_STEPS) if step.bits_per_weight < bits - _STEP_BITS), None)
