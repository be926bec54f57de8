"""Own runs move what is known of a machine to what they show, and no farther."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from own_runs import run, runs

from mmpredict.calibrate import own_fit
from mmpredict.calibrate.bench_rows import Sorted, speed_rows
from mmpredict.calibrate.own_fit import fit_own
from mmpredict.calibrate.rates_fit import terms_of
from mmpredict.calibrate.speed_row import SpeedRow
from mmpredict.calibrate.store import save_rates
from mmpredict.cost.library import own_rates_directory
from mmpredict.cost.rates.choice import measured_rates, shipped_rates
from mmpredict.cost.speed import NORMAL_80
from mmpredict.errors import InputError
from mmpredict.hardware.library import find_profile
from mmpredict.hardware.profile import HardwareProfile

MODEL = ("qwen2.5-7b", "Q4_K_M")
OTHERS = (("llama3.1-8b", "Q4_K_M"), ("llama3.2-1b", "Q4_K_M"), ("qwen3-30b-a3b", "Q4_K_M"))
CARD = find_profile("rtx-4090")
KNOWN = shipped_rates(CARD, "gpu", "cuda").rates


@pytest.mark.parametrize("speed", [0.8, 1.25])
@pytest.mark.parametrize(("machine", "backend"), [("rtx-4090", "cuda"), ("rtx-3090", "cuda"), ("apple-m3-max", "metal")])
def test_three_runs_move_the_prediction_there(machine: str, backend: str, speed: float) -> None:
    profile = find_profile(machine)
    known = shipped_rates(profile, "gpu", backend).rates
    seen = [replace(row, backend=backend) for row in runs([MODEL], profile, known, speed)]
    (fit,) = fit_own(speed_rows(seen, profile), profile).fits
    for models, tolerance in (((MODEL,), 0.03), (OTHERS, 0.06)):
        for row in speed_rows(runs(models, profile, known), profile).rows:
            moved = known.seconds(terms_of(row)) / fit.rates.seconds(terms_of(row))
            assert moved == pytest.approx(speed, rel=tolerance), row
    assert fit.before["decode"].median == pytest.approx(abs(speed - 1), abs=0.001)
    assert fit.rates.errors["decode"].median < 0.4 * fit.before["decode"].median, "the other depth tells of this one"
    assert (fit.rates.rows, fit.rates.machine, fit.rates.backend) == (3, machine, backend)


def test_runs_as_expected_change_nothing() -> None:
    (fit,) = fit_own(speed_rows(runs([MODEL], CARD, KNOWN), CARD), CARD).fits
    for name, rate in KNOWN.rates.items():
        assert fit.rates.rates[name].log == pytest.approx(rate.log, abs=1e-3), name


def test_intervals_of_what_was_measured_become_narrow() -> None:
    (fit,) = fit_own(speed_rows(runs([MODEL], CARD, KNOWN, 0.9), CARD), CARD).fits
    for row in speed_rows(runs(OTHERS[:1], CARD, KNOWN), CARD).rows:
        assert fit.rates.log_halfwidth(terms_of(row), row.phase) < KNOWN.log_halfwidth(terms_of(row), row.phase)


def test_of_several_models_each_is_left_out() -> None:
    (fit,) = fit_own(speed_rows(runs((MODEL, *OTHERS), CARD, KNOWN, 0.8), CARD), CARD).fits
    for phase in fit.before:
        assert fit.before[phase].median == pytest.approx(0.2, abs=0.001)
        assert fit.rates.errors[phase].median < 0.05
        assert fit.rates.errors[phase].rows == fit.before[phase].rows > 0


def test_a_single_test_tells_no_error() -> None:
    (fit,) = fit_own(speed_rows(runs([MODEL], CARD, KNOWN, 0.8), CARD), CARD).fits
    assert (fit.before["prompt"].rows, fit.rates.errors["prompt"].rows) == (1, 0)
    assert fit.rates.errors["prompt"].scale == KNOWN.errors["prompt"].scale > fit.rates.errors["decode"].scale == NORMAL_80


def test_the_order_of_files_does_not_matter() -> None:
    seen = runs((MODEL, *OTHERS), CARD, KNOWN, 0.8)
    first, second = (fit_own(speed_rows(rows, CARD), CARD).fits[0].rates for rows in (seen, seen[::-1]))
    assert first.to_json() == second.to_json()


def test_an_absurd_run_is_left_out() -> None:
    seen = runs([MODEL], CARD, KNOWN, 0.8)
    wrong = [replace(seen[1], line=9, tokens_per_s=seen[1].tokens_per_s * 50), replace(seen[0], line=8, tokens_per_s=1.0)]
    fitted = fit_own(speed_rows([*seen, *wrong], CARD), CARD)
    (alone,) = fit_own(speed_rows(seen, CARD), CARD).fits
    assert fitted.fits[0].rates.rates == alone.rates.rates
    assert [count for reason, count in fitted.left_out.items() if "times off" in reason] == [2]
    with pytest.raises(InputError, match="another machine"):
        fit_own(speed_rows(wrong, CARD), CARD)


def test_processors_and_backends_are_fitted_apart() -> None:
    box = find_profile("ms-s1-max")
    seen = []
    for backend in ("vulkan", "rocm"):
        known = shipped_rates(box, "gpu", backend).rates
        seen += [replace(row, backend=backend.upper(), file=backend) for row in runs([MODEL], box, known)]
    fitted = fit_own(speed_rows(seen, box), box)
    assert [(fit.rates.backend, fit.rates.rows) for fit in fitted.fits] == [("rocm", 3), ("vulkan", 3)]
    assert fitted.left_out == {}


def test_one_processor_of_which_too_little_is_known_does_not_hide_the_other() -> None:
    cpu = replace(run(*MODEL, n_gen=128), backend="CPU", tokens_per_s=10.0)
    fitted = fit_own(speed_rows([*runs([MODEL], CARD, KNOWN), cpu], CARD), CARD)
    assert [(fit.rates.processor, fit.rates.rows) for fit in fitted.fits] == [("gpu", 3)]
    assert ["flop_per_s" in reason for reason in fitted.left_out] == [True]


def test_a_power_mode_is_its_own_machine() -> None:
    slow = find_profile("jetson-orin-nano:7w")
    known = shipped_rates(slow, "gpu", "cuda").rates
    (fit,) = fit_own(speed_rows(runs([("llama3.2-1b", "Q4_K_M")], slow, known), slow), slow).fits
    assert (fit.rates.machine, fit.rates.mode) == ("jetson-orin-nano", "7w")


def test_own_rates_are_no_part_of_what_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MMPREDICT_DATA", str(tmp_path))
    found = speed_rows(runs([MODEL], CARD, KNOWN, 0.8), CARD)
    (first,) = fit_own(found, CARD).fits
    save_rates(first.rates, own_rates_directory())
    chosen = measured_rates("rtx-4090", "", "gpu", ["cuda"])
    assert chosen is not None
    assert (chosen.basis, chosen.rates.rates) == ("own", first.rates.rates)
    assert fit_own(found, CARD).fits[0].rates == first.rates, "runs that are fitted twice count once"


def test_nothing_to_fit_says_why() -> None:
    with pytest.raises(InputError, match="3 × without flash attention"):
        fit_own(Sorted((), Counter({"without flash attention": 3})), CARD)


BARE = HardwareProfile.model_validate(
    {
        "name": "this-machine",
        "pools": {"ram": {"capacity_bytes": 8e9, "usable_bytes": 6e9}},
        "processors": [{"kind": "cpu", "model": "four cores", "cores": 4}],
    }
)


def test_a_profile_that_says_too_little_names_what_is_missing() -> None:
    found = speed_rows([replace(run("llama3.2-1b", "Q4_K_M", n_gen=128), backend="CPU")], BARE)
    with pytest.raises(InputError, match=r"bandwidth_bytes_per_s.*both needed.*--hardware"):
        fit_own(found, BARE)


def test_without_a_data_sheet_the_runs_tell_what_the_processor_can_do() -> None:
    """Runs of a Raspberry Pi on a machine of which nothing is known come to about what is known of the Pi."""
    known_machine = find_profile("raspberry-pi-5")
    known = shipped_rates(known_machine, "cpu", "cpu").rates
    seen = runs([("llama3.2-1b", "Q4_K_M")], known_machine, known, backend="CPU")
    (fit,) = fit_own(speed_rows(seen, BARE), BARE).fits
    assert fit.known.sentence.endswith("scaled by these runs")
    for row in speed_rows(seen, known_machine).rows:
        assert fit.rates.seconds(terms_of(row)) == pytest.approx(row.seconds, rel=0.05)
    for row in speed_rows(runs([("qwen2.5-3b", "Q4_K_M")], known_machine, known, backend="CPU"), known_machine).rows:
        assert fit.rates.seconds(terms_of(row)) == pytest.approx(row.seconds, rel=0.25), row


def test_more_rows_than_needed_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_fit, "MOST_ROWS", 5)
    blank = runs([MODEL], CARD, KNOWN, 0.8)[1]
    seen = [replace(blank, line=line, tokens_per_s=blank.tokens_per_s + line / 100) for line in range(12)]
    fitted = fit_own(speed_rows(seen, CARD), CARD)
    rows: tuple[SpeedRow, ...] = fitted.fits[0].rows
    assert len(rows) == 5
    assert max(row.tokens_per_s for row in rows) - min(row.tokens_per_s for row in rows) > 0.06
    assert sum(fitted.left_out.values()) == 7
