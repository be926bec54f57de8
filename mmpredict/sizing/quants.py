"""What if a model were quantized otherwise: the same tensors in the types of another file type."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from mmpredict.errors import InputError
from mmpredict.models.spec import ModelSpec

# From large to small, of those that people publish.
LADDER = ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_0", "Q3_K_L", "Q3_K_M", "Q3_K_S", "Q2_K")


def requantized(spec: ModelSpec, quantization: str) -> ModelSpec:
    """The same model as a file of another file type; the name says which.

    Raises:
        InputError: no rule makes such a file of this model.
        UnknownNameError: no such file type.
    """
    from mmpredict.models.catalog import CATALOG, catalog_spec

    if spec.shape.name in CATALOG and CATALOG[spec.shape.name] == spec.shape:
        return _named(catalog_spec(spec.shape.name, quantization), spec, quantization)
    return _named(_mixed(spec, quantization), spec, quantization)


def ladder(spec: ModelSpec) -> Iterator[tuple[str, ModelSpec]]:
    """The model in every usual file type that it can be made in, from large to small."""
    for quantization in LADDER:
        with suppress(InputError):
            yield quantization, requantized(spec, quantization)


def smaller(spec: ModelSpec) -> Iterator[tuple[str, ModelSpec]]:
    """Those that are smaller than the model is, from large to small."""
    yield from ((name, made) for name, made in ladder(spec) if made.file_bytes < spec.file_bytes)


def smaller_as(spec: ModelSpec, quantization: str) -> ModelSpec:
    """The model as a file of this type where that is possible and smaller, else as it is."""
    with suppress(InputError):
        made = requantized(spec, quantization)
        return made if made.file_bytes < spec.file_bytes else spec
    return spec


def _named(made: ModelSpec, spec: ModelSpec, quantization: str) -> ModelSpec:
    return replace(
        made, name=f"{spec.name.partition('@')[0]} as {quantization}", path=None, n_merges=spec.n_merges, doubts=spec.doubts
    )


def _mixed(spec: ModelSpec, quantization: str) -> ModelSpec:
    from mmpredict.models.quantization.mixture import MixFacts, mix
    from mmpredict.models.shape import at_layer

    shape = spec.shape
    facts = MixFacts(
        architecture=shape.architecture,
        n_layers=shape.n_layers,
        n_heads=at_layer(shape.n_heads, 0),
        n_kv_heads=1 if shape.latent else at_layer(shape.n_kv_heads, 0),
        n_experts=shape.experts.total if shape.experts else 0,
    )
    return replace(spec, tensors=mix(quantization, [(tensor.name, tensor.shape) for tensor in spec.tensors], facts))
