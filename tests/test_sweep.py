"""``sweep``: a load curve rises, bends and saturates where queueing theory says; pictures and tables show it."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest

from mmpredict import sweep
from mmpredict.cost.coefficients import Coefficients
from mmpredict.errors import InputError
from mmpredict.report.curves import draw_sweep
from mmpredict.report.sweep import sweep_lines, sweep_table
from mmpredict.results.sweep import SWEPT, Sweep
from mmpredict.scenario import Scenario
from mmpredict.scenario.generated_sections import ClosedSection, PoissonSection

MODEL = "synthetic:smollm2-135m@q8_0"
MACHINE = """
name = "bench"
pools.ram = { capacity_bytes = 8e9, usable_bytes = 6e9 }
processors = [{ kind = "cpu", model = "four cores", cores = 4 }]
"""


def question(tmp_path: Path, users: int = 0) -> Scenario:
    (tmp_path / "bench.toml").write_text(MACHINE)
    shape = {"model": MODEL, "prompt_tokens": 100, "output_tokens": 50}
    load = (
        ClosedSection(kind="closed", users=users, requests_per_user=6, **shape)
        if users
        else PoissonSection(kind="poisson", rate_per_s=0.1, requests=60, **shape)
    )
    return Scenario(hardware=str(tmp_path / "bench.toml"), strategies=("parallel",), load=(load,))


@pytest.fixture(scope="module")
def curve(tmp_path_factory: pytest.TempPathFactory, coefficients: Coefficients) -> Sweep:
    rates = [0.05, 0.3, 0.6, 0.9, 1.2, 1.5, 3.0, 6.0, 12.0]
    asked = question(tmp_path_factory.mktemp("sweep"))
    return sweep(asked, "load[0].rate_per_s", rates, draws=3, coefficients=coefficients)


def test_a_load_curve(curve: Sweep) -> None:
    ttft = [point.metrics["ttft_p95_s"].value for point in curve.points]
    assert ttft[-1] > 5 * ttft[0]
    assert not curve.points[0].saturated and curve.points[-1].saturated
    saturated = [point.saturated for point in curve.points]
    assert saturated == sorted(saturated), "once saturated, always saturated"
    for point in curve.points:
        assert set(point.metrics) == set(SWEPT)
        assert point.metrics["ttft_p95_s"].low <= point.metrics["ttft_p95_s"].value <= point.metrics["ttft_p95_s"].high
    done = curve.points[-1].metrics["requests_per_s"].value
    assert all(point.metrics["requests_per_s"].value <= 1.05 * min(done, point.offered_per_s * 1.2) for point in curve.points[:3])
    (knee,) = curve.knees
    assert knee.metric == "ttft_p95_s" and curve.points[0].value < knee.value < curve.points[-1].value
    assert not next(point for point in curve.points if point.value == knee.value).saturated


def test_users_wait_for_each_other_but_never_pile_up(tmp_path: Path, coefficients: Coefficients) -> None:
    found = sweep(question(tmp_path, users=1), "users", [1, 2, 4, 8], draws=0, coefficients=coefficients)
    throughput = [point.metrics["throughput_tokens_per_s"].value for point in found.points]
    assert throughput == sorted(throughput)
    assert not any(point.saturated for point in found.points) and all(math.isnan(point.offered_per_s) for point in found.points)
    assert all(math.isnan(point.metrics["ttft_p50_s"].low) for point in found.points)


def test_processes_change_nothing(tmp_path: Path, coefficients: Coefficients) -> None:
    asked = question(tmp_path, users=2)
    one, two = (sweep(asked, "users", [1, 3], draws=2, workers=workers, coefficients=coefficients) for workers in (1, 2))
    assert json.dumps(one.to_dict()) == json.dumps(two.to_dict())


def test_without_a_strategy_the_recommended_plan_is_swept(tmp_path: Path, coefficients: Coefficients) -> None:
    asked = Scenario(hardware=question(tmp_path).hardware, load=question(tmp_path).load)
    found = sweep(asked, "server.slots", [1, 8], draws=0, coefficients=coefficients)
    assert len(found.points) == 2 and len({point.strategy for point in found.points}) == 1
    assert found.points[0].metrics["memory_bytes"].value < found.points[1].metrics["memory_bytes"].value


def test_a_machine_can_be_swept_and_what_does_not_fit_is_said(tmp_path: Path) -> None:
    asked = question(tmp_path).model_copy(
        update={"load": (question(tmp_path).load[0].model_copy(update={"model": "llama3.1-8b"}),)}
    )
    found = sweep(asked, "hardware", ["jetson-orin-nano", "ms-s1-max"], draws=0)
    assert [bool(point.reason) for point in found.points] == [True, False]
    assert "of unified memory" in found.points[0].reason
    assert any("jetson-orin-nano" in line for line in sweep_lines(found))


def test_what_does_not_fit_a_calibrated_machine_is_said_too(tmp_path: Path, coefficients: Coefficients) -> None:
    asked = question(tmp_path)
    tight = MACHINE.replace("8e9", "9e8").replace("6e9", "5e8")
    (tmp_path / "bench.toml").write_text(tight)
    found = sweep(asked, "server.context_tokens", [1024, 65536], draws=0, coefficients=coefficients)
    assert [bool(point.metrics) for point in found.points] == [True, False]
    assert found.points[0].metrics["memory_bytes"].value < 5e8
    assert "of memory, 477 MiB are allowed" in found.points[1].reason


def test_the_table_as_a_file(curve: Sweep) -> None:
    rows = list(csv.DictReader(io.StringIO(curve.to_csv())))
    assert [float(row["load[0].rate_per_s"]) for row in rows] == [point.value for point in curve.points]
    assert float(rows[3]["ttft_p95_s"]) == pytest.approx(curve.points[3].metrics["ttft_p95_s"].value, rel=1e-8)
    assert {row["saturated"] for row in rows} == {"true", "false"}


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_pictures_are_the_same_each_time(curve: Sweep, tmp_path: Path, suffix: str) -> None:
    first, second = (draw_sweep(curve.points, tmp_path / f"{name}.{suffix}", curve.knees).read_bytes() for name in "ab")
    assert first == second and len(first) > 5000
    with pytest.raises(InputError, match=r"allowed: \.png, \.svg, \.pdf"):
        draw_sweep(curve.points, tmp_path / "a.jpg")


def test_the_table_and_its_lines(curve: Sweep) -> None:
    table = sweep_table(curve)
    assert table.row_count == len(curve.points)
    assert any("knee at load[0].rate_per_s = " in line for line in sweep_lines(curve))


def test_mistakes_are_named(tmp_path: Path, coefficients: Coefficients) -> None:
    with pytest.raises(InputError, match="no value to sweep over"):
        sweep(question(tmp_path), "users", [], coefficients=coefficients)
    with pytest.raises(InputError, match="draws is -1"):
        sweep(question(tmp_path), "users", [1], draws=-1, coefficients=coefficients)
