"""A calibration at the pace that the machine has now, and back.

Machines are quicker in one hour than in another: neighbours on a virtual machine, heat, power. A few figures of the calibration,
measured again, tell by how much; everything else is taken to be as much slower or quicker.
"""

from __future__ import annotations

from mmpredict.cost.coefficients import Coefficients, Pace
from mmpredict.cost.correction import nearest, scaled_loads


def with_pace(coefficients: Coefficients, pace: Pace | None) -> Coefficients:
    """Coefficients at a pace in the place of the one that they may have; at that of the calibration without one.

    Numbers of threads that were not measured have the pace of the nearest one that was.
    """
    own = _without_pace(coefficients)
    if pace is None:
        return own
    return _times(own, pace, 1).model_copy(update={"machine_log_spread": pace.log_spread, "pace": pace})


def pace_sentence(pace: Pace) -> str:
    """What a pace comes to."""
    told = []
    for phase, factors in (("prompts", pace.prefill), ("decoding", pace.decode)):
        told += [f"{phase} {threads} {'thread' if threads == 1 else 'threads'} × {value:.3f}" for threads, value in factors.items()]
    after_pauses = f", first tokens after pauses × {pace.rest:.2f}" if pace.rest != 1.0 else ""
    return f"at the pace of {pace.measured_at}: times of {', '.join(told)}, loads × {pace.load:.3f}{after_pauses}"


def _without_pace(coefficients: Coefficients) -> Coefficients:
    pace = coefficients.pace
    if pace is None:
        return coefficients
    return _times(coefficients, pace, -1).model_copy(update={"machine_log_spread": pace.calibrated_log_spread, "pace": None})


def _times(coefficients: Coefficients, pace: Pace, power: int) -> Coefficients:
    steps = {
        threads: step.model_copy(
            update={
                "prefill_factor": step.prefill_factor * nearest(pace.prefill, threads, 1.0) ** power,
                "decode_factor": step.decode_factor * nearest(pace.decode, threads, 1.0) ** power,
            }
        )
        for threads, step in coefficients.steps.items()
    }
    loading = scaled_loads(coefficients.loading, pace.load**power)
    rests = tuple((pause_s, longer_s * pace.rest**power) for pause_s, longer_s in coefficients.rests)
    return coefficients.model_copy(update={"steps": steps, "loading": loading, "rests": rests})
