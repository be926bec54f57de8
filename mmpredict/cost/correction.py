"""Correcting a calibration by factors that real runs told, and taking that back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

from mmpredict.cost.coefficients import Coefficients, Correction, LoadCoefficients

_Value = TypeVar("_Value")


def corrected(coefficients: Coefficients, correction: Correction, machine_log_spread: float | None = None) -> Coefficients:
    """Coefficients with a correction in the place of the one that they may have.

    Numbers of threads that no run had take the factor of the nearest one (in ratio) that a run had: a machine that has become
    slower is slower with any of them, and strategies that differ in threads stay comparable.

    Args:
        coefficients: of a calibration.
        correction: factors.
        machine_log_spread: drift between runs; as calibrated when not given.
    """
    own = uncorrected(coefficients)
    steps = {
        threads: step.model_copy(
            update={
                "prefill_factor": nearest(correction.prefill, threads, 1.0),
                "decode_factor": nearest(correction.decode, threads, 1.0),
                "prefill_of": nearest(correction.prefill_of, threads, {}),
                "decode_of": nearest(correction.decode_of, threads, {}),
            }
        )
        for threads, step in own.steps.items()
    }
    return own.model_copy(
        update={
            "steps": steps,
            "loading": scaled_loads(own.loading, correction.load).model_copy(update={"factor_of": dict(correction.load_of)}),
            "request_s": own.request_s * correction.request,
            "machine_log_spread": own.machine_log_spread if machine_log_spread is None else machine_log_spread,
            "correction": correction,
        }
    )


def uncorrected(coefficients: Coefficients) -> Coefficients:
    """The calibration as it was before real runs corrected it."""
    correction = coefficients.correction
    if correction is None:
        return coefficients
    plain: dict[str, object] = {"prefill_factor": 1.0, "decode_factor": 1.0, "prefill_of": {}, "decode_of": {}}
    return coefficients.model_copy(
        update={
            "steps": {threads: step.model_copy(update=plain) for threads, step in coefficients.steps.items()},
            "loading": scaled_loads(coefficients.loading, 1.0 / correction.load).model_copy(update={"factor_of": {}}),
            "request_s": coefficients.request_s / correction.request,
            "machine_log_spread": correction.calibrated_log_spread,
            "correction": None,
        }
    )


def nearest(found: Mapping[int, _Value], threads: int, without: _Value) -> _Value:
    """What belongs to the nearest number of threads, of two equally near ones to the smaller; ``without`` where there is none."""
    if not found:
        return without
    return found[min(found, key=lambda count: (abs(math.log(count / threads)), count))]


def correction_sentence(correction: Correction) -> str:
    """Where a correction came from."""
    return (
        f"corrected on {correction.learnt_on} by {correction.runs} real runs of {', '.join(correction.models)} from "
        f"{correction.first} to {correction.last}"
    )


def scaled_loads(loading: LoadCoefficients, factor: float) -> LoadCoefficients:
    """Loads that take ``factor`` times as long."""
    per_unit = ("start_s", "mapped_byte_s", "private_byte_s", "vocabulary_s", "cold_byte_s")
    return loading.model_copy(update={name: getattr(loading, name) * factor for name in per_unit})
