"""Interfaces that earlier guides described, kept by name; see docs/guide_interface.md for what differs."""

from mmpredict.compat.multi_model_predictor import MultiModelPredictor
from mmpredict.compat.performance_predictor import PerformancePredictor

__all__ = ["MultiModelPredictor", "PerformancePredictor"]
