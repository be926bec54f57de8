"""A single-model predictor of the user's: what it says of a model alone holds, and the rest follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmpredict.compat.company import Asked, Company
from mmpredict.compat.model_config import MEGABYTE, MS_PER_S, ModelConfig
from mmpredict.compat.platform import Platform
from mmpredict.compat.servers import Adjustment, Stated, stated_spec
from mmpredict.compat.work import Lengths, Work, check_kind, work_of
from mmpredict.errors import InputError
from mmpredict.models.resolve import resolve


class SuppliedPredictor:
    """Asks a predictor of the user's.

    Of a model that is known, times and memory are scaled to what it says, so that its phases and what it asks of the machine keep
    their proportions; one that is not known is a single stretch of work.

    Args:
        predictor: has ``predict``.

    Raises:
        InputError: it has not.
    """

    def __init__(self, predictor: Any) -> None:
        if not callable(getattr(predictor, "predict", None)):
            raise InputError(
                f"single_model_predictor is a {type(predictor).__name__} without predict(model_name=, model_type=, "
                "hardware_platform=, batch_size=); leave it out for the predictor of this project"
            )
        self._predictor = predictor

    def asked(self, configs: Sequence[ModelConfig], platform: Platform) -> tuple[tuple[Asked, ...], list[dict[str, Any]]]:
        """Models with what is stated of them, and what the predictor returned.

        Raises:
            InputError: it returned no latency or memory.
        """
        said = [self._ask(config, platform) for config in configs]
        return tuple(_asked(config, one, platform) for config, one in zip(configs, said, strict=True)), said

    def _ask(self, config: ModelConfig, platform: Platform) -> dict[str, Any]:
        found = self._predictor.predict(
            model_name=config.name, model_type=config.kind, hardware_platform=platform.word, batch_size=config.batch_size
        )
        if not isinstance(found, Mapping):
            raise InputError(f"single_model_predictor returned {found!r:.80} for {config.name}; it must be a table")
        checked = {name: _positive(found, name, config.name) for name in ("latency", "memory")}
        return {"throughput": MS_PER_S * config.batch_size / checked["latency"], **found, **checked}


def _asked(config: ModelConfig, said: Mapping[str, Any], platform: Platform) -> Asked:
    latency_s, memory_bytes = said["latency"] / MS_PER_S, said["memory"] * MEGABYTE
    try:
        spec = resolve(config.name)
    except InputError:
        unknown = stated_spec(config.name, config.kind)
        kind = config.kind or unknown.shape.kind.replace("-", "_")
        return Asked(config, unknown, Work(1, 1, 1, True), kind, stated=Stated(latency_s, memory_bytes))
    check_kind(spec.shape, config.kind)
    kind = config.kind or spec.shape.kind.replace("-", "_")
    plain = Asked(config, spec, work_of(spec, config.batch_size, Lengths()), kind)
    played = Company((plain,), platform.without_memory_limit(), loading=False).play("parallel", 1)
    ours_s = max(row.finish_s for row in played.prediction.records.requests)
    return replace(plain, adjustment=Adjustment(latency_s / ours_s, memory_bytes / played.memory_bytes))


def _positive(found: Mapping[str, Any], name: str, model: str) -> float:
    try:
        value = float(found[name])
    except (KeyError, TypeError, ValueError):
        value = math.nan
    if not 0.0 < value < math.inf:
        raise InputError(
            f"single_model_predictor returned {found.get(name)!r:.80} as {name} of {model}; it must be a number above 0 "
            f"[{'ms' if name == 'latency' else 'MB'}]"
        )
    return value
