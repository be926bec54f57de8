"""Known models: published hyperparameters by name, and from them every tensor of a file in any quantization.

The rows are in ``published/*.json``: the keys of each model's ``config.json`` that matter, with the Hugging Face repository as
``source``, read by the same code as a ``config.json`` is. A row may be ``like`` another one, with some keys changed. The
``probe-`` rows are shapes of no real model: calibration uses them, so that every real model remains unseen. One of them is
larger than the caches of usual processors: weights that a cache holds are read faster.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from dataclasses import replace
from functools import lru_cache

from mmpredict.errors import UnknownNameError
from mmpredict.models.architectures import tensor_shapes
from mmpredict.models.config import projector_from_config
from mmpredict.models.quantization.mixture import MixFacts, Rules, file_type, mix
from mmpredict.models.quantization.mixture_whisper import whisper_mix
from mmpredict.models.quantization.weight_types import WEIGHT_TYPES, WeightType, storable_type
from mmpredict.models.rows import HINT, raw_rows, row
from mmpredict.models.shape import Shape, at_layer
from mmpredict.models.spec import ModelSpec, Tensor
from mmpredict.models.vocabulary import merge_count, metadata_bytes

__all__ = ["CATALOG", "Catalog", "canonical", "catalog_spec", "projector_spec", "row", "shape", "spec_of", "uniform_spec"]

WHISPER = "whisper"
PATCHES = "v.patch_embd.weight"
_REMEMBERED = 256
_SEPARATORS = re.compile(r"[^a-z0-9.]+")
_VARIANTS = re.compile(r"[-_](instruct|chat|it|hf|gguf|base|bf16|pt)$")


class Catalog(MutableMapping[str, Shape]):
    """Shapes by name; each is read when it is first asked for."""

    def __init__(self) -> None:
        self._read: dict[str, Shape] = {}
        self._removed: set[str] = set()

    def __getitem__(self, name: str) -> Shape:
        if name not in self._read:
            if name in self._removed or name not in raw_rows():
                raise KeyError(name)
            self._read[name] = row(name).shape
        return self._read[name]

    def __setitem__(self, name: str, shape: Shape) -> None:
        self._read[name] = shape
        self._removed.discard(name)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self._read.pop(name, None)
        self._removed.add(name)

    def __contains__(self, name: object) -> bool:
        return name in self._read or (name in raw_rows() and name not in self._removed)

    def __iter__(self) -> Iterator[str]:
        yield from (name for name in raw_rows() if name not in self._removed)
        yield from (name for name in self._read if name not in raw_rows())

    def __len__(self) -> int:
        return sum(1 for _ in self)


CATALOG = Catalog()


def canonical(name: str) -> str:
    """The catalog's spelling of a name: case, separators, an owner in front and ``-Instruct`` behind do not matter.

    Raises:
        UnknownNameError: no such model.
    """
    if name in CATALOG:
        return name
    found = _aliases().get(_squeezed(name))
    if found is None or found not in CATALOG:
        raise UnknownNameError("architecture", name, CATALOG, HINT)
    return found


def shape(name: str) -> Shape:
    """Hyperparameters of a model of the catalog.

    Raises:
        UnknownNameError: no such model.
    """
    return CATALOG[canonical(name)]


@lru_cache(1)
def _aliases() -> dict[str, str]:
    aliases: dict[str, str] = {}
    for name, values in raw_rows().items():
        aliases.setdefault(_squeezed(name), name)
        aliases.setdefault(_squeezed(values["source"]), name)
    return aliases


def _squeezed(name: str) -> str:
    """``meta-llama/Llama-3.1-8B-Instruct`` and ``llama3.1:8b`` as one key."""
    short = name.strip().lower().rpartition("/")[2].removeprefix("meta-")
    while (shorter := _VARIANTS.sub("", short)) != short:
        short = shorter
    return _SEPARATORS.sub("", short)


def uniform_spec(name: str, matrices: WeightType) -> ModelSpec:
    """A model of the catalog with every matrix in one weight type and every vector in ``f32``.

    Rows that the type's block does not divide are stored as llama.cpp stores them (``storable_type``).

    Raises:
        UnknownNameError: no such model.
    """
    model = shape(name)
    vector = WEIGHT_TYPES["f32"]
    tensors = tuple(
        Tensor(tensor, extents, storable_type(matrices, extents[0]) if len(extents) > 1 else vector)
        for tensor, extents in tensor_shapes(model)
    )
    return ModelSpec(name=f"{model.name}@{matrices.name}", shape=model, tensors=tensors, source=model.source)


def catalog_spec(name: str, quantization: str, rules: Rules | None = None, imatrix: bool | None = None) -> ModelSpec:
    """A model of the catalog as a file of a file type (``Q4_K_M``, ``f16``).

    Experts that were published quantized (gpt-oss) keep their type, whatever the file type.

    Args:
        name: of the model.
        quantization: name of a file type (``mixture.file_type``).
        rules: whose rules give each tensor its type (``mixture.mix``); None for those that made the files published first.
        imatrix: whether an importance matrix was used; None when only file types that need one have it.

    Raises:
        UnknownNameError: no such model, file type or rule set.
        InputError: no rule makes such a file.
    """
    return _spec(shape(name), file_type(quantization).name, rules, imatrix)


@lru_cache(_REMEMBERED)
def _spec(model: Shape, quantization: str, rules: Rules | None, imatrix: bool | None) -> ModelSpec:
    if model.name not in raw_rows():
        return spec_of(model, quantization, rules or "llama.cpp", imatrix)
    known = row(model.name)
    return spec_of(model, quantization, rules or known.rules, imatrix, known.tokenizer, known.quantized)


def spec_of(
    model: Shape,
    quantization: str,
    rules: Rules = "llama.cpp",
    imatrix: bool | None = None,
    tokenizer: str = "",
    quantized: str = "",
) -> ModelSpec:
    """Any hyperparameters, such as those of a ``config.json``, as a file of a file type.

    Args:
        model: the hyperparameters.
        quantization, rules, imatrix: as for ``catalog_spec``; llama-quantize's rules of today when not given.
        tokenizer: which vocabulary the file carries; guessed from its size when empty.
        quantized: file type in which the experts were published, which they keep.

    Raises:
        UnknownNameError: no such architecture, file type or rule set.
        InputError: no rule makes such a file.
    """
    kind, listed = file_type(quantization), tensor_shapes(model)
    if model.architecture == WHISPER:
        tensors = whisper_mix(kind, listed)
    else:
        facts = _facts(model, imatrix)
        tensors = mix(kind, listed, facts, rules)
        if quantized and quantized != kind.name:
            published = mix(quantized, listed, facts, rules)
            tensors = tuple(kept if kept.is_expert else tensor for kept, tensor in zip(published, tensors, strict=True))
    return ModelSpec(
        name=f"{model.name}@{kind.name}",
        shape=model,
        tensors=tensors,
        metadata_bytes=metadata_bytes(model, tensors, tokenizer),
        n_merges=merge_count(model, tokenizer),
        source=model.source,
    )


@lru_cache(_REMEMBERED)
def projector_spec(name: str, quantization: str = "F16") -> ModelSpec | None:
    """The vision transformer and projector (``mmproj-*.gguf``) of a model of the catalog; None when it has none.

    Raises:
        UnknownNameError: no such model or file type.
        InputError: no rule gives its tensors.
    """
    found = canonical(name)
    if found not in raw_rows():
        return None
    model = projector_from_config(row(found).config, f"{found}-mmproj", row(found).source)
    if model is None:
        return None
    spec = spec_of(model, quantization, tokenizer="none")
    if "gemma3" not in model.parts:
        return spec
    # the converter keeps this one precise (conversion/gemma.py, Gemma3VisionModel.tensor_force_quant)
    precise = WEIGHT_TYPES["f32"]
    return replace(spec, tensors=tuple(replace(t, type=precise) if t.name == PATCHES else t for t in spec.tensors))


def _facts(model: Shape, imatrix: bool | None) -> MixFacts:
    return MixFacts(
        architecture=model.architecture,
        n_layers=model.n_layers,
        n_heads=at_layer(model.n_heads, 0),
        n_kv_heads=at_layer(model.n_kv_heads, 0),
        n_experts=model.experts.total if model.experts else 0,
        imatrix=imatrix,
    )
