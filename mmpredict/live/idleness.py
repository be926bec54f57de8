"""Whether a process that should work does anything: one that is stopped, or waits for ever, uses no processor and reads nothing."""

from __future__ import annotations

from time import perf_counter

import psutil


class Idleness:
    """How long a process has done nothing.

    Args:
        pid: of the process.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._work: tuple[float, ...] | None = None
        self._since_s = perf_counter()

    def idle_s(self) -> float:
        """Time since it was last seen to have worked, or since the first look [s]; 0 where it cannot be looked at."""
        try:
            work = _work(psutil.Process(self._pid))
        except psutil.Error:
            return 0.0
        if work != self._work:
            self._work, self._since_s = work, perf_counter()
        return perf_counter() - self._since_s


def _work(process: psutil.Process) -> tuple[float, ...]:
    """What a process has done so far: processor time of its own and of the system for it, bytes read from storage and elsewhere.

    While it waits for storage it counts as at work: the time is part of it.
    """
    times = process.cpu_times()
    done = [times.user, times.system]
    if hasattr(process, "io_counters"):  # not on every system
        read = process.io_counters()
        done += [read.read_bytes, getattr(read, "read_chars", 0)]
    if process.status() == psutil.STATUS_DISK_SLEEP:
        done.append(perf_counter())
    return tuple(done)
