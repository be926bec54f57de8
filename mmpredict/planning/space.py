"""Every plan that a search looks at: families of strategies, and in each the few settings that matter."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mmpredict.errors import UnknownNameError
from mmpredict.models.cache import padded
from mmpredict.planning.candidate import Candidate, short_names
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.serving import (
    FOREVER_S,
    Group,
    LlamaSwapServing,
    OllamaServing,
    PoolServing,
    RouterServing,
    Serving,
    SwapServing,
)
from mmpredict.strategy.batched import grouped
from mmpredict.strategy.grouping import EXACT_MODELS, Partition, best_partition, duration_s, fits, partitions
from mmpredict.strategy.on_demand import on_demand
from mmpredict.strategy.parallel import parallel, parallel_divided, parallel_yielding
from mmpredict.strategy.sequential import leanest_first, sequential, shortest_first
from mmpredict.strategy.split import placed
from mmpredict.strategy.task import Task

ALL_ORDERS = 4
"""Models up to which every order is tried: 24 of 4."""
ALL_PARTITIONS = 5
"""Models up to which every partition is tried, 52 of 5; beyond, the best by estimate."""
BEST_PARTITIONS = 24
ALL_PLACEMENTS = 4
"""Models up to which every choice of CPU or GPU is tried: 14 of 4."""
SLOTS = (1, 2, 4, 8)
KEEP_ALIVES_S = (0.0, 60.0, 300.0, FOREVER_S)
GPU_SHARES = (0.25, 0.5, 0.75)

FAMILIES = ("sequential", "parallel", "batched", "swap", "pool", "split", "ollama", "llama-swap", "llama-server-router")
"""Families of plans."""
USUAL = FAMILIES[:6]
"""Those that are looked at where nobody names any: what needs no further program, and two that load on demand."""


@dataclass(frozen=True, slots=True)
class Space:
    """What a search may vary.

    Attributes:
        families: of ``FAMILIES``.
        thorough: whether slots, contexts, times to keep models and divided layers are varied too.
        resident: models that must stay loaded.
        cores: threads of the CPU that may work at the same time; None for no limit [1].

    Raises:
        UnknownNameError: no such family.
    """

    families: tuple[str, ...] = USUAL
    thorough: bool = False
    resident: tuple[str, ...] = ()
    cores: int | None = None

    def __post_init__(self) -> None:
        for family in self.families:
            if family not in FAMILIES:
                raise UnknownNameError("family of plans", family, FAMILIES)


def candidates(space: Space, task: Task, serving: Serving | None = None) -> list[Candidate]:
    """Every plan of a space, each once, in an order that does not change.

    Args:
        space: what may vary.
        task: models, their costs, and the machine.
        serving: rules that the scenario names; looked at as they are, besides the families.
    """
    makers: dict[str, Callable[[Task], Iterator[Candidate]]] = {
        "sequential": _sequential,
        "parallel": _parallel,
        "batched": _batched,
        "split": lambda t: _split(space, t),
        "swap": lambda t: _served(t, "swap", [({}, SwapServing())]),
        "pool": lambda t: _served(t, "pool", [({}, PoolServing(budget_bytes=t.memory_bytes))]),
        "ollama": lambda t: _served(t, "ollama", _ollama(space)),
        "llama-swap": lambda t: _served(t, "llama-swap", _llama_swap(space, t)),
        "llama-server-router": lambda t: _served(t, "llama-server-router", _router(t)),
    }
    found: dict[tuple[object, ...], Candidate] = {}
    for option, varied in _options(space, task):
        for family in space.families:
            if family == "sequential" and "slots" in option:
                continue  # one request at a time
            for candidate in makers[family](varied):
                _keep(found, candidate.with_plan(candidate.plan, **option))
        if serving is not None:
            plan = on_demand(task.models, task.cores, varied.options, serving)
            _keep(found, Candidate(plan, {"as": "as the scenario says", **option}))
    return [_judged(candidate, space, task) for candidate in found.values()]


def _keep(found: dict[tuple[object, ...], Candidate], candidate: Candidate) -> None:
    plan = candidate.plan
    found.setdefault((plan.instances, plan.stages, repr(plan.serving)), candidate)


def _options(space: Space, task: Task) -> Iterator[tuple[dict[str, str], Task]]:
    """The task with every setting of slots and context that its requests allow."""
    yield {}, task
    if not space.thorough:
        return
    options = task.options
    for slots in SLOTS:
        if slots != options.slots:
            yield {"slots": f"{slots} slots"}, replace(task, options=replace(options, slots=slots))
    needed = padded(max(task.alone(model).tokens for model in task.models))
    if needed < options.context_tokens:
        yield {"context": f"context {needed}"}, replace(task, options=replace(options, context_tokens=needed))


def _sequential(task: Task) -> Iterator[Candidate]:
    short = short_names(task.models)
    orders: Sequence[tuple[str, ...]] = (
        list(itertools.permutations(task.models))
        if len(task.models) <= ALL_ORDERS
        else [task.models, shortest_first(task), shortest_first(task)[::-1], leanest_first(task)]
    )
    for order in dict.fromkeys([task.models, shortest_first(task), *orders]):
        told = {"order": ", ".join(short[model] for model in order)} if len(order) > 1 else {}
        yield Candidate(sequential(order, task.cores, task.options), told)


def _parallel(task: Task) -> Iterator[Candidate]:
    given = (task.models, task.cores, task.options)
    yield Candidate(parallel(*given), {"threads": "default"})
    if task.gpu_layers:
        return  # they differ in the use of the CPU's cores alone
    yield Candidate(replace(parallel_divided(*given), strategy="parallel"), {"threads": "threads divided"})
    yield Candidate(replace(parallel_yielding(*given), strategy="parallel"), {"threads": "yielding"})
    weighted = _weighted_threads(task)
    if weighted:
        plan = parallel_divided(*given)
        instances = tuple(replace(one, threads=weighted[one.model]) for one in plan.instances)
        yield Candidate(replace(plan, strategy="parallel", instances=instances), {"threads": "threads by work"})


def _batched(task: Task) -> Iterator[Candidate]:
    if len(task.models) < 2:
        return
    short = short_names(task.models)
    for partition in _partitions(task):
        told = {"groups": " | ".join(" + ".join(short[model] for model in group) for group in partition)}
        together = any(len(group) > 1 for group in partition)
        yield Candidate(grouped("batched", partition, task.cores, task.options), told)
        if together and not task.gpu_layers and task.cores > 1:
            plan = grouped("batched", partition, task.cores, task.options, yielding=True)
            yield Candidate(plan, {**told, "threads": "yielding"})


def _partitions(task: Task) -> list[Partition]:
    """Partitions of more than one group, their groups the shortest first."""
    models = task.models
    if len(models) <= ALL_PARTITIONS:
        found = list(partitions(models))
    elif len(models) <= EXACT_MODELS:
        groups = [group for size in range(1, len(models) + 1) for group in itertools.combinations(models, size)]
        known_s = {group: duration_s(task, group) if fits(task, group) else math.inf for group in groups}
        fitting = sorted(partitions(models), key=lambda partition: sum(known_s[group] for group in partition))
        found = fitting[:BEST_PARTITIONS]
    else:
        found = [best_partition(task), best_partition(task, yielding=True), tuple((model,) for model in models)]
    ordered = (tuple(sorted(partition, key=lambda group: duration_s(task, group))) for partition in found if len(partition) > 1)
    return list(dict.fromkeys(ordered))


def _split(space: Space, task: Task) -> Iterator[Candidate]:
    """Models on the CPU or the GPU; one model divided between both, which no run has validated, only in a thorough search."""
    if not task.gpu_layers:
        return
    most, short = dict(task.gpu_layers), short_names(task.models)
    if len(task.models) <= ALL_PLACEMENTS:
        chosen = [subset for size in range(1, len(task.models)) for subset in itertools.combinations(task.models, size)]
    else:
        by_work = shortest_first(task)
        chosen = [tuple(by_work[:count]) for count in range(1, len(by_work))]
    chosen.append(task.models)
    for on_cpu in chosen:
        layers = {model: 0 if model in on_cpu else most[model] for model in task.models}
        told = "all models" if len(on_cpu) == len(task.models) else ", ".join(short[model] for model in on_cpu)
        yield Candidate(placed("split", layers, task), {"cpu": f"{told} on the CPU"})
    if not space.thorough:
        return
    for model in task.models if len(task.models) <= ALL_PLACEMENTS else shortest_first(task)[-1:]:
        for share in GPU_SHARES:
            layers = {**most, model: round(share * most[model])}
            told = f"{layers[model]} of {most[model]} layers of {short[model]} on the GPU"
            yield Candidate(placed("split", layers, task), {"layers": told})


def _ollama(space: Space) -> list[tuple[dict[str, str], Serving]]:
    """Ollama with several times to keep a model, and numbers of requests at a time."""
    if not space.thorough:
        return [({}, OllamaServing())]
    return [
        (
            {"keep": f"keep {_span(keep_s)}", "parallel": f"{count} at a time"},
            OllamaServing(keep_alive_s=keep_s, num_parallel=count),
        )
        for keep_s in KEEP_ALIVES_S
        for count in SLOTS
    ]


def _llama_swap(space: Space, task: Task) -> Iterator[tuple[dict[str, str], Serving]]:
    """One model at a time; all together; those that must stay apart from the others."""
    short = short_names(task.models)
    ttls_s = (0.0, 60.0, 300.0) if space.thorough else (0.0,)
    for ttl_s in ttls_s:
        told = {} if len(ttls_s) == 1 else {"keep": f"keep {_span(ttl_s or FOREVER_S)}"}
        yield {"groups": "one at a time", **told}, LlamaSwapServing(ttl_s=ttl_s)
        together = Group(task.models, swap=False, exclusive=False, persistent=True)
        yield {"groups": "all together", **told}, LlamaSwapServing(groups={"together": together}, ttl_s=ttl_s)
        kept = [space.resident] if space.resident else [(model,) for model in task.models] if len(task.models) > 2 else []
        for models in kept:
            group = Group(tuple(models), swap=False, exclusive=False, persistent=True)
            names = ", ".join(short[model] for model in models)
            yield (
                {"groups": f"{names} stays, others one at a time", **told},
                LlamaSwapServing(groups={"resident": group}, ttl_s=ttl_s),
            )


def _router(task: Task) -> Iterator[tuple[dict[str, str], Serving]]:
    for count in range(1, len(task.models) + 1):
        yield {"models": f"{count} at most"}, RouterServing(models_max=count)


def _served(task: Task, family: str, rules: Iterable[tuple[dict[str, str], Serving]]) -> Iterator[Candidate]:
    for told, serving in rules:
        yield Candidate(replace(on_demand(task.models, task.cores, task.options, serving), strategy=family), told)


def _weighted_threads(task: Task) -> dict[str, int] | None:
    """Threads in proportion to the work of each model, where that is not an equal division; None where it is."""
    spare = task.cores - len(task.models)
    if spare < 1 or len(task.models) < 2:
        return None
    work_s = {model: task.need(model, 1).work_s for model in task.models}
    total_s = sum(work_s.values())
    threads = {model: 1 + int(spare * work_s[model] / total_s) for model in task.models}
    for model in sorted(task.models, key=lambda model: -work_s[model])[: task.cores - sum(threads.values())]:
        threads[model] += 1
    return threads


def _judged(candidate: Candidate, space: Space, task: Task) -> Candidate:
    """A candidate with the reason why it breaks a limit that can be seen from its plan alone, if it does."""
    plan = candidate.plan
    for model in space.resident:
        if not stays(plan, model):
            return replace(candidate, infeasible=f"{model} must stay loaded, and is not by this plan")
    threads = _most_threads(plan, bool(task.gpu_layers))
    if space.cores is not None and threads > space.cores:
        return replace(candidate, infeasible=f"{threads} threads may work at the same time, {space.cores} are allowed")
    return candidate


def _most_threads(plan: Plan, gpu: bool) -> int:
    """Threads of the CPU that may work at the same time; a server whose layers are all on a GPU needs one [1]."""
    threads = {one.name: 1 if gpu and one.gpu_layers is None else one.threads for one in plan.instances}
    if isinstance(plan.serving, SwapServing):
        return max(threads.values())
    return max(sum(threads[name] for name in stage.instances) for stage in plan.stages)


def stays(plan: Plan, model: str) -> bool:
    """Whether a model, once loaded, stays to the end."""
    serving = plan.serving
    if not plan.on_demand:
        return len(plan.stages) == 1
    if isinstance(serving, LlamaSwapServing):
        groups = [group for group in serving.groups.values() if model in group.members]
        return not serving.ttl_s and any(group.persistent and not group.swap for group in groups)
    if isinstance(serving, RouterServing):
        return serving.sleep_idle_s < 0 and (serving.models_max == 0 or serving.models_max >= len(plan.instances))
    if isinstance(serving, OllamaServing):
        return serving.keep_alive_s < 0 and serving.max_loaded_models >= len(plan.instances)
    return len(plan.instances) == 1


def _span(seconds: float) -> str:
    return "for ever" if seconds < 0 else f"{seconds:g} s"
