"""Several requests at once on one server: predictions held against runs that others published, none of them used for any fit.

Run with ``python benchmarks/published_concurrency.py TABLE.csv …``. A table has a row per run, with the columns ``hardware``,
``engine``, ``models``, ``quant``, ``prompt_tokens``, ``gen_tokens``, ``notes``, a number of users (``n_parallel`` or
``n_parallel_or_users``), and what was measured: ``tg_tps_total`` or ``aggregate_tps`` (output tokens ÷ wall time),
``ttft_mean_s``, ``ttft_p50_s``, ``ttft_p95_s`` (of few users, the last one's) or ``ttft_ms``, ``itl_mean_ms``, ``per_user_tps``
(1000 ÷ ITL where the notes say so); ``backend``, ``build`` and ``metric`` where there are any.

Each run is simulated at the shipped rates on a llama-server with as many slots as the row states, or as it has users; Ollama
without a stated number of parallel requests serves one after another. Errors are predicted ÷ measured − 1.
"""

from __future__ import annotations

import csv
import re
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mmpredict.calibrate.published import read_tables
from mmpredict.calibrate.rates_fit import measured_spec
from mmpredict.cost.draw import Draw
from mmpredict.errors import MmpredictError
from mmpredict.hardware.library import find_profile
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.simulation.run import simulate
from mmpredict.sizing.costs import PlannedServer, UncalibratedMachine
from mmpredict.workload.request import Request, Workload

PUBLISHED = Path(__file__).resolve().parent.parent / "calibration" / "published"
READY_S = 1000.0  # requests come when the server has long been loaded
ROUNDS = 5  # requests of each user of a closed loop
SPARE_TOKENS = 256  # of a slot's context
AGGREGATE, TTFT, ITL = "aggregate tokens/s", "TTFT", "ITL"

MACHINES: tuple[tuple[str, str, str], ...] = (
    (r"ai max.*windows", "", "another driver (Windows)"),
    (r"^([2-9]|\d\d+)x ", "", "several GPUs"),
    (r"flow z13", "ms-s1-max:quiet", ""),  # 70 W, the mode of 60 W is the nearest
    (r"ai max|strix halo|gtr9|evo-x2", "ms-s1-max", ""),
    (r"rtx 3090", "rtx-3090", ""),
    (r"jetson orin nano.*super", "jetson-orin-nano-super", ""),
    (r"jetson orin nano", "jetson-orin-nano", ""),
    (r"orin nx", "jetson-orin-nx-16gb", ""),
    (r"apple m4 max", "apple-m4-max", ""),
    (r"apple m4", "apple-m4", ""),
)
"""Words of a machine → its profile, or why it has none; the first that is found counts."""

UNUSABLE: tuple[tuple[str, str], ...] = (
    (r"batched-bench|llama-bench|proxy", "a benchmark program, no server (some of them are part of the fit)"),
    (r"vllm|tgi|mlx|ik_llama|halogen|jetsonfabric|lm[- ]studio|flm", "another engine"),
    (r"fork|patched|turbo3|(?<!un)tuned", "a fork or a patched build"),
    (r"speculative|spec-(?!none)|mtp", "speculative decoding"),
    (r"co-run|three models|max_loaded_models|two instances|within |replicas", "several servers or models"),
    (r"probably cpu|embed|rerank", "not a model that generates on a known processor"),
    (r"q8_k_xl", "a UD-Q8_K_XL file, whose matrices in BF16 follow from its size alone, which is not stated"),
    (r"as logged", "the aggregate is a sum over streams, not over the wall time"),
)
_BACKENDS = ("vulkan", "rocm", "cuda", "metal")


@dataclass(frozen=True, slots=True)
class Run:
    """A published run, as far as it can be simulated."""

    machine: str
    hardware: str
    backend: str
    spec: ModelSpec
    users: int
    slots: int
    loop: bool
    prompt_tokens: int
    output_tokens: int
    ubatch_tokens: int
    cache_type: str
    measured: dict[str, tuple[float, str]]
    """metric → (value [tokens/s, s], which mean)."""


class UnusableError(Exception):
    """Why a row cannot be predicted."""


def understood(row: Mapping[str, str]) -> Run:
    """The run of a row."""
    words = " ".join(str(value) for value in row.values()).lower()
    for pattern, reason in UNUSABLE:
        if re.search(pattern, words):
            raise UnusableError(reason)
    if row["source"] in _fitted_sources():
        raise UnusableError("part of the fit")
    users = _number(row.get("n_parallel") or row.get("n_parallel_or_users") or "", "number of users")
    prompt, output = _number(row["prompt_tokens"], "prompt length"), _number(row["gen_tokens"], "output length")
    if not (measured := _measured(row)):
        raise UnusableError("nothing measured that is predicted")
    hardware = row["hardware"].lower()
    machine, reason = next(
        ((name, why) for pattern, name, why in MACHINES if re.search(pattern, hardware)), ("", "no profile of the machine")
    )
    if not machine:
        raise UnusableError(reason)
    notes = row["notes"].lower()
    ubatch = re.search(r"\bub ?(\d+)|/ub (\d+)", notes)
    cache = re.search(r"kv (q\d_\d)", notes)
    return Run(
        machine=machine,
        hardware=row["hardware"],
        backend=next((name for name in _BACKENDS if name in f"{row.get('backend', '')} {row['engine']}".lower()), ""),
        spec=_spec(row["models"], row["quant"]),
        users=users,
        slots=_slots(row, users),
        loop="closed loop" in words or "orchestrator" in words,
        prompt_tokens=prompt,
        output_tokens=output,
        ubatch_tokens=int(ubatch[1] or ubatch[2]) if ubatch else 512,
        cache_type=cache[1] if cache else "f16",
        measured=measured,
    )


def _measured(row: Mapping[str, str]) -> dict[str, tuple[float, str]]:
    def cell(name: str) -> float:
        try:
            return float(row.get(name) or 0)
        except ValueError:
            return 0.0

    itl_s = cell("itl_mean_ms") / 1e3
    if "1000/itl" in row["notes"].lower() and cell("per_user_tps"):
        itl_s = 1 / cell("per_user_tps")
    ttft = [
        (cell("ttft_mean_s"), "mean"),
        (cell("ttft_p50_s"), "median"),
        (cell("ttft_ms") / 1e3, "mean"),
        (cell("ttft_p95_s"), "max"),
    ]
    found = {
        AGGREGATE: (cell("tg_tps_total") or cell("aggregate_tps"), ""),
        TTFT: next((one for one in ttft if one[0]), (0.0, "")),
        ITL: (itl_s, "mean"),
    }
    return {name: one for name, one in found.items() if one[0]}


def _slots(row: Mapping[str, str], users: int) -> int:
    words = f"{row['engine']} {row['notes']} {row.get('metric', '')}".lower()
    if re.search(r"single[- ]slot|\b1 slot\b", words):
        return 1
    stated = re.search(r"-np (\d+)|n_parallel (\d+)|num_parallel=(\d+)|\bnp(\d+)", words)
    if stated:
        return int(next(group for group in stated.groups() if group))
    return 1 if "ollama" in words else users


def _number(text: str, what: str) -> int:
    """A number, or the middle of a range."""
    found = [int(one) for one in re.findall(r"\d+", text)]
    if not found or "+" in text or ">" in text:
        raise UnusableError(f"{what} not stated")
    return max(1, round(statistics.fmean(found[:2])))


@lru_cache(1)
def _fitted_sources() -> frozenset[str]:
    return frozenset(row.source for row in read_tables(sorted(PUBLISHED.glob("*.csv"))))


@lru_cache(256)
def _spec(models: str, quant: str) -> ModelSpec:
    file_type = quant.split()[0].removeprefix("gguf-").upper() if quant else ""
    name = re.sub(rf"[-.]({re.escape(file_type)})$|-it\b| \(.*\)", "", models, flags=re.IGNORECASE) if file_type else models
    try:
        return measured_spec(re.sub(r"-it$", "", name), file_type, 0)
    except MmpredictError:
        raise UnusableError(f"model or file type not known: {models} {quant}") from None


@lru_cache(32)
def _machine(name: str, backend: str) -> UncalibratedMachine:
    return UncalibratedMachine(find_profile(name), backend or None)


def predicted(run: Run) -> dict[str, float]:
    """Metric → value of the simulated run."""
    name = run.spec.name
    context = run.slots * (run.prompt_tokens + run.output_tokens + SPARE_TOKENS)
    kind = run.cache_type
    one = InstancePlan(name, name, 1, None, context, run.slots, max(2048, run.ubatch_tokens), run.ubatch_tokens, True, kind, kind)
    source = _machine(run.machine, run.backend).source([[PlannedServer(run.spec, one.threads, one.cache)]])
    requests = []
    for user in range(run.users):
        for number in range(ROUNDS if run.loop else 1):
            after = (f"{user}.{number - 1}",) if number else ()
            requests.append(Request(f"{user}.{number}", name, run.prompt_tokens, run.output_tokens, READY_S, after=after))
    plan = Plan("one server", (one,), (Stage((name,)),))
    rows = simulate(plan, Workload(tuple(requests)), {name: run.spec}, source.costs(Draw()), 1e15).requests
    tokens = sum(row.output_tokens for row in rows)
    found = {AGGREGATE: tokens / (max(row.finish_s for row in rows) - READY_S)}
    means = {"mean": statistics.fmean, "median": statistics.median, "max": max, "": max}
    found[TTFT] = means[run.measured.get(TTFT, (0, "mean"))[1]]([row.first_token_s - row.arrival_s for row in rows])
    found[ITL] = statistics.fmean((row.finish_s - row.first_token_s) / max(1, row.output_tokens - 1) for row in rows)
    return found


def tables(paths: list[Path]) -> Iterator[str]:
    """Errors by machine, backend and metric, and why rows are left out."""
    errors: dict[tuple[str, str, str, str], list[float]] = defaultdict(list)
    left_out: Counter[str] = Counter()
    total = 0
    for path in paths:
        for row in csv.DictReader(path.read_text("utf-8").splitlines()):
            total += 1
            try:
                run = understood(row)
                found = predicted(run)
            except UnusableError as error:
                left_out[str(error)] += 1
                continue
            except MmpredictError as error:
                left_out[f"cannot be predicted: {error}"] += 1
                continue
            users = "1 user" if run.users == 1 else "2 to 8 users" if run.users <= 8 else "more users"
            for metric, (value, _) in run.measured.items():
                key = (f"{run.hardware}, as {run.machine}", run.backend or "default", metric, users)
                errors[key].append(found[metric] / value - 1)
    used = total - sum(left_out.values())
    yield f"{total} rows, {used} predicted.\n"
    yield "| machine | backend | metric | users | runs | median error | 90th percentile | bias |\n|---|---|---|---|---|---|---|---|"
    for key in sorted(errors):
        found_errors = sorted(map(abs, errors[key]))
        p90 = found_errors[min(len(found_errors) - 1, int(0.9 * len(found_errors)))]
        cells = (statistics.median(found_errors), p90, statistics.median(errors[key]))
        percents = f"{100 * cells[0]:.0f} % | {100 * cells[1]:.0f} % | {100 * cells[2]:+.0f} %"
        yield f"| {' | '.join(key)} | {len(found_errors)} | {percents} |"
    yield "\nLeft out:\n"
    for reason, count in left_out.most_common():
        yield f"- {count}: {reason}"


if __name__ == "__main__":
    for line in tables([Path(name) for name in sys.argv[1:]] or sys.exit(__doc__)):
        print(line)
