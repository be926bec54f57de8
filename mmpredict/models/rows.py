"""Rows of the catalog: what is published about each model, as ``published/*.json`` have it, one file per publisher."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmpredict.errors import UnknownNameError
from mmpredict.models.config import shape_from_config
from mmpredict.models.quantization.mixture import Rules
from mmpredict.models.shape import Kind, Shape

HINT = "(mmpredict models list)"
_FILES = Path(__file__).parent / "published"
_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class Row:
    """What is published about one model.

    Attributes:
        name: short name.
        source: Hugging Face repository.
        config: the keys of its ``config.json`` that matter.
        tokenizer: which vocabulary its file carries (``vocabulary.TOKENIZERS``).
        quantized: file type in which its weights are published, where that is no float type.
        draft: whether its file keeps layers that draft tokens ahead; None as the converter does.
        architecture: GGUF architecture, where ``model_type`` does not tell.
        rules: whose quantization rules made the files that were published first.
        kind: what the model is for, where its family does not tell.
    """

    name: str
    source: str
    config: Mapping[str, Any]
    tokenizer: str
    quantized: str = ""
    draft: bool | None = None
    architecture: str = ""
    rules: Rules = "llama.cpp-2025"
    kind: Kind | None = None

    @property
    def shape(self) -> Shape:
        """Its hyperparameters."""
        read = shape_from_config(self.config, self.name, self.source, self.draft)
        return replace(read, architecture=self.architecture or read.architecture, kind=self.kind or read.kind)


@lru_cache(1)
def raw_rows() -> dict[str, dict[str, Any]]:
    """Every row of every file, as written."""
    rows: dict[str, dict[str, Any]] = {}
    for path in sorted(_FILES.glob("*.json")):
        rows.update(json.loads(path.read_bytes()))
    return rows


@lru_cache(_REMEMBERED)
def row(name: str) -> Row:
    """The row of a catalog name, as ``CATALOG`` spells it.

    Raises:
        UnknownNameError: no such model.
    """
    rows = raw_rows()
    if name not in rows:
        raise UnknownNameError("model", name, rows, HINT)
    values = rows[name]
    if "like" not in values:
        return Row(name, **values)
    model = row(values["like"])
    changed = {key: value for key, value in values.items() if key not in ("like", "config")}
    return replace(model, name=name, config={**model.config, **values.get("config", {})}, **changed)
