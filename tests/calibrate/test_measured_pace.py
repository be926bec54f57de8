"""The pace that figures measured again tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from mmpredict.calibrate.measurement import AT_S, MASKED_CELLS, ROUND, Measurement
from mmpredict.calibrate.pace import pace_models, pace_of
from mmpredict.calibrate.repeats import MINUTES_SPREAD
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.drift import HOURS_SPREAD
from mmpredict.cost.pace import pace_sentence, with_pace
from mmpredict.errors import InputError

NAMES = ("synthetic:probe-narrow@q8_0", "synthetic:probe-wide@q8_0")
NOW = "2026-01-01T12:00"


def rows(prefill: float = 1.0, decode: float = 1.0, load: float = 1.0, noise: float = 0.0, rounds: int = 3) -> list[Measurement]:
    luck = Random(f"{prefill} {decode} {noise}")
    made = []
    for number in range(rounds):
        for name in NAMES:
            for threads in (1, 4):

                def row(kind: str, name: str = name, threads: int = threads, number: int = number, **values: float) -> Measurement:
                    return Measurement(kind, name, threads, None, {**values, ROUND: number})  # type: ignore[arg-type]

                for tokens in (32, 128):
                    seconds = prefill * tokens / threads * luck.lognormvariate(0.0, noise)
                    made.append(row("prefill", tokens=tokens, masked_cells=0, duration_s=seconds))
                for sequences in (1, 2):
                    seconds = decode * 10 * sequences / threads * luck.lognormvariate(0.0, noise)
                    made.append(row("decode", sequences=sequences, depth=8, steps=10, masked_cells=30, duration_s=seconds))
                made.append(row("load", cold=0, kv_cache_bytes=0, duration_s=load))
    return made


def test_the_same_again_is_the_same_pace(coefficients: Coefficients) -> None:
    found = pace_of(rows(), rows(), coefficients, NOW)
    assert (found.prefill, found.decode, found.load) == ({1: 1.0, 4: 1.0}, {1: 1.0, 4: 1.0}, 1.0)
    assert found.calibrated_log_spread == coefficients.machine_log_spread
    assert found.measured_at == NOW and found.figures == 16


def test_phases_and_threads_have_a_pace_of_their_own(coefficients: Coefficients) -> None:
    again = [
        replace(row, values={**row.values, "duration_s": 1.2 * row.number("duration_s")})
        if (row.kind, row.threads) == ("decode", 4)
        else row
        for row in rows(load=1.5, rounds=1)
    ]
    found = pace_of(rows(), again, coefficients, NOW)
    believed = HOURS_SPREAD**2 / (HOURS_SPREAD**2 + MINUTES_SPREAD**2 / 3)  # every figure says so, and three rounds were steady
    assert found.decode[4] == pytest.approx(1.2**believed)
    assert (found.decode[1], found.prefill[4]) == (1.0, 1.0)
    assert found.load == pytest.approx(1.5**believed)


def test_a_restless_machine_is_believed_less(coefficients: Coefficients) -> None:
    steady, restless = (pace_of(rows(noise=noise), rows(1.1, 1.1, noise=noise), coefficients, NOW) for noise in (0.002, 0.05))
    assert 1.05 < steady.decode[4] < 1.11
    assert abs(restless.decode[4] - 1.0) < abs(steady.decode[4] - 1.0)
    assert steady.log_spread < restless.log_spread


def test_a_recent_calibration_is_believed_more(coefficients: Coefficients) -> None:
    def at(at_s: float, rows: list[Measurement]) -> list[Measurement]:
        return [replace(row, values={**row.values, AT_S: at_s}) for row in rows]

    then, now = rows(noise=0.03), rows(1.1, 1.1, noise=0.03)
    paces = [pace_of(at(0.0, then), at(minutes * 60.0, now), coefficients, NOW) for minutes in (0, 10, 60, 600)]
    assert paces[0].decode == {1: 1.0, 4: 1.0}
    assert 1.0 < paces[1].decode[4] < paces[2].decode[4] == paces[3].decode[4] == pace_of(then, now, coefficients, NOW).decode[4]
    assert paces[1].log_spread < paces[2].log_spread


def test_cells_of_others_and_other_waiting_rules_do_not_count(coefficients: Coefficients) -> None:
    odd = [replace(row, values={**row.values, "duration_s": 9.0, MASKED_CELLS: 1500}) for row in rows() if row.kind != "load"]
    yielding = [replace(row, spincount=1000, values={**row.values, "duration_s": 9.0}) for row in rows()]
    assert pace_of(rows(), [*rows(), *odd, *yielding], coefficients, NOW).decode == {1: 1.0, 4: 1.0}


@pytest.mark.parametrize("left", [[], rows()[:3], [row for row in rows() if row.kind == "prefill"]])
def test_too_little_tells_nothing(coefficients: Coefficients, left: Sequence[Measurement]) -> None:
    with pytest.raises(InputError, match="too few of the calibration's measurements"):
        pace_of(rows(), left, coefficients, NOW)


def test_models_are_those_measured_most_narrow_and_wide() -> None:
    narrow = [replace(row, model="synthetic:probe-narrow@q4_k") for row in rows()]
    assert pace_models([*rows(), *narrow]) == list(NAMES)
    others = [replace(row, model=row.model.replace("q8_0", kind)) for kind in ("q4_0", "f16") for row in rows(rounds=2)]
    assert [name.rpartition("@")[2] for name in pace_models([*others, *rows()])] == ["q8_0", "q8_0", "f16", "f16"]
    with pytest.raises(InputError, match="no model that tells the pace"):
        pace_models(narrow)


def test_a_pace_tells_it_anew_and_is_half_believed(coefficients: Coefficients) -> None:
    own = coefficients.model_copy(update={"rests": ((1.0, 0.01), (4.0, 0.03))})
    again = [
        Measurement("rest", "m", 4, None, {"pause_s": pause_s, "tokens": 32, "duration_s": duration_s})
        for pause_s, duration_s in ((0.0, 0.1), (1.0, 0.12), (4.0, 0.16))
    ]
    pace = pace_of(rows(), [*rows(), *again], own, NOW)
    assert pace.rest == pytest.approx(math.sqrt(2.0))
    assert with_pace(own, pace).rests[-1] == (4.0, pytest.approx(0.03 * math.sqrt(2.0)))
    assert pace_sentence(pace).endswith(", first tokens after pauses × 1.41")
    assert with_pace(with_pace(own, pace), None).rests[-1] == (4.0, pytest.approx(0.03))
    assert pace_of(rows(), [*rows(), *again], coefficients, NOW).rest == pace_of(rows(), rows(), own, NOW).rest == 1.0
