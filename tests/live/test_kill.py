"""The command is ended amid its work, in every way that there is: no server stays, and what was measured stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from test_lifeline import LIMIT_S, running, wait_for_end

from mmpredict.calibrate.measurement import read_measurements
from mmpredict.live import engine_child
from mmpredict.live.journal import read_journal
from mmpredict.models.resolve import materialize, resolve

MODELS = ("synthetic:smollm2-135m@q4_0", "synthetic:probe-narrow@q4_0")
SCENARIO = 'strategies = ["parallel-divided"]\n' + "".join(
    f'[[requests]]\nmodel = "{model}"\nprompt_tokens = 8\noutput_tokens = 3000\n' for model in MODELS
)
RUN = "from mmpredict.cli.main import run; run()"
START_LIMIT_S = 60.0
LOADING_LINE = "loading model tensors"
SERVING_LINE = "processing task"
LAST_LINE = "mmpredict: interrupted; every server is stopped, raw measurements made so far are on disk"

pytestmark = pytest.mark.live


class Command:
    """``mmpredict`` in a process group of its own, as a terminal starts it, with every directory below ``place``."""

    def __init__(self, place: Path, cache: Path, *arguments: str, before: Callable[[], None] | None = None) -> None:
        self.place = place
        (place / "temporary").mkdir()
        (place / "scenario.toml").write_text(SCENARIO)
        places = {"MMPREDICT_CACHE": str(cache), "MMPREDICT_DATA": str(place / "data"), "TMPDIR": str(place / "temporary")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=place,
            env=os.environ | places,
            start_new_session=True,
            preexec_fn=before,
        )

    def servers(self) -> list[int]:
        """Process numbers of the servers that run."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if engine_child.__file__ in child.cmdline():
                    found.append(child.pid)
            except psutil.Error:
                continue
        return found

    def logs_with(self, words: str) -> int:
        """How many servers have written these words into their logs."""
        return sum(words in path.read_text(errors="replace") for path in self.place.rglob("*.log"))

    def wait_until(self, reached: Callable[[], bool]) -> None:
        limit_s = time.perf_counter() + START_LIMIT_S
        while not reached():
            assert self.process.poll() is None, self.process.communicate()
            assert time.perf_counter() < limit_s
            time.sleep(0.01)

    def interrupt(self, number: signal.Signals) -> None:
        """Ctrl-C reaches every process of the group, other signals the command alone."""
        if number is signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)


@pytest.fixture
def start(tmp_path: Path, cache: Path) -> Iterator[Callable[..., Command]]:
    started: list[Command] = []

    def _start(*arguments: str, before: Callable[[], None] | None = None) -> Command:
        started.append(Command(tmp_path, cache, *arguments, before=before))
        return started[-1]

    yield _start
    for command in started:
        command.process.kill()
        command.process.communicate()


@pytest.fixture(autouse=True, scope="module")
def _models_are_there(cache: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMPREDICT_CACHE", str(cache))
        for name in MODELS:
            materialize(resolve(name))


def assert_interrupted(command: Command, servers: list[int]) -> None:
    """One line, exit code 130, and nothing left: no server, no temporary file."""
    out, err = command.process.communicate(timeout=LIMIT_S)
    assert not any(running(pid) for pid in servers)
    assert command.process.returncode == 130
    assert out == ""
    *before, last = err.splitlines()
    assert last == LAST_LINE
    # Where there is no terminal, the name of a phase stands for its progress bar.
    assert all(line.endswith(" …") or line.startswith("warning: ") for line in before)
    assert list((command.place / "temporary").iterdir()) == []


@pytest.mark.parametrize("words", [LOADING_LINE, SERVING_LINE], ids=["loading", "serving"])
def test_killed(words: str, start: Callable[..., Command], tmp_path: Path) -> None:
    command = start("execute", "scenario.toml", "--output", "report")
    command.wait_until(lambda: command.logs_with(words) == len(MODELS))
    servers = command.servers()
    assert len(servers) == len(MODELS)
    command.process.kill()
    assert wait_for_end(servers) < LIMIT_S
    assert command.process.wait(LIMIT_S) == -signal.SIGKILL
    assert not (tmp_path / "report" / "execution.json").exists()
    if words == SERVING_LINE:
        (records,) = read_journal(tmp_path / "report" / "records.jsonl").values()
        assert [row.kind for row in records.activities] == ["load"] * len(MODELS)
        assert records.states


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("words", [LOADING_LINE, SERVING_LINE], ids=["loading", "serving"])
def test_interrupted(words: str, number: signal.Signals, start: Callable[..., Command], tmp_path: Path) -> None:
    command = start("execute", "scenario.toml", "--output", "report")
    command.wait_until(lambda: command.logs_with(words) == len(MODELS))
    if words == SERVING_LINE:  # what servers take is looked at a few times a second only
        command.wait_until(lambda: '"memory"' in (tmp_path / "report" / "records.jsonl").read_text())
    servers = command.servers()
    assert len(servers) == len(MODELS)
    command.interrupt(number)
    assert_interrupted(command, servers)
    document = json.loads((tmp_path / "report" / "execution.json").read_text())
    assert document["interrupted"] is True
    if words == SERVING_LINE:
        (found,) = document["strategies"].values()
        (records,) = read_journal(tmp_path / "report" / "records.jsonl").values()
        assert records.to_dict() == found["records"]
        assert [row.status for row in records.requests] == ["interrupted"] * len(MODELS)
        assert [row.kind for row in records.activities] == ["load"] * len(MODELS)
        assert "memory" in {row.resource for row in records.states}


def test_further_interrupts_do_not_disturb_the_cleaning_up(start: Callable[..., Command]) -> None:
    command = start("execute", "scenario.toml")
    command.wait_until(lambda: command.logs_with(SERVING_LINE) == len(MODELS))
    servers = command.servers()
    for _ in range(20):
        if command.process.poll() is None:
            command.interrupt(signal.SIGINT)
            time.sleep(0.005)
    assert_interrupted(command, servers)


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_calibration_keeps_what_it_has_measured(number: signal.Signals, start: Callable[..., Command], tmp_path: Path) -> None:
    arguments = [] if number is signal.SIGINT else ["--output", "raw.jsonl"]
    command = start("calibrate", "run", "--types", "q4_0", *arguments)

    def measurements() -> Path:
        return next(tmp_path.rglob("*.jsonl.partial"), Path("none"))  # renamed when it is complete

    command.wait_until(lambda: lines_of(measurements()) > 4 and bool(command.servers()))
    assert lines_of(measurements()) < 20  # one by one, not a buffer at a time
    servers = command.servers()
    command.interrupt(number)
    if number is signal.SIGINT:
        assert_interrupted(command, servers)
    else:
        assert wait_for_end(servers) < LIMIT_S
        command.process.wait(LIMIT_S)
    content = measurements().read_text()
    assert content.endswith("\n")
    header, *rows = [json.loads(line) for line in content.splitlines()]
    assert header["header"]["cores"] >= 1
    assert len(rows) >= 4
    assert len(read_measurements(measurements())[1]) == sum("kind" in row for row in rows) > 0  # the others tell what is finished
    assert not (tmp_path / "data" / "coefficients").exists()
