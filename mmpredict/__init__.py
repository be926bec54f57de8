"""Predicts how several local language models run on one machine, and checks the prediction on real servers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmpredict.api import Forecast, Validation, execute, forecast, predict, validate
    from mmpredict.compat import MultiModelPredictor, PerformancePredictor
    from mmpredict.errors import MmpredictError
    from mmpredict.results.saved import read_outcome
    from mmpredict.scenario import Scenario, read_scenario
    from mmpredict.sizing.estimate import estimate

__version__ = "0.1.0"

_HOMES = {
    "Forecast": "mmpredict.api",
    "MmpredictError": "mmpredict.errors",
    "MultiModelPredictor": "mmpredict.compat",
    "PerformancePredictor": "mmpredict.compat",
    "Scenario": "mmpredict.scenario",
    "Validation": "mmpredict.api",
    "estimate": "mmpredict.sizing.estimate",
    "execute": "mmpredict.api",
    "forecast": "mmpredict.api",
    "predict": "mmpredict.api",
    "read_outcome": "mmpredict.results.saved",
    "read_scenario": "mmpredict.scenario",
    "validate": "mmpredict.api",
}
__all__ = [
    "Forecast",
    "MmpredictError",
    "MultiModelPredictor",
    "PerformancePredictor",
    "Scenario",
    "Validation",
    "estimate",
    "execute",
    "forecast",
    "predict",
    "read_outcome",
    "read_scenario",
    "validate",
]


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used, so that ``import mmpredict`` stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mmpredict' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
