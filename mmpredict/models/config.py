"""From a ``config.json`` of Hugging Face to the hyperparameters of the GGUF file that llama.cpp's converter makes of it.

Sources: https://huggingface.co/docs/transformers (configuration classes), llama.cpp ``conversion/*.py``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mmpredict.errors import FileFormatError, InputError, UnknownNameError
from mmpredict.models.families import FAMILIES
from mmpredict.models.families.decoders import INNER
from mmpredict.models.families.fields import Fields
from mmpredict.models.families.vision import PROJECTORS
from mmpredict.models.shape import Shape

__all__ = ["projector_from_config", "shape_from_config"]

MAX_FILE_BYTES = 4 << 20  # the largest published ones are below 100 KiB
_WHOLE = ("clip", "vit")  # families whose text_config is a part, not the model
Config = Mapping[str, object] | Path | str


def shape_from_config(config: Config, name: str = "", source: str = "", draft: bool | None = None) -> Shape:
    """Hyperparameters of what a ``config.json`` describes; of a multimodal model, those of its language model.

    Args:
        config: the parsed file, or the path of it or of its folder.
        name: short name of the model; that of its folder or of ``_name_or_path`` when empty.
        source: where the values come from; the path when empty.
        draft: whether the GGUF file keeps layers that only draft tokens ahead; None as the converter does unless told
            otherwise: it keeps those of GLM 4.5 and Qwen 3.5, and leaves out those of DeepSeek.

    Raises:
        InputError: a value is missing or cannot be.
        UnknownNameError: a family whose tensors are not known.
        FileFormatError: the file cannot be read, or is no JSON object.
    """
    root, path = _opened(config)
    kind = _kind(root)
    shape = FAMILIES[kind](root, draft)
    if shape.kind == "text-generation" and "vision_config" in root:
        shape = replace(shape, kind="multimodal")
    named = name or root.text("_name_or_path").rstrip("/").rpartition("/")[2] or (path.parent.name if path else "") or kind
    return replace(shape, name=named, source=source or (str(path) if path else root.text("_name_or_path")))


def projector_from_config(config: Config, name: str = "", source: str = "") -> Shape | None:
    """The vision transformer and projector (``mmproj-*.gguf``) of a multimodal ``config.json``; None when it has none.

    Args:
        config, name, source: as for ``shape_from_config``.

    Raises:
        InputError: a value is missing or cannot be, or no rule gives this projector.
        FileFormatError: the file cannot be read, or is no JSON object.
    """
    root, path = _opened(config)
    vision = root.section("vision_config")
    kind = root.text("model_type")
    if vision is None or kind in _WHOLE:
        return None
    if kind not in PROJECTORS:
        known = ", ".join(sorted(PROJECTORS))
        raise InputError(f"{root.where}: no rule gives the vision projector of model_type {kind!r}; known: {known}")
    shape = PROJECTORS[kind](root, vision)
    return replace(shape, name=name or f"{kind}-projector", source=source or (str(path) if path else ""))


def _opened(config: Config) -> tuple[Fields, Path | None]:
    if isinstance(config, Mapping):
        return Fields(config, "config.json"), None
    path = Path(config)
    try:
        path = path / "config.json" if path.is_dir() else path
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise FileFormatError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise FileFormatError(f"{path} is larger than {MAX_FILE_BYTES} bytes; that is no model's config.json")
    try:
        return Fields(json.loads(data), str(path)), path
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path} is not JSON: {error}") from error


def _kind(root: Fields) -> str:
    """The family: the language model's where there is one inside."""
    outer = root.text("model_type")
    inner = None if outer in _WHOLE else root.section(*INNER)
    kinds = [inner.text("model_type") if inner is not None else "", outer]
    for kind in kinds:
        if kind in FAMILIES:
            return kind
    wanted = next((kind for kind in kinds if kind), "")
    if not wanted:
        raise InputError(f"{root.where} has no model_type; known: {', '.join(sorted(FAMILIES))}")
    raise UnknownNameError("model_type", wanted, FAMILIES, "(its tensors are not known; the GGUF file itself says them)")
