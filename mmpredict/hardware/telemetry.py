"""What running processes use, read from the operating system."""

from __future__ import annotations

from pathlib import Path

import psutil

from mmpredict.units import KIB

SHORTEST_LOOK_S = 0.1  # the system counts in hundredths of a second


def busy_cores(watch_s: float = 0.5) -> float:
    """Cores that are busy now, over a short watch [1]: what other programs take from a measurement.

    Args:
        watch_s: how long to watch [s].
    """
    return psutil.cpu_percent(watch_s) / 100.0 * (psutil.cpu_count() or 1)


def memory_bytes(pid: int) -> int:
    """Proportional set size of a process [bytes]: pages shared by n processes count 1/n in each.

    Where the system has no such figure (other than Linux), the resident set size. 0 once the process is gone.
    """
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * KIB
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def memory_kills() -> int | None:
    """Processes that the system ended because memory ran out, since it started [1]; ``None`` where it does not tell."""
    try:
        lines = Path("/proc/vmstat").read_text("ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


class CpuUse:
    """Busy cores between one look and the next."""

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None

    def busy_cores(self) -> float:
        """Cores that were busy in the mean since the last look [1]; ``nan`` at the first, and too soon after the last one."""
        times = psutil.cpu_times()
        waiting_s = times.idle + getattr(times, "iowait", 0.0)
        # Guests' time is part of their users' time, and would count twice.
        total_s = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        cores, last = psutil.cpu_count() or 1, self._last
        if last is not None and total_s - last[0] < cores * SHORTEST_LOOK_S:
            return float("nan")
        self._last = (total_s, waiting_s)
        return float("nan") if last is None else cores * max(0.0, 1.0 - (waiting_s - last[1]) / (total_s - last[0]))
