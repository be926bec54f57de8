"""What notebooks show of results: ``plot()``, ``to_frame()`` and the tables that stand where a cell ends with a result."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from mmpredict.errors import UnknownNameError
from mmpredict.report.html import outcome_fragment
from mmpredict.report.picture import Picture
from mmpredict.report.scatter import scatter_picture, time_pairs
from mmpredict.report.strategies import strategy_picture
from mmpredict.report.timeline import outcome_picture, timeline_picture
from mmpredict.results.outcome import Outcome
from mmpredict.results.prediction import Prediction

if TYPE_CHECKING:
    import pandas

PICTURES = ("strategies", "timeline", "scatter")


class Answer:
    """What an answer to a whole question can be looked at as; who has an ``outcome`` has the rest."""

    __slots__ = ()

    @abstractmethod
    def outcome(self) -> Outcome:
        """Its predictions, measurements and recommendation."""

    def plot(self, what: str = "strategies") -> Picture:
        """A picture, which a notebook shows; ``.save("x.svg")`` writes it.

        Args:
            what: ``strategies`` side by side, ``timeline`` of every run, or ``scatter`` of predicted and measured times.

        Raises:
            UnknownNameError: no such picture.
            InputError: nothing was measured that a scatter could show.
        """
        return outcome_plot(self.outcome(), what)

    def to_frame(self) -> pandas.DataFrame:
        """A row per strategy and metric, each in the metric's unit."""
        return self.outcome().to_frame()

    def _repr_html_(self) -> str:
        return outcome_fragment(self.outcome())


def outcome_plot(outcome: Outcome, what: str) -> Picture:
    """One of ``PICTURES`` (errors as ``Answer.plot``)."""
    if what not in PICTURES:
        raise UnknownNameError("picture", what, PICTURES)
    if what == "timeline":
        return outcome_picture(outcome)
    if what == "scatter":
        return scatter_picture(time_pairs(outcome.comparisons))
    measured = {one.strategy: one.measured for one in outcome.comparisons}
    return strategy_picture(outcome.predictions, measured, outcome.choice.strategy if outcome.choice else "")


def prediction_html(prediction: Prediction) -> str:
    """The table of one prediction."""
    return outcome_fragment(Outcome(predictions=(prediction,)))


def prediction_picture(prediction: Prediction) -> Picture:
    """The timeline of one prediction."""
    return timeline_picture([(prediction.strategy, prediction.records)])
