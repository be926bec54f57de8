"""What a notebook shows when a cell ends with a result."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import pytest
from outcomes import outcome, prediction, run

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.report.picture import Picture
from mmpredict.report.timeline import timeline_picture
from mmpredict.results.display import Answer
from mmpredict.results.metrics import METRICS
from mmpredict.results.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Question(Answer):
    found: Outcome

    def outcome(self) -> Outcome:
        return self.found


def test_a_prediction_shows_itself() -> None:
    one = prediction("quick")
    assert one.plot()._repr_png_() == timeline_picture([("quick", run())], "Predicted run").render("png")
    html = one._repr_html_()
    assert "quick" in html and "5.00 s" in html and "4.50 – 5.50 s" in html and "<html" not in html
    assert json.loads(one.to_json())["strategy"] == "quick"


def test_a_predictions_tables() -> None:
    one = prediction("quick")
    frame = one.to_frame()
    assert list(frame.index) == list(METRICS)
    assert tuple(frame.loc["makespan_s"]) == (5.0, 4.5, 5.5)
    assert list(one.to_frame("requests")["request"]) == ["first", "second"]
    with pytest.raises(UnknownNameError, match="requests"):
        one.to_frame("request")


def test_an_answer_shows_itself() -> None:
    answer = Question(outcome(1.25))
    assert "recommended: quick" in answer._repr_html_() and "-20.0 %" in answer._repr_html_()
    assert all(isinstance(answer.plot(what), Picture) for what in ("strategies", "timeline", "scatter"))
    assert len({answer.plot(what).title for what in ("strategies", "timeline", "scatter")}) == 3
    frame = answer.to_frame()
    assert frame.loc[("slow", "makespan_s"), "error_frac"] == pytest.approx(-0.2)
    assert math.isnan(Question(outcome()).to_frame().loc[("slow", "makespan_s"), "measured"])
    with pytest.raises(InputError, match="nothing to compare"):
        Question(outcome()).plot("scatter")
    with pytest.raises(UnknownNameError, match="timeline"):
        answer.plot("timelines")
