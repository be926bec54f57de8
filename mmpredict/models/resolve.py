"""From the name that a person writes to a model: a file, a random-weight stand-in, a known model, or a ``config.json``."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.units import format_bytes

if TYPE_CHECKING:
    from mmpredict.models.spec import ModelSpec

REMEMBERED = 256  # models
SYNTHETIC, GGUF_SUFFIX, CONFIG = "synthetic:", ".gguf", "config.json"
DEFAULT_QUANTIZATION = "Q4_K_M"  # what most models of Ollama's library have
FORMS = (
    f"a path that ends in {GGUF_SUFFIX}, an Ollama tag (qwen2.5:7b), a known model with or without a quantization "
    f"(llama3.1-8b@{DEFAULT_QUANTIZATION}), a path to a {CONFIG}@{DEFAULT_QUANTIZATION}, or {SYNTHETIC}MODEL@q8_0 "
    "(mmpredict models list)"
)


def resolve(name: str, base: Path | None = None) -> ModelSpec:
    """Describe the model called ``name``; nothing is written, and nothing is looked up on a network.

    Args:
        name: the path of a ``.gguf`` file; ``synthetic:MODEL@QUANTIZATION``; an Ollama tag, or a model of the catalog, both with
            or without ``@QUANTIZATION``; the path of a ``config.json``, or of its directory (``./mine``), with ``@QUANTIZATION``.
        base: directory from which a relative path is meant.

    Raises:
        UnknownNameError: no such model or quantization.
        InputError: the name has none of these forms, or a file cannot be read.
        FileFormatError: a file is not what it should be.
    """
    if name.startswith(SYNTHETIC):
        return _synthetic(name)
    if name.lower().endswith(GGUF_SUFFIX):
        from mmpredict.models.gguf.model import spec_from_gguf

        return replace(spec_from_gguf(_located(name, base)), name=name)
    asked, _, quantization = name.rpartition("@") if "@" in name else (name, "", "")
    if Path(asked).name == CONFIG or (_is_path(asked) and _has_config(_located(asked, base))):
        return _from_config(name, _located(asked, base), quantization)
    return _called(_known(name, asked, quantization), name)


def materialize(spec: ModelSpec, progress: Callable[[int, int], None] | None = None) -> Path:
    """The file of ``spec``, written first if it is a synthetic model that is not there yet.

    Args:
        spec: from ``resolve``.
        progress: called with (bytes written, bytes in all).

    Raises:
        InputError: there is no file.
        DoesNotFitError, StorageError: a synthetic model could not be written.
    """
    if spec.name.startswith(SYNTHETIC):
        from mmpredict.models.synthetic import synthesize

        return synthesize(spec.name, directory=spec.path.parent if spec.path else None, progress=progress)
    if spec.path is None:
        raise InputError(
            f"model {spec.name!r} has no file here: it is known by its description only; run the path of its GGUF file, or a "
            f"stand-in of random weights ({SYNTHETIC}MODEL@QUANTIZATION)"
        )
    if not spec.path.is_file():
        raise InputError(f"model {spec.name!r} has no file at {spec.path}")
    return spec.path


def _synthetic(name: str) -> ModelSpec:
    from mmpredict.models.synthetic import cached_path

    return _stand_in(name, cached_path(name))


@lru_cache(REMEMBERED)
def _stand_in(name: str, path: Path) -> ModelSpec:
    """The same object each time: what is remembered of a model is then found without comparing all of its tensors."""
    from mmpredict.models.synthetic import synthetic_spec

    return replace(synthetic_spec(name), name=name, path=path)


@lru_cache(REMEMBERED)
def _called(spec: ModelSpec, name: str) -> ModelSpec:
    """A model by the name that was asked for; the same object each time, likewise."""
    return replace(spec, name=name)


def _from_config(name: str, path: Path, quantization: str) -> ModelSpec:
    from mmpredict.models.catalog import spec_of
    from mmpredict.models.config import projector_from_config, shape_from_config

    if not quantization:
        raise InputError(f"{name!r} does not say how the weights are stored; write for example {name}@{DEFAULT_QUANTIZATION}")
    file = path if path.name == CONFIG else path / CONFIG
    spec = spec_of(shape_from_config(file), quantization)
    eyes = projector_from_config(file)
    return _with_eyes(replace(spec, name=name), spec_of(eyes, "F16") if eyes else None)


def _known(name: str, asked: str, quantization: str) -> ModelSpec:
    """A model of the catalog or of Ollama's library; a colon says that the library is meant."""
    from mmpredict.models.catalog import canonical, catalog_spec, projector_spec, row, shape
    from mmpredict.models.ollama import resolve_tag, tags_of

    tag = None
    try:
        known = canonical(asked) if ":" not in asked else ""
    except UnknownNameError:
        known = ""
    if not known:
        try:
            tag = resolve_tag(asked)
        except InputError as error:
            raise _unknown(name, asked, error) from None
        known = tag.name
    if not quantization and tag is None and (tags := tags_of(known)):
        tag = resolve_tag(tags[0])
    if not quantization and tag is not None:
        spec = tag.specs()[0]
    else:
        spec = catalog_spec(known, quantization or row(known).quantized or _usual_quantization(shape(known).kind))
    return _with_eyes(spec, projector_spec(known))


def _usual_quantization(kind: str) -> str:
    """What people run of a model that Ollama does not have."""
    return DEFAULT_QUANTIZATION if kind in ("text-generation", "multimodal") else "F16"


def _with_eyes(spec: ModelSpec, eyes: ModelSpec | None) -> ModelSpec:
    if eyes is None:
        return spec
    said = f"its encoder of images ({format_bytes(eyes.weight_bytes)} in 16 bits) is not counted"
    return replace(spec, doubts=(*spec.doubts, said))


def _located(name: str, base: Path | None) -> Path:
    try:
        path = Path(name).expanduser()
    except RuntimeError:  # ~somebody who has no home
        path = Path(name)
    return base / path if base else path


def _is_path(name: str) -> bool:
    """Whether a name without the ending of a file may be a directory: a bare word is a model."""
    return name in (".", "..") or "/" in name or "\\" in name


def _has_config(directory: Path) -> bool:
    try:
        return (directory / CONFIG).is_file()
    except OSError:  # a name that no file can have
        return False


def _unknown(name: str, asked: str, error: InputError) -> InputError:
    """The complaint about a name that is neither in the catalog nor a tag; of a known family, Ollama's tags are the advice."""
    from mmpredict.models.catalog import CATALOG
    from mmpredict.models.ollama import tags_of

    tags = {tag for model in CATALOG for tag in tags_of(model)}
    if asked.lower().partition(":")[0] in {tag.partition(":")[0] for tag in tags}:
        return error
    near = difflib.get_close_matches(asked.lower(), sorted({*CATALOG, *tags}), n=3, cutoff=0.5)
    advice = f"did you mean {' or '.join(near)}? " if near else ""
    return InputError(f"unknown model {name!r:.200}; {advice}allowed: {FORMS}")
