"""How far a machine may have drifted since its calibration: neighbours on a virtual machine, heat, power.

A calibration sees how far rounds are apart that are minutes apart; what an hour brings it cannot see. The variance of the
logarithm of the machine's speed grows in proportion to time, as that of a random walk, up to the spread of hours.
"""

from __future__ import annotations

import math

from mmpredict.cost.coefficients import Coefficients

HOURS_SPREAD = 0.08  # from one calibration to another hour's: 4 to 7, 5 to 8, 12 to 16 % on three machines (docs/accuracy.md)
HOUR_S = 3600.0
"""From which time on a calibration tells no less of another hour than of any other [s]: about what these were apart."""


def hours_spread(age_s: float) -> float:
    """Spread of a machine's speed so long after, or before, it was measured, without that of minutes [1].

    Args:
        age_s: time between [s].
    """
    return HOURS_SPREAD * math.sqrt(min(1.0, abs(age_s) / HOUR_S))


def at_time(coefficients: Coefficients, now_s: float) -> Coefficients:
    """Coefficients for runs at a known time: surer than those for any hour where the calibration is recent.

    A pace is of its own moment already, a correction knows from its runs how far they are apart, and calibrations that do not say
    when they were made are of any hour.

    Args:
        coefficients: of a calibration.
        now_s: when the runs are (Unix time) [s].
    """
    if coefficients.measured_at_s is None or coefficients.pace is not None or coefficients.correction is not None:
        return coefficients
    known = HOURS_SPREAD**2 - hours_spread(now_s - coefficients.measured_at_s) ** 2
    spread = math.sqrt(max(0.0, coefficients.machine_log_spread**2 - known))
    return coefficients.model_copy(update={"machine_log_spread": spread})
