"""What becomes of each real run as soon as it is done: a line in a file, and its figures and records in the history."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmpredict.errors import MmpredictError, StorageError
from mmpredict.results.history import Check, Figure
from mmpredict.results.metrics import METRICS, summarize
from mmpredict.results.prediction import Prediction
from mmpredict.saving import make_directory
from mmpredict.validation.executed import Executed
from mmpredict.validation.history import History


@dataclass(slots=True)
class Recorder:
    """Keeps runs; nothing is written before the first one.

    A history that cannot be written does not end a validation, which took minutes: it is complained of once.

    Attributes:
        check: what the runs belong to.
        raw_path: file of the runs, one JSON object per line after a line about the check; replaced if it exists.
        history: database.
        complain: told, in a sentence, that the history could not be written.
    """

    check: Check
    raw_path: Path
    history: History
    complain: Callable[[str], None]
    runs: int = 0
    _number: int | None = field(default=None, init=False)
    _given_up: bool = field(default=False, init=False)

    def keep(self, run: Executed, prediction: Prediction) -> None:
        """Keep a run and what was predicted of it.

        Raises:
            StorageError: the file cannot be written.
        """
        predicted = {name: interval.to_dict() for name, interval in prediction.metrics.items()}
        self._write({"predicted": predicted, **run.to_dict()})
        self.remember(run_figures(run, prediction), run)

    def remember(self, figures: list[Figure], run: Executed | None = None) -> None:
        """Keep figures, and the run that they come from, in the history alone."""
        if self._given_up or not figures:
            return
        try:
            if self._number is None:
                self._number = self.history.begin(self.check)
            self.history.add(self._number, figures, run)
        except MmpredictError as error:
            self._given_up = True
            self.complain(f"not kept in the history: {error}")

    def _write(self, data: dict[str, Any]) -> None:
        make_directory(self.raw_path.parent)
        try:
            with self.raw_path.open("a" if self.runs else "w", encoding="utf-8") as file:
                if not self.runs:
                    file.write(json.dumps({"check": asdict(self.check)}, sort_keys=True) + "\n")
                file.write(json.dumps(data, sort_keys=True, allow_nan=False) + "\n")
        except OSError as error:
            raise StorageError(f"cannot write runs to {self.raw_path}: {error.strerror}") from error
        self.runs += 1


def run_figures(run: Executed, prediction: Prediction) -> list[Figure]:
    """Every metric of a run that was measured."""
    measured = summarize(run.records)
    figures = [_figure(run, prediction, name, float(getattr(measured, name))) for name in METRICS]
    return [one for one in figures if not math.isnan(one.measured)]


def _figure(run: Executed, prediction: Prediction, metric: str, measured: float) -> Figure:
    expected = prediction.metrics[metric]
    return Figure(run.plan.strategy, run.turn, metric, expected.value, expected.low, expected.high, measured)
