"""What the client costs: CPU seconds of our process per streamed token, with many streams from a server of known speed.

Run with ``python benchmarks/bench_client.py [STREAMS [MODEL]]``. The server is a process of its own
(``tests/live/paced_server.py``), or, with a model, an embedded llama.cpp with a slot for each stream and all cores: its tokens come
as fast as this machine makes them. What is counted is the whole executor: streams, clock, progress, sampling, journal.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "live"))

from process_engine import ProcessEngine, paced, specs_of, together

from mmpredict.live.embedded_engine import EmbeddedEngine
from mmpredict.live.engine import Engine
from mmpredict.live.execute import execute_plan
from mmpredict.live.journal import Journal
from mmpredict.models.resolve import resolve
from mmpredict.models.spec import ModelSpec
from mmpredict.results.records import Records
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.workload.request import Request, Workload

GAPS_S = (0.5, 0.2, 0.05)
PREFILL_S = 0.2
SECONDS = 12.0
PROMPT_TOKENS = 16
REAL_TOKENS = 100


@dataclass(frozen=True, slots=True)
class Cost:
    """One run.

    Attributes:
        tokens: that came [1].
        serving_s: from the first request sent to the last token [s].
        cpu_s: of our process, from before the load to after the unload [s].
        errors: of each answer, time between tokens as seen ÷ as sent − 1; none where the server does not tell [1].
        records: of the run.
    """

    tokens: int
    serving_s: float
    cpu_s: float
    errors: list[float]
    records: Records

    def __str__(self) -> str:
        rate, share, off = self.tokens / self.serving_s, self.cpu_s / self.serving_s, [abs(error) for error in self.errors]
        return (
            f"{rate:6.0f} tokens/s: {self.cpu_s / self.tokens * 1e6:4.0f} us of CPU per token, {share:.2%} of a core, "
            f"{share / (os.cpu_count() or 1):.2%} of the machine"
            + (f"; speeds off by {median(off):.3%} in the median, {max(off):.3%} at most" if off else "")
        )


class Prepared(EmbeddedEngine):
    """Finds its files ready, as reading them is none of the client's cost."""

    def prepare(self, plan: Plan, specs: Mapping[str, ModelSpec], cold: bool) -> None:
        """Nothing to do."""


def measure(streams: int, gap_s: float, tokens: int, requests: int, limit_s: float = 600.0) -> Cost:
    """Run ``requests`` requests of ``tokens`` tokens each, ``streams`` at a time.

    Raises:
        RuntimeError: a request was not answered.
    """
    engine = ProcessEngine({"it": paced(PREFILL_S, gap_s)})
    plan = together("it", concurrency=streams, slots=min(256, streams))
    cost = _cost(engine, plan, "it", specs_of("it"), tokens, requests, limit_s)
    return replace(cost, errors=engine.loaded["it"].errors())


def measure_real(streams: int, model: str, tokens: int, limit_s: float = 600.0) -> Cost:
    """The same with a real model, a request for each stream.

    Raises:
        RuntimeError: a request was not answered.
    """
    cells = (PROMPT_TOKENS + tokens) * streams
    server = InstancePlan(model, model, os.cpu_count() or 1, context_tokens=max(4096, 256 * -(-cells // 256)), slots=streams)
    plan, specs, engine = Plan("real", (server,), (Stage((model,), streams),)), {model: resolve(model)}, Prepared()
    EmbeddedEngine.prepare(engine, plan, specs, cold=False)
    return _cost(engine, plan, model, specs, tokens, streams, limit_s)


def _cost(engine: Engine, plan: Plan, model: str, specs: dict[str, ModelSpec], tokens: int, requests: int, limit_s: float) -> Cost:
    workload = Workload(tuple(Request(f"r{number}", model, PROMPT_TOKENS, tokens) for number in range(requests)))
    with tempfile.TemporaryDirectory() as place, Journal(Path(place) / "rows.jsonl") as journal:
        begin_s = time.process_time()
        records = execute_plan(
            plan, workload, specs, 1e15, Path(place), limit_s=limit_s, progress=_quiet, engine=engine, journal=journal
        )
        cpu_s = time.process_time() - begin_s
    if lost := {row.status for row in records.requests} - {"ok"}:
        raise RuntimeError(f"requests failed: {lost}")
    serving_s = max(row.finish_s for row in records.requests) - min(row.dispatched_s for row in records.requests)
    return Cost(sum(row.output_tokens for row in records.requests), serving_s, cpu_s, [], records)


def _quiet(label: str, fraction: float) -> None:
    """Progress that nobody looks at."""


def main() -> None:
    """Measure at several speeds."""
    streams = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    measure(2, 0.01, 10, 4)  # imports and first calls
    if len(sys.argv) > 2:
        print(f"{streams} streams of {sys.argv[2]}, {measure_real(streams, sys.argv[2], REAL_TOKENS)}", flush=True)
        return
    for gap_s in GAPS_S:
        print(f"{streams} streams, {measure(streams, gap_s, round(SECONDS / gap_s), streams)}", flush=True)


if __name__ == "__main__":
    main()
