"""A short measurement of how fast this machine's cores read its memory."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from mmpredict.hardware.quantity import Quantity
from mmpredict.units import GIB, MIB, format_bytes

SMALLEST_BYTES = 64 * MIB
USUAL_BYTES = 256 * MIB
LARGEST_BYTES = GIB
CACHES_TIMES = 3  # arrays this many times larger than the caches leave those little to answer
LARGEST_SHARE = 0.25  # of the available memory
LEAST_REPEATS, MOST_REPEATS = 5, 25
PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What a probe came to.

    Attributes:
        quantity: the figure; None where nothing could be measured.
        remark: why not, or what to keep in mind, as a sentence; may be empty.
    """

    quantity: Quantity | None
    remark: str = ""


def probe_bytes(available_bytes: float, caches_bytes: float) -> int:
    """How much memory to read: beyond the caches, within what is available; 0 where that is too little [bytes]."""
    wanted = min(LARGEST_BYTES, max(USUAL_BYTES, CACHES_TIMES * caches_bytes))
    size = int(min(wanted, LARGEST_SHARE * available_bytes))
    return size if size >= SMALLEST_BYTES else 0


def measure_memory(
    threads: int, size_bytes: int, caches_bytes: float, measured_on: str, progress: Callable[[float], None] = lambda _: None
) -> Measured:
    """Read bandwidth of memory: every thread takes the maximum of an array of its own, all of them at the same time.

    It is what a memory-bound program reaches, not the peak of the chips: one pass reads every byte once and writes nothing. The
    figure is the median of the passes, the interval from the slowest to the fastest.

    Args:
        threads: one per core [1].
        size_bytes: of all arrays together, see ``probe_bytes`` [bytes].
        caches_bytes: of the last cache [bytes]; 0 where unknown.
        measured_on: date of the measurement.
        progress: told the fraction done.
    """
    if size_bytes <= 0:
        return Measured(None, f"Memory bandwidth: less than {format_bytes(SMALLEST_BYTES / LARGEST_SHARE)} of memory is available.")
    try:
        passes = _time_passes(threads, size_bytes // threads // 8, progress)
    except MemoryError:
        return Measured(None, f"Memory bandwidth: {format_bytes(size_bytes)} could not be had.")
    read = size_bytes // threads // 8 * 8 * threads
    rates = [read / duration_s for duration_s in passes]
    remark = ""
    if size_bytes < CACHES_TIMES * caches_bytes:
        held, of = format_bytes(caches_bytes), format_bytes(size_bytes)
        remark = f"Memory bandwidth: caches of {held} hold a part of the {of} that were read."
    source = f"measured by mmpredict: reads of {format_bytes(read)} by {threads} threads, median of {len(rates)} passes"
    return Measured(rate_of(rates, source, measured_on), remark)


def rate_of(rates: list[float], source: str, measured_on: str) -> Quantity:
    """The median of measured rates with the slowest and the fastest, to the four digits that a short measurement deserves."""
    value, low, high = (float(f"{rate:.4g}") for rate in (statistics.median(rates), min(rates), max(rates)))
    return Quantity(value=value, low=low, high=high, source=source, date=measured_on)


def _time_passes(threads: int, items: int, progress: Callable[[float], None]) -> list[float]:
    """Durations of passes over ``items`` 8-byte numbers per thread [s]. numpy lets go of Python's lock while it reads."""
    import numpy as np

    gate = threading.Barrier(threads + 1)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            numbers = np.ones(items, dtype=np.int64)  # made by the thread that reads it: near its core
            while True:
                gate.wait()
                np.maximum.reduce(numbers)
                gate.wait()
        except threading.BrokenBarrierError:
            pass
        except BaseException as error:
            failed.append(error)
            gate.abort()

    workers = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
    durations: list[float] = []
    try:
        for worker in workers:
            worker.start()
        end = 0.0
        for number in range(MOST_REPEATS + 1):
            gate.wait()
            begin = time.perf_counter()
            gate.wait()
            now = time.perf_counter()
            end = end or now + PATIENCE_S
            if number:  # the first pass also wakes the clocks up
                durations.append(now - begin)
            progress(max(number / MOST_REPEATS, 1 - (end - now) / PATIENCE_S))
            if now > end and len(durations) >= LEAST_REPEATS:
                break
    except threading.BrokenBarrierError:
        raise MemoryError from (failed[0] if failed else None)
    finally:
        gate.abort()
        for worker in workers:
            if worker.ident is not None:
                worker.join()
    return durations
