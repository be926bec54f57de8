"""The multi-model predictor of the guide: what several models on one machine come to, by strategy, and which strategy is best.

Its names, arguments, result keys and units; what each key means here, and what differs from the guide: ``docs/guide_interface.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from mmpredict.compat.company import Asked, Company, Played
from mmpredict.compat.contention import read_contention
from mmpredict.compat.guide_results import contention_factors, execution_schedule, sharing_benefits, total_metrics
from mmpredict.compat.model_config import MS_PER_S, ModelConfig, read_configs, read_limits
from mmpredict.compat.performance_predictor import DRAWS, PerformancePredictor
from mmpredict.compat.platform import Platform
from mmpredict.compat.sharing_table import read_sharing
from mmpredict.compat.supplied import SuppliedPredictor
from mmpredict.errors import UnknownNameError

STRATEGIES = ("parallel", "sequential", "batched")
"""What the guide knows, and ``recommend_execution_strategy`` compares; those of ``strategy.table`` are understood too."""
GOALS = {"throughput": ("combined_throughput", True), "latency": ("combined_latency", False), "memory": ("combined_memory", False)}
"""Goal → the metric, and whether more of it is better."""


class MultiModelPredictor:
    """Predicts models that run together.

    Args:
        single_model_predictor: anything with ``predict(model_name=, model_type=, hardware_platform=, batch_size=)`` that returns
            ``latency`` [ms] and ``memory`` [MB] of a batch; a ``PerformancePredictor`` when not given.
        contention_model_path: JSON file with parameters of the laws of sharing, instead of those that were measured.
        cross_model_sharing_config: JSON file with what types of models share, as the guide has it.
        resource_pool_integration: whether models in a browser live in one page, whose GPU process is there once; says nothing
            elsewhere.
        verbose: whether standard error is told what is done.

    Raises:
        InputError: a predictor without ``predict``, or a file that cannot be used.

    Example:
        >>> MultiModelPredictor().predict_multi_model_performance([{"model_name": "t5-small"}], "cuda")["total_metrics"]
    """

    def __init__(
        self,
        single_model_predictor: Any = None,
        contention_model_path: str | None = None,
        cross_model_sharing_config: str | None = None,
        resource_pool_integration: bool = True,
        verbose: bool = False,
    ) -> None:
        given = PerformancePredictor() if single_model_predictor is None else single_model_predictor
        self._single = given if isinstance(given, PerformancePredictor) else None
        self._supplied = None if isinstance(given, PerformancePredictor) else SuppliedPredictor(given)
        self._contention = None if contention_model_path is None else read_contention(contention_model_path)
        self._table = None if cross_model_sharing_config is None else read_sharing(cross_model_sharing_config)
        self._one_page = resource_pool_integration
        self._verbose = verbose

    def predict_multi_model_performance(
        self,
        model_configs: Sequence[Mapping[str, Any]],
        hardware_platform: str,
        execution_strategy: str = "parallel",
        resource_constraints: Mapping[str, float] | None = None,
    ) -> dict[str, Any]:
        """Predict models that run together.

        Args:
            model_configs: models, each with ``model_name``, and if wanted ``model_type``, ``batch_size`` (1) and ``processor``
                (``cpu`` or ``gpu`` of the machine).
            hardware_platform: one of the guide's words (``cpu``, ``cuda``, ``rocm``, ``mps``, ``openvino``, ``webgpu``,
                ``webnn``), or a machine (``mmpredict hardware list``).
            execution_strategy: ``parallel``, ``sequential``, ``batched``, or another of this project's strategies.
            resource_constraints: ``max_memory`` [MB] of all models that are resident together, ``max_compute`` as a fraction.

        Returns:
            ``total_metrics``, ``individual_predictions``, ``contention_factors``, ``sharing_benefits``,
            ``execution_schedule``, ``execution_strategy``, ``model_count``, ``hardware_platform``; and ``hardware``,
            ``provenance``, ``warnings`` and ``assumed``, a sentence for everything that rests on what somebody stated.

        Raises:
            InputError: no models, one without a name, an unknown model, kind, platform, strategy or key.
            DoesNotFitError: a model does not fit, even alone.
        """
        configs, platform = self._read(model_configs, hardware_platform, resource_constraints)
        asked, alone = self._asked(configs, platform)
        return self._predict(asked, alone, platform, hardware_platform, execution_strategy)[0]

    def recommend_execution_strategy(
        self,
        model_configs: Sequence[Mapping[str, Any]],
        hardware_platform: str,
        optimization_goal: str = "latency",
        resource_constraints: Mapping[str, float] | None = None,
    ) -> dict[str, Any]:
        """Predict the guide's three strategies, and say which is best.

        Args:
            model_configs, hardware_platform, resource_constraints: see ``predict_multi_model_performance``.
            optimization_goal: ``throughput``, ``latency`` or ``memory``.

        Returns:
            ``recommended_strategy``, ``optimization_goal``, ``all_predictions`` (strategy → its total metrics),
            ``best_prediction``, ``model_count``, ``hardware_platform``; ``margin``, by what part the second is worse, and
            ``probability`` that the best takes no longer than the second, which is not given where memory decides.

        Raises:
            UnknownNameError: no such goal; and as ``predict_multi_model_performance``.
        """
        if optimization_goal not in GOALS:
            raise UnknownNameError("optimization goal", str(optimization_goal)[:80], GOALS)
        configs, platform = self._read(model_configs, hardware_platform, resource_constraints)
        asked, alone = self._asked(configs, platform)
        found = {name: self._predict(asked, alone, platform, hardware_platform, name) for name in STRATEGIES}
        metric, more = GOALS[optimization_goal]
        values = {name: prediction["total_metrics"][metric] for name, (prediction, _) in found.items()}
        # Rounded, so that strategies which are the same do not change places by their last digits.
        ranked = sorted(STRATEGIES, key=lambda name: float(f"{-values[name] if more else values[name]:.12g}"))
        best, second = ranked[0], ranked[1]
        better, worse = (values[second], values[best]) if more else (values[best], values[second])
        pairs = list(zip(found[best][1].prediction.makespans_s, found[second][1].prediction.makespans_s, strict=True))
        return {
            "recommended_strategy": best,
            "optimization_goal": optimization_goal,
            "all_predictions": {name: prediction["total_metrics"] for name, (prediction, _) in found.items()},
            "best_prediction": found[best][0],
            "margin": worse / better - 1.0,
            "probability": None if optimization_goal == "memory" else sum(a <= b * (1 + 1e-12) for a, b in pairs) / len(pairs),
            "model_count": len(configs),
            "hardware_platform": hardware_platform,
        }

    def _read(
        self, model_configs: Any, hardware_platform: str, constraints: Mapping[str, float] | None
    ) -> tuple[tuple[ModelConfig, ...], Platform]:
        configs = read_configs(model_configs)
        backend = self._single.backend if self._single is not None else None
        return configs, Platform(hardware_platform, backend, read_limits(constraints))

    def _asked(self, configs: Sequence[ModelConfig], platform: Platform) -> tuple[tuple[Asked, ...], list[dict[str, Any]]]:
        """Models with what is stated of them, and each alone in the guide's words."""
        if self._supplied is not None:
            return self._supplied.asked(configs, platform)
        assert self._single is not None
        asked = tuple(self._single.asked(config) for config in configs)
        return asked, [self._single.alone(config, platform) for config in configs]

    def _predict(
        self, asked: tuple[Asked, ...], alone: Sequence[Mapping[str, Any]], platform: Platform, word: str, strategy: str
    ) -> tuple[dict[str, Any], Played]:
        if not isinstance(strategy, str):
            raise UnknownNameError("strategy", str(strategy)[:80], STRATEGIES)
        if self._verbose:
            print(f"{strategy}: {len(asked)} models on {platform.name}", file=sys.stderr)
        company = Company(asked, platform, self._contention, self._table, self._one_page and platform.browser)
        alone_s = {one.label: single["latency"] / MS_PER_S for one, single in zip(asked, alone, strict=True)}
        played = company.play(strategy, DRAWS, alone_s)
        result = {
            "total_metrics": total_metrics(company, played),
            "individual_predictions": [
                {**single, "model_name": one.config.name, "batch_size": one.config.batch_size, "hardware_platform": word}
                for one, single in zip(asked, alone, strict=True)
            ],
            "contention_factors": contention_factors(played, alone_s, self._here_s(company, played, alone_s)),
            "sharing_benefits": sharing_benefits(company, played, alone_s),
            "execution_schedule": execution_schedule(company, played),
            "execution_strategy": strategy,
            "model_count": len(asked),
            "hardware_platform": word,
            "hardware": platform.name,
            "provenance": [*played.prediction.provenance, *_how(asked)],
            "warnings": [*played.prediction.warnings, *_waiting(played)],
            "assumed": self._assumed(asked, played),
        }
        return result, played

    @staticmethod
    def _here_s(company: Company, played: Played, alone_s: Mapping[str, float]) -> dict[str, float]:
        """Label → its batch alone, in a place that is worse than the one it would have to itself [s]."""
        return {label: company.here_s(played, label) if label in played.slower else time_s for label, time_s in alone_s.items()}

    def _assumed(self, asked: Sequence[Asked], played: Played) -> list[str]:
        found = []
        if self._supplied is not None:
            found.append("latency and memory of each model alone are those of the predictor that was given")
            found += [
                f"{one.label} is not known: it is taken to keep its processor busy, to share its work evenly, and to be loaded as "
                "a file of its memory's size"
                for one in asked
                if one.stated is not None
            ]
        if self._contention is not None and self._contention.values:
            names = ", ".join(sorted(self._contention.values))
            found.append(f"contention rests on what {self._contention.source} states: {names}")
        if self._table is not None and played.table_pairs:
            found.append(f"memory and times rest on what {self._table.source} states of types that share; no engine does that")
        return found


def _how(asked: Sequence[Asked]) -> list[str]:
    """How models are run that no server of this project's engines runs, and how all are."""
    found = ["batches are handed over at once, without a network; model files are in the page cache"]
    jobs = [
        one.config.name for one in asked if one.stated is None and one.spec.shape.kind not in ("text-generation", "text-embedding")
    ]
    if jobs:
        found.append(
            f"{', '.join(dict.fromkeys(jobs))}: run as jobs of the processor, priced by the operations and bytes of their passes "
            "as llama.cpp's kernels take them, under the same laws of sharing as servers; nothing of these models was measured"
        )
    return found


def _waiting(played: Played) -> list[str]:
    return [
        f"{name} does not fit beside {', '.join(before)}: it is loaded when they are gone"
        for name, before in sorted(played.waited_for.items())
    ]
