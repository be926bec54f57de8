"""Results show themselves in notebooks with the pictures of ``report``, which knows results and not the other way round.

This is the only place that looks back: the room is imported by name, when somebody looks at a result, as pandas imports its
plotting backend. ``tests/test_imports.py`` sees to it that no other file does.
"""

from __future__ import annotations

from abc import abstractmethod
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pandas

    from mmpredict.results.outcome import Outcome


class Shown(Protocol):
    """A picture (``report.picture.Picture``) as those see it who must not know the room."""

    def save(self, path: str | Path) -> Path:
        """Write it to a file: png, svg or pdf."""

    def _repr_png_(self) -> bytes: ...


def show(what: str, result: object, *how: str) -> Any:
    """Call a function of ``report.notebook`` on a result."""
    return getattr(import_module("mmpredict.report.notebook"), what)(result, *how)


class Answer:
    """What an answer to a whole question can be looked at as; who has an ``outcome`` has the rest."""

    __slots__ = ()

    @abstractmethod
    def outcome(self) -> Outcome:
        """Its predictions, measurements and recommendation."""

    def plot(self, what: str = "strategies") -> Shown:
        """A picture of the outcome (``Outcome.plot``)."""
        return self.outcome().plot(what)

    def to_frame(self) -> pandas.DataFrame:
        """A row per strategy and metric, each in the metric's unit (``Outcome.to_frame``)."""
        return self.outcome().to_frame()

    def _repr_html_(self) -> str:
        return self.outcome()._repr_html_()
