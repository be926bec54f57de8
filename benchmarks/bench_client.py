"""What the client costs: CPU seconds of our process per streamed token, with many streams from a server of known speed.

Run with ``python benchmarks/bench_client.py [STREAMS]``. The server is a process of its own (``tests/live/paced_server.py``); what
is counted is the whole executor: streams, clock, progress, sampling, journal.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "live"))

from process_engine import ProcessEngine, paced, specs_of, together

from mmpredict.live.execute import execute_plan
from mmpredict.live.journal import Journal
from mmpredict.results.records import Records
from mmpredict.workload.request import Request, Workload

GAPS_S = (0.5, 0.2, 0.05)
PREFILL_S = 0.2
SECONDS = 12.0


@dataclass(frozen=True, slots=True)
class Cost:
    """One run.

    Attributes:
        tokens: that came [1].
        serving_s: from the first request sent to the last token [s].
        cpu_s: of our process, from before the load to after the unload [s].
        errors: of each answer, time between tokens as seen ÷ as sent − 1 [1].
        records: of the run.
    """

    tokens: int
    serving_s: float
    cpu_s: float
    errors: list[float]
    records: Records

    def __str__(self) -> str:
        rate, worst = self.tokens / self.serving_s, max(abs(error) for error in self.errors)
        share = self.cpu_s / self.serving_s
        return (
            f"{rate:6.0f} tokens/s: {self.cpu_s / self.tokens * 1e6:4.0f} us of CPU per token, {share:.2%} of a core, "
            f"{share / (os.cpu_count() or 1):.2%} of the machine; speeds off by {median(map(abs, self.errors)):.3%} in the median, "
            f"{worst:.3%} at most"
        )


def measure(streams: int, gap_s: float, tokens: int, requests: int, limit_s: float = 600.0) -> Cost:
    """Run ``requests`` requests of ``tokens`` tokens each, ``streams`` at a time.

    Raises:
        RuntimeError: a request was not answered.
    """
    workload = Workload(tuple(Request(f"r{number}", "it", 16, tokens) for number in range(requests)))
    engine = ProcessEngine({"it": paced(PREFILL_S, gap_s)})
    plan = together("it", concurrency=streams, slots=min(256, streams))
    with tempfile.TemporaryDirectory() as place, Journal(Path(place) / "rows.jsonl") as journal:
        begin_s = time.process_time()
        records = execute_plan(
            plan, workload, specs_of("it"), 1e15, Path(place), limit_s=limit_s, progress=_quiet, engine=engine, journal=journal
        )
        cpu_s = time.process_time() - begin_s
    if lost := {row.status for row in records.requests} - {"ok"}:
        raise RuntimeError(f"requests failed: {lost}")
    serving_s = max(row.finish_s for row in records.requests) - min(row.dispatched_s for row in records.requests)
    return Cost(sum(row.output_tokens for row in records.requests), serving_s, cpu_s, engine.loaded["it"].errors(), records)


def _quiet(label: str, fraction: float) -> None:
    """Progress that nobody looks at."""


def main() -> None:
    """Measure at several speeds."""
    streams = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    measure(2, 0.01, 10, 4)  # imports and first calls
    for gap_s in GAPS_S:
        print(f"{streams} streams, {measure(streams, gap_s, round(SECONDS / gap_s), streams)}", flush=True)


if __name__ == "__main__":
    main()
