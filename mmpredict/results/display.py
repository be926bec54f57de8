"""Results show themselves in notebooks with the pictures of ``report``, which knows results and not the other way round.

This is the only place that looks back: the room is imported by name, when somebody looks at a result, as pandas imports its
plotting backend. ``tests/test_imports.py`` sees to it that no other file does.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Protocol


class Shown(Protocol):
    """A picture (``report.picture.Picture``) as those see it who must not know the room."""

    def save(self, path: str | Path) -> Path:
        """Write it to a file: png, svg or pdf."""

    def _repr_png_(self) -> bytes: ...


def show(what: str, result: Any) -> Any:
    """Call a function of ``report.notebook`` on a result."""
    return getattr(import_module("mmpredict.report.notebook"), what)(result)
