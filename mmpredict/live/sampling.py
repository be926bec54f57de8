"""What machine and servers use while a run goes on, looked at from a thread of its own."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping
from time import thread_time
from typing import Protocol

from mmpredict.errors import MmpredictError
from mmpredict.hardware.sensor import Reading, Sensor, machine_power
from mmpredict.hardware.telemetry import CpuUse
from mmpredict.results.columns import StateRow

INTERVAL_S = 0.25
LONGEST_INTERVAL_S = 2.5
MAX_SHARE = 0.005
"""Part of a core that looking may take: the memory of a large process takes tens of milliseconds to add up [1]."""


class Weighed(Protocol):
    """A server whose memory can be seen."""

    def memory_bytes(self) -> float:
        """Memory that it takes now [bytes]; ``nan`` where that cannot be seen, 0 once it is gone."""


class Sampler:
    """Records the states of a run every quarter of a second, or less often where looking takes long.

    Used as a context manager: it looks while the block runs, and once more if that ends well.

    Args:
        servers: gives the servers that are loaded now, by name.
        sensors: of the machine; closed at the end.
        capacity_bytes: memory that the instances may use together [bytes].
        cores: of the machine [1].
        clock: the run's, which only goes forward [s].
        record: takes the rows.
        tick: called after each look.

    Attributes:
        trouble: why rows could not be recorded; looking has ended then.
    """

    def __init__(
        self,
        servers: Callable[[], Mapping[str, Weighed]],
        sensors: Iterable[Sensor],
        capacity_bytes: float,
        cores: int,
        clock: Callable[[], float],
        record: Callable[[StateRow], None],
        tick: Callable[[], None],
    ) -> None:
        self._servers, self._sensors, self._tick = servers, tuple(sensors), tick
        self._capacity_bytes, self._cores = capacity_bytes, cores
        self._clock, self._record = clock, record
        self._cpu = CpuUse()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.trouble: MmpredictError | None = None

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        try:
            if kind is None:
                self.look()
        finally:
            for sensor in self._sensors:
                sensor.close()

    def look(self) -> None:
        """Record what is used now.

        Raises:
            StorageError: the rows cannot be written.
        """
        with self._lock:
            for row in [*self._memory(), *self._machine()]:
                self._record(row)

    def look_at_memory(self) -> None:
        """Record what the servers use now, for example before they are unloaded (errors as ``look``)."""
        with self._lock:
            for row in self._memory():
                self._record(row)

    def _memory(self) -> Iterable[StateRow]:
        """Memory of each instance, and of all where every one could be seen."""
        used = {name: server.memory_bytes() for name, server in self._servers().items()}
        now_s = self._clock()
        if used and not any(math.isnan(size) for size in used.values()):
            yield StateRow(now_s, "memory", sum(used.values()), self._capacity_bytes)
        for name, size in used.items():
            if size > 0:
                yield StateRow(now_s, f"memory:{name}", size, self._capacity_bytes)

    def _machine(self) -> Iterable[StateRow]:
        now_s = self._clock()
        readings: list[Reading] = [reading for sensor in self._sensors for reading in sensor.read(now_s)]
        power = machine_power(readings)
        for reading in [*readings, *([power] if power else [])]:
            yield StateRow(now_s, reading.resource, reading.used, reading.capacity)
        busy = self._cpu.busy_cores()
        if not math.isnan(busy):
            yield StateRow(now_s, "cores", busy, self._cores)

    def _run(self) -> None:
        pause_s = 0.0
        while not self._stop.wait(pause_s):
            begin_s = thread_time()
            try:
                self.look()
            except MmpredictError as error:
                self.trouble = error
                return
            self._tick()
            pause_s = min(LONGEST_INTERVAL_S, max(INTERVAL_S, (thread_time() - begin_s) / MAX_SHARE))
