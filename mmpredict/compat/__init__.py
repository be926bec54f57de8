"""Interfaces that earlier guides described, kept by name; see docs/design.md for what differs."""

from mmpredict.compat.performance_predictor import PerformancePredictor

__all__ = ["PerformancePredictor"]
