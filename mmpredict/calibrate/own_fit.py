"""Fitting somebody's own runs on one machine: from what is known of its kind to what these runs show.

The prices that ship with the project, of this hardware, its relatives or its data sheet, are what is believed before; a few runs
move what they measure, and leave the rest as it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mmpredict.calibrate.bench_rows import Sorted
from mmpredict.calibrate.family import Member
from mmpredict.calibrate.rates_fit import FEW_MODELS, errors_of, fit_family, terms_of
from mmpredict.calibrate.shown_peaks import shown_peaks
from mmpredict.calibrate.speed_row import SpeedRow
from mmpredict.cost.library import THIS_MACHINE
from mmpredict.cost.rates.choice import Choice, shipped_rates
from mmpredict.cost.rates.datasheet import Peaks, peaks
from mmpredict.cost.rates.rates import Phase, PhaseError, Rates
from mmpredict.cost.speed import NORMAL_80
from mmpredict.errors import InputError, MmpredictError, NotCalibratedError
from mmpredict.hardware.profile import HardwareProfile

MOST_ROWS = 1500
"""Measurements of one processor that a fit takes; it needs memory for each."""
LEAST_TESTS = 2
MOST_TIMES_OFF = 5.0
"""Of what is known of the machine, beyond which a run is of other conditions or of another machine; no data sheet is that wrong."""

_FAR_OFF = f"more than {MOST_TIMES_OFF:g} times off what is known: other conditions, or another machine"


@dataclass(frozen=True, slots=True)
class OwnFit:
    """What own runs on one processor gave.

    Attributes:
        rates: fitted; their errors are those on runs that were left out.
        known: what was known before.
        before: errors of that on the same runs.
        rows: measurements used.
    """

    rates: Rates
    known: Choice
    before: Mapping[Phase, PhaseError]
    rows: tuple[SpeedRow, ...]


@dataclass(frozen=True, slots=True)
class OwnFits:
    """Fits of all processors and backends that were measured.

    Attributes:
        fits: one for each.
        left_out: reason → number of rows that could not be used [1].
    """

    fits: tuple[OwnFit, ...]
    left_out: Mapping[str, int]


def fit_own(found: Sorted, profile: HardwareProfile, replaces_shipped: bool = False) -> OwnFits:
    """Fit the runs of one machine.

    Args:
        found: its runs.
        profile: the machine, in its power mode.
        replaces_shipped: whether the result is to ship in the place of rates of this hardware, from which it must not start then.

    Raises:
        InputError: there is no run that can be used, or the profile says too little of the processor that was measured.
        FileFormatError: shipped rates are damaged.
    """
    if not found.rows:
        reasons = "; ".join(f"{count} × {reason}" for reason, count in found.left_out.most_common())
        raise InputError(f"no row can be fitted{f': {reasons}' if reasons else ''}")
    groups: dict[tuple[str, str], list[SpeedRow]] = {}
    for row in found.rows:
        groups.setdefault((row.processor, row.backend), []).append(row)
    fits: list[OwnFit] = []
    left_out = Counter(found.left_out)
    problems: list[MmpredictError] = []
    for _, rows in sorted(groups.items()):
        taken = _thinned(rows)
        try:
            fits.append(_fit(taken, profile, replaces_shipped))
        except (InputError, NotCalibratedError) as error:
            problems.append(error)
            left_out[str(error)] += len(rows)
            continue
        left_out.update(fits[-1].rates.rejected)
        left_out[f"more than the {MOST_ROWS} that are needed"] += len(rows) - len(taken)
    if not fits:
        raise InputError("; ".join(dict.fromkeys(map(str, problems))))
    return OwnFits(tuple(fits), dict(sorted((+left_out).items())))


def _fit(rows: Sequence[SpeedRow], profile: HardwareProfile, replaces_shipped: bool) -> OwnFit:
    first = rows[0]
    shown = _shown(rows, profile)
    member = Member(first.machine, first.mode, shown or peaks(profile, first.processor, first.backend))
    known = shipped_rates(profile, first.processor, first.backend, shown, not replaces_shipped)
    likely = [row for row in rows if _is_likely(row, known.rates)]
    if not likely:
        raise InputError(f"{_FAR_OFF}: {known.sentence}")
    fitted = fit_family(likely, [member], {_FAR_OFF: len(rows) - len(likely)} if len(rows) > len(likely) else None, known.rates)
    errors = {phase: _told(error, likely, phase) for phase, error in fitted.members[0].errors.items()}
    rates = replace(fitted.members[0], errors=errors, rejected=fitted.common.rejected)
    used = fitted.left_out.rows
    return OwnFit(rates, known, errors_of(used, known.rates), used)


def _shown(rows: Sequence[SpeedRow], profile: HardwareProfile) -> Peaks | None:
    """Peaks by the runs themselves, where the profile does not say them.

    Raises:
        InputError: neither says enough.
    """
    try:
        peaks(profile, rows[0].processor, rows[0].backend)
    except InputError as error:
        try:
            return shown_peaks(rows)
        except InputError as lacking:
            raise InputError(f"{error}; {lacking}, or {_remedy(profile)}") from error
    return None


def _is_likely(row: SpeedRow, known: Rates) -> bool:
    """Whether a speed is not absurd; what cannot be priced is counted by the fit."""
    try:
        expected_s = known.seconds(terms_of(row))
    except InputError:
        return True
    return 1 / MOST_TIMES_OFF < row.seconds / expected_s < MOST_TIMES_OFF


def _told(error: PhaseError, rows: Sequence[SpeedRow], phase: Phase) -> PhaseError:
    """The error of a phase, of which a single test tells nothing, as no other is left to predict it.

    Of few models the scale of intervals is that of what was known; one below a normal distribution's was earned by wider spreads.
    """
    measured = [row for row in rows if row.phase == phase]
    if len({row.model for row in measured}) < FEW_MODELS:
        error = replace(error, scale=max(error.scale, NORMAL_80))
    alone = len({(row.model, row.test) for row in measured}) < LEAST_TESTS
    return replace(error, rows=0, median=0.0, p90=0.0, bias=0.0, covered=0.0) if alone else error


def _thinned(rows: Sequence[SpeedRow]) -> Sequence[SpeedRow]:
    """As many as a fit takes, evenly from all of them."""
    return [rows[place * len(rows) // MOST_ROWS] for place in range(MOST_ROWS)] if len(rows) > MOST_ROWS else rows


def _remedy(profile: HardwareProfile) -> str:
    if profile.name != THIS_MACHINE:
        return "give a profile of your own that says it, by its file (--hardware mine.toml)"
    return (
        "name the machine that this is (--hardware, mmpredict hardware list), or write its profile with mmpredict hardware detect "
        "--output mine.toml, add that figure, and give --hardware mine.toml"
    )
