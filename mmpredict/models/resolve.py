"""From the name that a person writes to a model: a synthetic one, or a GGUF file."""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path

from mmpredict.errors import InputError
from mmpredict.models.catalog import CATALOG
from mmpredict.models.gguf import spec_from_gguf
from mmpredict.models.spec import ModelSpec
from mmpredict.models.synthetic import PREFIX, SYNTHESISABLE, Progress, cached_path, synthesize, synthetic_spec

GGUF_SUFFIX = ".gguf"
DEFAULT_TYPE = "q8_0"


def resolve(name: str, base: Path | None = None) -> ModelSpec:
    """Describe the model called ``name``; nothing is written.

    Args:
        name: ``synthetic:ARCHITECTURE@TYPE`` or the path of a ``.gguf`` file.
        base: directory from which a relative path is meant.

    Raises:
        UnknownNameError: no such architecture or type.
        InputError: the name has neither form, no type is given, or the file cannot be read.
        FileFormatError: the file is not a usable GGUF file.
    """
    if name.startswith(PREFIX):
        return replace(synthetic_spec(name), name=name, path=cached_path(name))
    if name.lower().endswith(GGUF_SUFFIX):
        return replace(spec_from_gguf(_located(name, base)), name=name)
    raise _unknown(name)


def materialize(spec: ModelSpec, progress: Progress | None = None) -> Path:
    """The file of ``spec``, written first if it is a synthetic model that is not there yet.

    Args:
        spec: from ``resolve``.
        progress: called with (bytes written, bytes in all).

    Raises:
        InputError: there is no file.
        DoesNotFitError, StorageError: a synthetic model could not be written.
    """
    if spec.name.startswith(PREFIX):
        return synthesize(spec.name, directory=spec.path.parent if spec.path else None, progress=progress)
    if spec.path is None or not spec.path.is_file():
        raise InputError(f"model {spec.name!r} has no file{f' at {spec.path}' if spec.path else ''}")
    return spec.path


def _located(name: str, base: Path | None) -> Path:
    try:
        path = Path(name).expanduser()
    except RuntimeError:  # ~somebody who has no home
        path = Path(name)
    return base / path if base else path


def _unknown(name: str) -> InputError:
    asked, _, wanted = name.lower().partition("@")
    asked = asked.replace(":", "-")  # Ollama writes a colon where the catalog has a hyphen
    written = wanted if wanted in SYNTHESISABLE else DEFAULT_TYPE
    near = [asked] if asked in CATALOG else difflib.get_close_matches(asked, CATALOG, n=3, cutoff=0.5)
    advice = f"did you mean {' or '.join(f'{PREFIX}{match}@{written}' for match in near)}? " if near else ""
    forms = f"a path that ends in {GGUF_SUFFIX}, or {PREFIX}ARCHITECTURE@TYPE (mmpredict models list)"
    return InputError(f"unknown model {name!r}; {advice}allowed: {forms}")
