"""A recommendation in words."""

from __future__ import annotations

import math

from mmpredict.results.outcome import Choice
from mmpredict.units import format_percent


def choice_sentence(choice: Choice) -> str:
    """What is recommended, and how surely it is better than the second best."""
    if not choice.runner_up or math.isnan(choice.margin_frac + choice.probability):
        return f"recommended: {choice.strategy}"
    return (
        f"recommended: {choice.strategy}; {choice.runner_up} takes {format_percent(choice.margin_frac, signed=True)}, and is "
        f"slower in {format_percent(choice.probability)} of the draws"
    )
