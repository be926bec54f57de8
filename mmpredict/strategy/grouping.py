"""Which models run together: groups one after another, concurrent within, none larger than memory allows.

A group loads its models at once and then serves until the last has finished; how long that takes alone on the machine is estimated
by what cores and the slowest member need::

    duration = max(max load, Σ load ÷ cores) + max(max work, Σ work · threads ÷ cores)

The sum over groups is additive, so the best partition of up to ``EXACT_MODELS`` models is found exactly, by dynamic programming
over sets of models; beyond, groups are filled one model after another and then improved by moving single models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache

from mmpredict.errors import DoesNotFitError
from mmpredict.strategy.options import divide_threads
from mmpredict.strategy.task import Task
from mmpredict.units import format_bytes

EXACT_MODELS = 8
"""Models up to which every partition is considered: 4,140 partitions of 8."""
MAX_ROUNDS = 50
"""Improvements of a heuristic partition, at most."""

Group = tuple[str, ...]
Partition = tuple[Group, ...]


def threads_of(group: Group, cores: int, yielding: bool) -> list[int]:
    """Threads of each member: the cores divided, or, of servers that yield while they wait, all of them for each."""
    return [cores] * len(group) if yielding else divide_threads(cores, len(group))


def duration_s(task: Task, group: Group, yielding: bool = False) -> float:
    """About how long a group takes, alone on the machine [s]."""
    pairs = [(task.need(model, count), count) for model, count in zip(group, threads_of(group, task.cores, yielding), strict=True)]
    loading_s = max(max(need.load_s for need, _ in pairs), sum(need.load_s for need, _ in pairs) / task.cores)
    busy_s = sum(need.work_s * count for need, count in pairs) / task.cores
    return loading_s + max(busy_s, max(need.work_s for need, _ in pairs))


def fits(task: Task, group: Group) -> bool:
    """Whether all members can be resident together."""
    return sum(task.alone(model).memory_bytes for model in group) <= task.memory_bytes


def best_partition(task: Task, yielding: bool = False) -> Partition:
    """The partition of the least estimated duration, its groups the shortest first, members in the order of the task.

    Raises:
        DoesNotFitError: a model does not even fit alone.
    """
    for model in task.models:
        need = task.alone(model)
        if need.memory_bytes > task.memory_bytes:
            raise DoesNotFitError(
                f"{model} alone needs {format_bytes(need.memory_bytes)} of memory, {format_bytes(task.memory_bytes)} are usable; "
                "use a smaller context or quantization"
            )

    @cache
    def cost(group: Group) -> float:
        return duration_s(task, group, yielding) if fits(task, group) else float("inf")

    groups = _exact(task.models, cost) if len(task.models) <= EXACT_MODELS else _improved(_filled(task.models, cost), cost)
    return tuple(sorted(groups, key=cost))


def partitions(models: Sequence[str]) -> Iterator[Partition]:
    """Every partition of the models, members in the order given: 1, 2, 5, 15, 52, 203, 877, 4140, … of 1, 2, 3, … models."""
    if not models:
        yield ()
        return
    *others, last = models
    for partition in partitions(others):
        for number, group in enumerate(partition):
            yield (*partition[:number], (*group, last), *partition[number + 1 :])
        yield (*partition, (last,))


def _exact(models: Sequence[str], cost: Callable[[Group], float]) -> Partition:
    """Dynamic programming: the best of a set is a group with its first member, and the best of what is left."""
    members = [tuple(m for bit, m in enumerate(models) if subset >> bit & 1) for subset in range(1 << len(models))]
    best: list[tuple[float, Partition]] = [(0.0, ())]
    for subset in range(1, 1 << len(models)):
        first = subset & -subset
        rest = subset ^ first
        found: tuple[float, Partition] | None = None
        part = rest
        while True:  # every subset of the rest, from all of it down to none
            together = part | first
            left_s, left = best[subset ^ together]
            total_s = cost(members[together]) + left_s
            if found is None or total_s < found[0]:
                found = total_s, (members[together], *left)
            if not part:
                break
            part = (part - 1) & rest
        best.append(found)
    return best[-1][1]


def _filled(models: Sequence[str], cost: Callable[[Group], float]) -> list[Group]:
    """Each model, the longest first, joins the group that it prolongs least, or begins one."""
    groups: list[Group] = []
    for model in sorted(models, key=lambda model: -cost((model,))):
        added = [(cost((*group, model)) - cost(group), number) for number, group in enumerate(groups)]
        least_s, number = min(added, default=(float("inf"), 0))
        if least_s < cost((model,)):
            groups[number] = (*groups[number], model)
        else:
            groups.append((model,))
    return groups


def _improved(groups: list[Group], cost: Callable[[Group], float]) -> Partition:
    """Move single models between groups as long as that helps."""
    for _ in range(MAX_ROUNDS):
        moves = [
            (_gain(groups, source, model, target, cost), source, model, target)
            for source, group in enumerate(groups)
            for model in group
            for target in range(len(groups) + 1)
            if target != source
        ]
        gain_s, source, model, target = max(moves, key=lambda move: move[0])
        if gain_s <= 1e-9 * sum(map(cost, groups)):
            break
        groups = _moved(groups, source, model, target)
    return tuple(groups)


def _gain(groups: list[Group], source: int, model: str, target: int, cost: Callable[[Group], float]) -> float:
    left = tuple(member for member in groups[source] if member != model)
    joined = (*groups[target], model) if target < len(groups) else (model,)
    before = cost(groups[source]) + (cost(groups[target]) if target < len(groups) else 0.0)
    return before - cost(joined) - (cost(left) if left else 0.0)


def _moved(groups: list[Group], source: int, model: str, target: int) -> list[Group]:
    changed = [list(group) for group in [*groups, ()]]
    changed[source].remove(model)
    changed[target].append(model)
    return [tuple(group) for group in changed if group]
