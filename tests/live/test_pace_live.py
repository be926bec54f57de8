"""The pace of real servers: measured twice, one after the other, of two builds that are the same code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from engines import program

from mmpredict.calibrate.measurement import MeasurementLog
from mmpredict.calibrate.pace import measure_pace, pace_of
from mmpredict.cost.coefficients import Coefficients
from mmpredict.live.build import build_of_kind
from mmpredict.live.choice import EMBEDDED, LLAMA_SERVER
from mmpredict.models.resolve import resolve

MODEL = "synthetic:smollm2-135m@q4_0"
TOLERANCE = 1.0
"""Of the logarithm of the pace: other programs may run meanwhile, a mistake in what is compared would be a factor of ten."""


def test_a_pace_compares_like_with_like(
    cache: Path, tmp_path: Path, coefficients: Coefficients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMPREDICT_CACHE", str(cache))
    header = {"machine": "here", "engine": "xllamacpp", "cores": 2, "measured_on": "2026-01-01"}
    measured = []
    builds = [build_of_kind(EMBEDDED), build_of_kind(LLAMA_SERVER, str(program(tmp_path / "bin")))]
    for number, build in enumerate(builds):
        with MeasurementLog(tmp_path / f"{number}.jsonl", header) as log:
            measure_pace([MODEL], {MODEL: resolve(MODEL)}, 2, tmp_path, log, build, lambda label, part: None)
            measured.append([replace(row, values={**row.values, "round": 0}) for row in log.rows])
    found = pace_of(measured[0], measured[1], coefficients, "2026-01-01T12:00")
    print(f"a moment later: {found}")
    assert found.prefill.keys() == found.decode.keys() == {1, 2}
    for factor in (*found.prefill.values(), *found.decode.values()):
        assert 1.0 / (1.0 + TOLERANCE) < factor < 1.0 + TOLERANCE
