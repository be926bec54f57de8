"""A place of its own for every command, and what its outcome must look like."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from mmpredict import calibrated
from mmpredict.calibrate.store import save_coefficients
from mmpredict.cli.main import run
from mmpredict.cost.coefficients import Coefficients
from mmpredict.hardware import telemetry
from mmpredict.live import build, embedded

ENGINE = "engine 1"
MACHINE = """
name = "bench"
pools.ram = { capacity_bytes = 8e9, usable_bytes = 6e9 }
processors = [{ kind = "cpu", model = "four cores", cores = 4 }]
"""
SCENARIO = """
hardware = "machine.toml"
strategies = ["sequential", "parallel"]
[[requests]]
model = "synthetic:smollm2-135m@q8_0"
prompt_tokens = 64
output_tokens = 16
count = 2
[[requests]]
model = "synthetic:gemma3-270m@q8_0"
prompt_tokens = 32
output_tokens = 8
"""
# The engine's name is part of where coefficients are kept, and is not to be asked of a machine that may have none.
COMMAND = f"from mmpredict import calibrated as c; c.engine_build = lambda: {ENGINE!r}; from mmpredict.cli.main import run; run()"


class Outcome(NamedTuple):
    """What a call came to."""

    code: int
    out: str
    err: str


Call = Callable[..., Outcome]


@contextmanager
def own_signals() -> Iterator[None]:
    """The command takes over two signals; the test run wants them back."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


@pytest.fixture
def bench(coefficients: Coefficients) -> Coefficients:
    """Coefficients of the machine that the scenario names."""
    return coefficients.model_copy(update={"machine": "bench", "engine": ENGINE})


@pytest.fixture
def place(bench: Coefficients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a scenario and a machine, and everything the command may write to beside it; calibrated."""
    for name in ("work", "temporary"):
        (tmp_path / name).mkdir()
    for name in ("DATA", "CACHE"):
        monkeypatch.setenv(f"MMPREDICT_{name}", str(tmp_path / name.lower()))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    for module in (calibrated, build, embedded):
        monkeypatch.setattr(module, "engine_build", lambda: ENGINE)
    monkeypatch.setattr(telemetry, "busy_cores", lambda: 0.0)
    monkeypatch.chdir(tmp_path / "work")
    Path("machine.toml").write_text(MACHINE)
    Path("scenario.toml").write_text(SCENARIO)
    save_coefficients(bench)
    return tmp_path


@pytest.fixture
def call(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The command in this process."""

    def _call(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["mmpredict", *arguments])
        with own_signals(), pytest.raises(SystemExit) as ended:
            run()
        code = ended.value.code
        return Outcome(code if isinstance(code, int) else int(code is not None), *capsys.readouterr())

    return _call


def command(place: Path, *arguments: str, **environment: str) -> Outcome:
    """The command in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=place / "work",
        env=os.environ | environment,
    )
    return Outcome(ran.returncode, ran.stdout, ran.stderr)


def files(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def write_scenario(old: str = "", new: str = "") -> None:
    assert old in SCENARIO
    Path("scenario.toml").write_text(SCENARIO.replace(old, new, 1) if old else SCENARIO)


def assert_one_line(outcome: Outcome, code: int, *words: str) -> None:
    assert outcome.err.startswith("mmpredict: ")
    assert outcome.err.count("\n") == 1
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    for word in words:
        assert word in outcome.err
    assert outcome.code == code
