"""Predicts how several local language models run on one machine, and checks the prediction on real servers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmpredict.advising import Advice, export
    from mmpredict.answers import Forecast, Validation
    from mmpredict.api import execute, forecast, predict, recommend, sweep, validate
    from mmpredict.compat import MultiModelPredictor, PerformancePredictor
    from mmpredict.errors import MmpredictError
    from mmpredict.results.saved import read_outcome
    from mmpredict.scenario import Scenario, read_scenario
    from mmpredict.sizing.estimate import estimate

__version__ = "0.1.0"

_HOMES = {
    "Advice": "mmpredict.advising",
    "Forecast": "mmpredict.answers",
    "MmpredictError": "mmpredict.errors",
    "MultiModelPredictor": "mmpredict.compat",
    "PerformancePredictor": "mmpredict.compat",
    "Scenario": "mmpredict.scenario",
    "Validation": "mmpredict.answers",
    "estimate": "mmpredict.sizing.estimate",
    "execute": "mmpredict.api",
    "export": "mmpredict.advising",
    "forecast": "mmpredict.api",
    "predict": "mmpredict.api",
    "read_outcome": "mmpredict.results.saved",
    "read_scenario": "mmpredict.scenario",
    "recommend": "mmpredict.api",
    "sweep": "mmpredict.api",
    "validate": "mmpredict.api",
}
__all__ = [
    "Advice",
    "Forecast",
    "MmpredictError",
    "MultiModelPredictor",
    "PerformancePredictor",
    "Scenario",
    "Validation",
    "estimate",
    "execute",
    "export",
    "forecast",
    "predict",
    "read_outcome",
    "read_scenario",
    "recommend",
    "sweep",
    "validate",
]


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used, so that ``import mmpredict`` stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mmpredict' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
