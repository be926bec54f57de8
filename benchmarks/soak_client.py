"""Many streams for minutes: are speeds recovered, and does memory stay?

Run with ``python benchmarks/soak_client.py [MINUTES] [STREAMS]``. Requests of some 20 s each follow one another on every stream, at
20 tokens/s, from a server that tells when it really sent (``tests/live/paced_server.py``). Exit code 1 if a speed is off by more
than 1 % or memory grew by more than what the rows of the run take.
"""

from __future__ import annotations

import sys
import threading
import time

import psutil
from bench_client import PREFILL_S, measure

GAP_S = 0.05
TOKENS = 400
SAMPLE_S = 2.0
WARM_S = 60.0
TOLERANCE = 0.01
BYTES_PER_ROW = 1000.0


class Watch(threading.Thread):
    """Resident memory of this process, every two seconds."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[float, int]] = []
        self.done = threading.Event()

    def run(self) -> None:
        begin_s = time.perf_counter()
        while not self.done.wait(SAMPLE_S):
            self.seen.append((time.perf_counter() - begin_s, psutil.Process().memory_info().rss))


def main() -> int:
    """Soak, print, judge."""
    minutes, streams = (float(sys.argv[1]) if len(sys.argv) > 1 else 5.0), (int(sys.argv[2]) if len(sys.argv) > 2 else 64)
    turns = max(1, round(minutes * 60.0 / (PREFILL_S + TOKENS * GAP_S)))
    measure(2, 0.01, 10, 4)
    watch = Watch()
    watch.start()
    cost = measure(streams, GAP_S, TOKENS, streams * turns, limit_s=minutes * 120.0 + 120.0)
    watch.done.set()
    watch.join()
    warm = [size for moment_s, size in watch.seen if moment_s >= min(WARM_S, watch.seen[-1][0] / 2)]
    grown = warm[-1] - warm[0]
    rows = len(cost.records.states) + len(cost.records.activities) + len(cost.records.requests)
    print(f"{streams} streams, {streams * turns} requests in {cost.serving_s:.0f} s, {cost}")
    print(f"resident memory: {warm[0] / 1e6:.1f} MB after warm-up, {warm[-1] / 1e6:.1f} MB at the end, {rows} rows kept")
    good = max(map(abs, cost.errors)) <= TOLERANCE and grown <= rows * BYTES_PER_ROW
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
