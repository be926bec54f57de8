"""One model after another: its file is written, measured, and removed; each row is on disk as soon as it exists."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from mmpredict.models.gguf.model import spec_from_gguf
from mmpredict.models.gguf.weights_file import write_model
from mmpredict.models.spec import ModelSpec
from mmpredict.saving import make_directory

Progress = Callable[[str, float], None]


class Row(Protocol):
    """What was measured."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""


AnyRow = TypeVar("AnyRow", bound=Row)


def measure_each(
    models: Sequence[ModelSpec],
    measured: Callable[[int, ModelSpec, Path], Iterable[AnyRow]],
    directory: Path,
    raw_path: Path,
    progress: Progress,
) -> list[AnyRow]:
    """Rows of all models.

    Args:
        models: what to write.
        measured: gives the rows of a model, from its number, what its file says it is, and the file.
        directory: where model files are written, one at a time; they are removed again.
        raw_path: file of the rows, one JSON object per line; replaced if it exists.
        progress: called with (what is happening, fraction done).

    Raises:
        StorageError: a file could not be written.
    """
    rows: list[AnyRow] = []
    make_directory(raw_path.parent)
    with raw_path.open("w", encoding="utf-8") as raw:
        for number, model in enumerate(models):
            path = directory / f"check-{os.getpid()}.gguf"
            try:
                progress(f"writing {model.name}", number / len(models))
                write_model(model, path)
                progress(f"running {model.name}", (number + 0.4) / len(models))
                for row in measured(number, replace(spec_from_gguf(path), name=model.name), path):
                    raw.write(json.dumps(row.to_dict(), sort_keys=True) + "\n")
                    raw.flush()
                    rows.append(row)
            finally:
                path.unlink(missing_ok=True)
    progress("done", 1.0)
    return rows
