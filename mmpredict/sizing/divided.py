"""Which processor has which part of a model: all of it, or layers divided between GPU and CPU."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mmpredict.cost.placement import most_gpu_layers, on_gpu
from mmpredict.cost.rates.parameters import ProcessorClass
from mmpredict.cost.rates.step_terms import Conditions
from mmpredict.models.spec import ModelSpec

DOUBT = "layers on two processors: their times are added up; not validated, and prompts may be faster than this"


@dataclass(frozen=True, slots=True)
class ModelPart:
    """What one processor has of a model.

    Attributes:
        kind: class of processor.
        spec: the model with the tensors that this processor has.
        how: conditions, with the share of the layers.
    """

    kind: ProcessorClass
    spec: ModelSpec
    how: Conditions


def divided(spec: ModelSpec, gpu_layers: int, kept_bytes: float, how: Conditions) -> tuple[ModelPart, ...]:
    """The parts of a model, the GPU's first.

    Args:
        spec: the model.
        gpu_layers: layers on the GPU, the output counted as one [1].
        kept_bytes: experts that stay with the CPU although their layer is on the GPU: those of the first layers [bytes].
        how: conditions of the whole; only the first part samples.
    """
    if not gpu_layers:
        return (ModelPart("cpu", spec, how),)
    if gpu_layers >= most_gpu_layers(spec) and not kept_bytes:
        return (ModelPart("gpu", spec, how),)
    there, here = _tensors(spec, gpu_layers, kept_bytes)
    share = min(1.0, gpu_layers / most_gpu_layers(spec))
    return (
        ModelPart("gpu", there, replace(how, share=share)),
        ModelPart("cpu", here, replace(how, share=1 - share, sampled=False)),
    )


def _tensors(spec: ModelSpec, gpu_layers: int, kept_bytes: float) -> tuple[ModelSpec, ModelSpec]:
    """The model's tensors on the GPU, and those with the CPU."""
    kept, room = set(), kept_bytes
    for tensor in sorted(spec.tensors, key=lambda tensor: -1 if tensor.layer is None else tensor.layer):
        if tensor.is_expert and room > 0:
            kept.add(tensor.name)
            room -= tensor.size_bytes
    output = spec.output_matrix
    there = tuple(
        tensor
        for tensor in spec.tensors
        if tensor is output or (on_gpu(spec, tensor.layer, gpu_layers) and tensor.name not in kept)
    )
    names = {tensor.name for tensor in there}
    here = tuple(tensor for tensor in spec.tensors if tensor.name not in names and tensor.layer is not None)
    return replace(spec, tensors=there), replace(spec, tensors=here)
