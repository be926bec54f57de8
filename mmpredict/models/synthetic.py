"""Random-weight models by name: the exact tensors and types of an architecture, at true speed, without a download.

The speed of a model does not depend on the values of its weights, so a file of random blocks stands in for a real one
in every measurement. Bytes are a function of the name and the seed alone.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.models.catalog import canonical, catalog_spec, uniform_spec
from mmpredict.models.gguf.blocks import SYNTHESISABLE
from mmpredict.models.gguf.plain_vocabulary import MERGES
from mmpredict.models.gguf.weights_file import Progress, header_length, write_model
from mmpredict.models.gguf.write import padding
from mmpredict.models.quantization.file_types import FILE_TYPES, FileType, file_type
from mmpredict.models.quantization.tensor_roles import may_be_quantized
from mmpredict.models.quantization.weight_types import WEIGHT_TYPES, WeightType
from mmpredict.models.spec import ModelSpec, Tensor

__all__ = ["PREFIX", "SYNTHESISABLE", "Progress", "cache_directory", "cached_path", "parse_name", "synthesize", "synthetic_spec"]

PREFIX = "synthetic:"
FORMAT_VERSION = 2  # part of the cached file's name: bump it when the bytes change


def parse_name(name: str) -> tuple[str, WeightType | FileType]:
    """Split ``synthetic:qwen2.5-0.5b@q8_0`` into architecture and quantization.

    A weight type (``q4_k``) is that of every matrix; any other file type of llama.cpp (``q4_k_m``) is its mix.

    Raises:
        InputError: the quantization is missing or cannot be synthesised.
        UnknownNameError: unknown architecture or quantization.
    """
    architecture, at, quantization = name.removeprefix(PREFIX).partition("@")
    if not at:
        raise InputError(f"model {name!r} names no quantization; write for example {PREFIX}{architecture}@q8_0")
    architecture = canonical(architecture)
    kind = _quantization(quantization)
    if isinstance(kind, WeightType) and kind.name not in SYNTHESISABLE:
        raise InputError(f"{kind.name} cannot be synthesised; allowed: {', '.join(SYNTHESISABLE)}")
    return architecture, kind


@lru_cache(256)
def synthetic_spec(name: str) -> ModelSpec:
    """Describe a synthetic model without writing it.

    Raises:
        InputError, UnknownNameError: as ``parse_name``.
    """
    architecture, kind = parse_name(name)
    spec = _uniform(architecture, kind) if isinstance(kind, WeightType) else catalog_spec(architecture, kind.name)
    unknown = sorted({tensor.type.name for tensor in spec.tensors} - set(SYNTHESISABLE))
    if unknown:
        raise InputError(f"{kind.name} puts tensors in {', '.join(unknown)}, which cannot be synthesised; try q4_k_m")
    padding_bytes = sum(padding(tensor.size_bytes) for tensor in spec.tensors)
    return replace(
        spec,
        name=f"{architecture}@{kind.name.lower()}",
        metadata_bytes=header_length(spec) + padding_bytes,
        n_merges=len(MERGES),
    )


def cache_directory() -> Path:
    """Where synthetic models are kept (``MMPREDICT_CACHE`` overrides the user's cache directory)."""
    override = os.environ.get("MMPREDICT_CACHE")
    if override:
        return Path(override)
    import platformdirs

    return Path(platformdirs.user_cache_dir("mmpredict"))


def cached_path(name: str, seed: int = 0, directory: Path | None = None) -> Path:
    """Where the file of ``name`` is, or would be.

    Raises:
        InputError, UnknownNameError: as ``parse_name``.
    """
    return _cached_path(synthetic_spec(name), seed, directory)


def synthesize(name: str, seed: int = 0, directory: Path | None = None, progress: Progress | None = None) -> Path:
    """Write the GGUF file of ``name`` unless it is there already, and return its path; see ``write_model``.

    Args:
        name: ``synthetic:ARCHITECTURE@QUANTIZATION``.
        seed: chooses the random bytes.
        directory: overrides the cache directory.
        progress: called with (bytes written, bytes in all).

    Raises:
        InputError, UnknownNameError: the name or the seed cannot be used.
        DoesNotFitError: the file system has too little room.
        StorageError: writing failed.
    """
    spec = synthetic_spec(name)
    path = _cached_path(spec, seed, directory)
    return path if path.exists() else write_model(spec, path, seed, progress)


def _cached_path(spec: ModelSpec, seed: int, directory: Path | None) -> Path:
    content = (replace(spec.shape, source=""), [(tensor.name, tensor.shape, tensor.type.name) for tensor in spec.tensors])
    digest = hashlib.sha256(repr(content).encode()).hexdigest()[:8]  # a changed shape or mix is another file
    folder = directory or cache_directory() / "models"
    return folder / f"{spec.name}.s{seed}.{digest}.v{FORMAT_VERSION}.gguf"


def _uniform(architecture: str, matrices: WeightType) -> ModelSpec:
    """Every matrix in one type, but for those that llama.cpp reads in 32 bits only, as no quantizer touches them either."""
    spec, plain = uniform_spec(architecture, matrices), WEIGHT_TYPES["f32"]
    tensors = tuple(
        tensor if may_be_quantized(tensor.name, spec.shape.architecture) else Tensor(tensor.name, tensor.shape, plain)
        for tensor in spec.tensors
    )
    return replace(spec, tensors=tensors)


def _quantization(name: str) -> WeightType | FileType:
    weight = WEIGHT_TYPES.get(name.lower())
    if weight is not None:
        return weight
    try:
        return file_type(name)
    except UnknownNameError:
        raise UnknownNameError("quantization", name, {*SYNTHESISABLE, *(kind.lower() for kind in FILE_TYPES)}) from None
