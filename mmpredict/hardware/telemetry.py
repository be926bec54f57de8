"""What running processes use, read from the operating system."""

from __future__ import annotations

from pathlib import Path

import psutil

from mmpredict.units import KIB


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
