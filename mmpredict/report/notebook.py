"""What notebooks show of results: pictures, and the tables that stand where a cell ends with a result.

``results.display`` calls these functions by name.
"""

from __future__ import annotations

from mmpredict.errors import UnknownNameError
from mmpredict.report.curves import sweep_picture
from mmpredict.report.html import outcome_fragment
from mmpredict.report.picture import Picture
from mmpredict.report.recommendation_page import ranking_fragment, ranking_picture
from mmpredict.report.scatter import scatter_picture, time_pairs
from mmpredict.report.strategies import outcome_strategies
from mmpredict.report.timeline import outcome_timeline, timeline_picture
from mmpredict.results.outcome import Outcome
from mmpredict.results.prediction import Prediction
from mmpredict.results.ranked_plan import Ranking
from mmpredict.results.sweep import Sweep

PICTURES = ("strategies", "timeline", "scatter")


def outcome_picture(outcome: Outcome, what: str) -> Picture:
    """One of ``PICTURES``.

    Raises:
        UnknownNameError: no such picture.
        InputError: nothing was predicted, or measured, that it could show.
    """
    if what not in PICTURES:
        raise UnknownNameError("picture", what, PICTURES)
    if what == "timeline":
        return outcome_timeline(outcome)
    if what == "scatter":
        return scatter_picture(time_pairs(outcome.comparisons))
    return outcome_strategies(outcome)


def outcome_html(outcome: Outcome) -> str:
    """The answer, and the table of the strategies."""
    return outcome_fragment(outcome)


def prediction_picture(prediction: Prediction) -> Picture:
    """The timeline of one prediction."""
    return timeline_picture([(prediction.strategy, prediction.records)], "Predicted run")


def prediction_html(prediction: Prediction) -> str:
    """The table of one prediction."""
    return outcome_fragment(Outcome(predictions=(prediction,)))


def ranking_plot(ranking: Ranking) -> Picture:
    """Plans by what was asked for and by memory."""
    return ranking_picture(ranking)


def ranking_html(ranking: Ranking) -> str:
    """The recommendation, and the table of the first plans."""
    return ranking_fragment(ranking)


def sweep_plot(sweep: Sweep) -> Picture:
    """Curves with their knees."""
    return sweep_picture(sweep.points, sweep.knees)
