"""``mmpredict calibrate fit --from-validation``: this machine's calibration, corrected by its real runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

from mmpredict.cli.console import OUTPUT, print_json, progress_bars, remark

if TYPE_CHECKING:
    from mmpredict.validation.live_factors import Factor


def fit_from_validation(since: str, as_json: bool) -> None:
    """Fit, show, and save where runs that were left out are not predicted worse.

    Raises:
        NotCalibratedError: this machine has not been calibrated.
        InputError: the history holds too few runs.
    """
    from mmpredict.calibrate.store import save_coefficients
    from mmpredict.calibrated import own_coefficients
    from mmpredict.hardware.library import find_profile
    from mmpredict.report.live_fit import factors_table, improvement_table
    from mmpredict.validation.history import History
    from mmpredict.validation.live_fit import fit_live

    coefficients = own_coefficients(find_profile())
    begin = since or coefficients.measured_on
    past, damaged = History().runs(coefficients.machine, coefficients.engine, begin)
    with progress_bars() as bars:
        found = fit_live(past, coefficients, date.today().isoformat(), lambda label, part: bars("fitting", label, part))
    stored = save_coefficients(found.coefficients) if found.better else None
    if as_json:
        print_json({"schema_version": 1, "since": begin, "saved": str(stored) if stored else None, **found.to_dict()})
    else:
        OUTPUT.print(factors_table(_rows(found.factors)))
        OUTPUT.print(improvement_table(found.before, found.after))
    for reason, count in Counter([*damaged, *found.left_out]).items():
        remark(f"left out: {count} × {reason}")
    assert found.coefficients.correction is not None
    remark(
        f"fitted to {found.fitted} rounds and tested on the {found.held_out} newest; drift between rounds: "
        f"{found.coefficients.correction.calibrated_log_spread:.3f} before, {found.coefficients.machine_log_spread:.3f} after"
    )
    if stored:
        remark(f"saved, fitted to all {found.fitted + found.held_out} rounds ({found.runs} runs): {stored}")
    else:
        remark(
            f"not saved: rounds that were left out are predicted worse (mean error {found.score_before:.3f} before, "
            f"{found.score_after:.3f} after, on a logarithmic scale)"
        )


def _rows(factors: Sequence[Factor]) -> Iterator[tuple[str, int, str, float | None, float, int]]:
    for one in factors:
        for model, own in one.of.items():
            yield one.part, one.threads, model, one.seen[model], one.value * own, one.rounds
        yield one.part, one.threads, "", None, one.value, one.rounds
