"""The order of a calibration, its end, and what an interruption leaves: with tasks that measure nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from mmpredict.calibrate import measurement
from mmpredict.calibrate import run as running
from mmpredict.calibrate.measurement import AT_S, ROUND, Measurement, measured_at_s, read_measurements
from mmpredict.calibrate.protocol import Protocol
from mmpredict.calibrate.run import Calibration
from mmpredict.calibrate.tasks import Task
from mmpredict.errors import InputError
from mmpredict.hardware.library import find_profile

NAMES = ("a", "b", "c", "d", "e", "f")


class Lab:
    """Tasks with durations of their own, in place of servers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.order: list[str] = []
        self.broken = ""
        self.spread = dict.fromkeys(NAMES, 0.0)
        self.now_s = 1000.0
        monkeypatch.setattr(measurement, "time", lambda: self.now_s)
        monkeypatch.setattr(running, "materialize", lambda spec: Path("none.gguf"))
        monkeypatch.setattr(running, "round_tasks", lambda measuring, specs: self.tasks())

    def tasks(self) -> list[Task]:
        made = [Task(name, 1.0, partial(self.measure, name), server=(name, 1, None)) for name in NAMES]
        return [*made, Task("once", 1.0, partial(self.measure, "once"), once=True)]

    def measure(self, name: str) -> Iterator[Measurement]:
        number = self.order.count(name)
        self.order.append(name)
        spread = self.spread.get(name, 0.0)
        yield Measurement("prefill", name, 1, None, {"tokens": 8, "duration_s": 1.0 + spread * number})
        if name == self.broken:
            raise KeyboardInterrupt
        yield Measurement("prefill", name, 1, None, {"tokens": 16, "duration_s": 2.0 + spread * number})


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    return Lab(monkeypatch)


def calibration(seed: int = 0, **changes: object) -> Calibration:
    return Calibration(find_profile(), "2026-01-01", replace(Protocol(), **changes), seed)  # type: ignore[arg-type]


def test_every_round_has_an_order_of_its_own_and_seeds_repeat_it(lab: Lab, tmp_path: Path) -> None:
    _, rows = calibration().run(path=tmp_path / "one.jsonl")
    first, lab.order = lab.order, []
    assert [first.count(name) for name in (*NAMES, "once")] == [3] * len(NAMES) + [1]
    rounds = [[name for name in first[begin:end] if name != "once"] for begin, end in ((0, 7), (7, 13), (13, 19))]
    assert all(sorted(one) == list(NAMES) for one in rounds) and len({tuple(one) for one in rounds}) == 3
    assert {int(row.number(ROUND)) for row in rows if row.model == "a"} == {0, 1, 2}
    calibration().run(path=tmp_path / "two.jsonl")
    assert lab.order == first
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


def test_measurements_say_when_they_were_made_those_of_earlier_rounds_too(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    calibration().run(path=path)
    lab.now_s = 4600.4
    again = calibration()
    again.specs |= dict.fromkeys((*NAMES, "once"), again.specs[Protocol().models[0]])
    _, rows = again.run(path=path, add=True)
    found = {(int(row.number(ROUND)), row.number(AT_S)) for row in rows}
    assert found == {(turn, 1000.0 if turn < 3 else 4600.0) for turn in range(6)}
    assert measured_at_s(rows) == 2800.0
    assert measured_at_s([replace(row, values={"duration_s": 1.0}) for row in rows]) is None


def test_only_what_is_not_settled_is_repeated_beyond_the_usual_rounds(lab: Lab, tmp_path: Path) -> None:
    lab.spread["c"] = 0.5
    calibration(most_rounds=5).run(path=tmp_path / "rows.jsonl")
    assert [lab.order.count(name) for name in NAMES] == [3, 3, 5, 3, 3, 3]


def test_when_the_time_is_up_the_first_round_is_finished_and_no_more(lab: Lab, tmp_path: Path) -> None:
    calibration(limit_s=0.0).run(path=tmp_path / "rows.jsonl")
    assert sorted(lab.order) == sorted((*NAMES, "once"))


def test_an_interrupted_run_keeps_its_figures_and_goes_on_where_it_was(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lab.broken = "d"
    with pytest.raises(KeyboardInterrupt):
        calibration().run(path=path)
    done = lab.order[:-1]
    assert not path.exists()
    _, kept = read_measurements(path.with_name("rows.jsonl.partial"))
    assert [row.model for row in kept] == [name for name in done for _ in range(2)] + ["d"]
    lab.broken, lab.order = "", []
    _, rows = calibration().run(path=path, resume=True)
    assert not set(done) & set(lab.order[: 7 - len(done)]), "finished stretches are not measured again"
    assert read_measurements(path)[1] == rows
    assert [row.number("tokens") for row in rows if row.model == "d"] == [8.0, 16.0] * 3, "what was cut off is measured anew"
    assert not path.with_name("rows.jsonl.partial").exists()


def test_there_must_be_something_to_continue_and_of_the_same_kind(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with pytest.raises(InputError, match=r"no interrupted calibration to continue .*without --resume"):
        calibration().run(path=path, resume=True)
    lab.broken = "d"
    with pytest.raises(KeyboardInterrupt):
        calibration().run(path=path)
    with pytest.raises(InputError, match=r"is of protocol 'quick', this is 'full'"):
        Calibration(find_profile(), "2026-01-01", Protocol.named("full")).run(path=path, resume=True)


def test_company_alone_is_added_to_measurements_that_there_are(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    company = Calibration(find_profile(), "2026-01-02", Protocol.named("contention"))
    with pytest.raises(InputError, match=r"no measurements to add to .*run: mmpredict calibrate run"):
        company.run(path=path)
    _, before = calibration().run(path=path)
    for row in before:
        company.specs[row.model] = company.specs[Protocol().models[0]]  # names of invented models mean nothing elsewhere
    _, after = company.run(path=path)
    assert after[: len(before)] == before
    assert {int(row.number(ROUND)) for row in after[len(before) :]} == {3, 4, 5}


def test_another_hours_rounds_are_added(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with pytest.raises(InputError, match=r"no measurements to add to .*run: mmpredict calibrate run"):
        calibration().run(path=path, add=True)
    _, before = calibration().run(path=path)
    again = calibration()
    for row in before:
        again.specs[row.model] = again.specs[Protocol().models[0]]  # names of invented models mean nothing elsewhere
    _, after = again.run(path=path, add=True)
    assert after[: len(before)] == before
    assert len(after) == 2 * len(before)
    assert {int(row.number(ROUND)) for row in after[len(before) :]} == {3, 4, 5}
    assert read_measurements(path)[1] == after
