"""Looking at servers and machine: what cannot be seen is absent, and looking stays cheap."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from time import perf_counter, sleep, thread_time

import pytest

from mmpredict.errors import StorageError
from mmpredict.hardware.sensor import Reading
from mmpredict.live import sampling
from mmpredict.live.meter import TokenMeter
from mmpredict.live.sampling import Sampler
from mmpredict.results.columns import StateRow


@dataclass
class Weighed:
    size: float

    def memory_bytes(self) -> float:
        return self.size


@dataclass
class Sensing:
    readings: list[Reading]
    closed: bool = False

    def read(self, now_s: float) -> list[Reading]:
        return self.readings

    def close(self) -> None:
        self.closed = True


@dataclass
class Stage:
    """A sampler and what it records."""

    servers: dict[str, Weighed]
    sensors: list[Sensing] = field(default_factory=list)
    rows: list[StateRow] = field(default_factory=list)
    ticks: int = 0
    full: threading.Event = field(default_factory=threading.Event)

    def sampler(self) -> Sampler:
        return Sampler(lambda: self.servers, self.sensors, 100.0, 4, perf_counter, self.record, self.tick)

    def record(self, row: StateRow) -> None:
        if self.full.is_set():
            raise StorageError("full")
        self.rows.append(row)

    def tick(self) -> None:
        self.ticks += 1

    def used(self) -> dict[str, float]:
        return {row.resource: row.used for row in self.rows}


def test_memory_of_each_and_of_all() -> None:
    stage = Stage({"a": Weighed(3.0), "b": Weighed(4.0)})
    stage.sampler().look_at_memory()
    assert stage.used() == {"memory": 7.0, "memory:a": 3.0, "memory:b": 4.0}
    assert {row.capacity for row in stage.rows} == {100.0}


def test_a_server_that_is_gone_takes_nothing_and_one_that_cannot_be_seen_leaves_no_sum() -> None:
    gone = Stage({"a": Weighed(3.0), "b": Weighed(0.0)})
    gone.sampler().look_at_memory()
    assert gone.used() == {"memory": 3.0, "memory:a": 3.0}
    unseen = Stage({"a": Weighed(3.0), "b": Weighed(math.nan)})
    unseen.sampler().look_at_memory()
    assert unseen.used() == {"memory:a": 3.0}
    nobody = Stage({})
    nobody.sampler().look_at_memory()
    assert nobody.rows == []


def test_sensors_are_read_summed_and_closed() -> None:
    stage = Stage({}, [Sensing([Reading("power:gpu0", 50.0, 90.0, "card")]), Sensing([Reading("temperature:cpu", 40.0)])])
    with stage.sampler():
        pass
    assert stage.used() | {"cores": 0.0} == {"power:gpu0": 50.0, "power": 50.0, "temperature:cpu": 40.0, "cores": 0.0}
    assert all(sensor.closed for sensor in stage.sensors)


def test_it_looks_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "INTERVAL_S", 0.01)
    stage = Stage({"a": Weighed(3.0)})
    with stage.sampler():
        limit_s = perf_counter() + 20.0
        while stage.ticks < 3:
            assert perf_counter() < limit_s
            sleep(0.005)
    moments = [row.time_s for row in stage.rows]
    assert moments == sorted(moments)


def test_looking_that_takes_long_is_done_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    class Watched(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0.0)
            return len(pauses) > 2

    class Heavy(Weighed):
        def memory_bytes(self) -> float:
            begin_s = thread_time()
            while thread_time() - begin_s < 0.01:
                pass
            return 1.0

    sampler = Stage({"a": Heavy(1.0)}).sampler()
    monkeypatch.setattr(sampler, "_stop", Watched())
    sampler._run()
    assert pauses[0] == 0.0
    assert all(0.01 / sampling.MAX_SHARE * 0.99 <= pause_s <= sampling.LONGEST_INTERVAL_S for pause_s in pauses[1:])


def test_rows_that_cannot_be_kept_are_trouble_for_those_who_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "INTERVAL_S", 0.01)
    stage = Stage({"a": Weighed(3.0)})
    stage.full.set()
    sampler = stage.sampler()
    with pytest.raises(KeyError), sampler:
        limit_s = perf_counter() + 20.0
        while sampler.trouble is None:
            assert perf_counter() < limit_s
            sleep(0.005)
        raise KeyError
    assert isinstance(sampler.trouble, StorageError)


def test_tokens_per_second() -> None:
    meter = TokenMeter()
    meter.begin("a")
    meter.begin("b")
    assert meter.rate_tokens_per_s(0.0) == 0.0
    for _ in range(30):
        meter.count("a")
        meter.count("b")
    meter.end("a")
    assert meter.streams == 1
    assert meter.rate_tokens_per_s(1.0) == 60.0
    assert meter.rate_tokens_per_s(2.0) == 30.0
    meter.count("b")
    assert meter.rate_tokens_per_s(4.0) == pytest.approx(1 / 2.0)  # of the last two seconds alone
    meter.end("b")
    assert meter.rate_tokens_per_s(7.0) == pytest.approx(0.0)
