"""How many instances of which models fit on a machine: needs of the models, and the best mixes of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mmpredict.cost.admission.ollama import MODELS_PER_GPU
from mmpredict.errors import DoesNotFitError, InputError, UnknownNameError
from mmpredict.models.spec import ModelSpec
from mmpredict.planning.capacity import Kind, Mix, best_mixes, used_mib
from mmpredict.results.estimate import PoolEstimate
from mmpredict.results.mixes import KindNeed, Mixes, MixRow
from mmpredict.sizing.estimate import start
from mmpredict.sizing.find_machine import THIS_MACHINE
from mmpredict.sizing.machine import Machine
from mmpredict.sizing.pools import GPU_SHARE, UNIFIED, VRAM, pools
from mmpredict.sizing.provenance import doubts, unique
from mmpredict.sizing.question import question
from mmpredict.sizing.residents import Resident, added
from mmpredict.sizing.wish import Wish
from mmpredict.units import MIB, format_bytes

if TYPE_CHECKING:
    from mmpredict.hardware.profile import HardwareProfile

GOALS = ("params", "count")
CONTEXT_TOKENS, SLOTS = 4096, 1
"""What each instance has when nothing is asked for, where the engine would choose by what is free."""
MAX_TOP = 50
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Demand:
    """What a mix must hold, and what makes one better than another.

    Attributes:
        goal: ``params`` for most parameters, every instance counted; ``count`` for most instances; or a value for each model.
        least, most: instances by model [1].
        distinct: whether there may be at most one of each.
        top: mixes that are wanted [1].
    """

    goal: str | Mapping[str, float] = "params"
    least: Mapping[str, int] | None = None
    most: Mapping[str, int] | None = None
    distinct: bool = False
    top: int = 5


def fit(
    models: Sequence[str | ModelSpec],
    hardware: str | HardwareProfile | Machine = THIS_MACHINE,
    wish: Wish | None = None,
    demand: Demand | None = None,
    budget_bytes: float | None = None,
    vram_bytes: float | None = None,
) -> Mixes:
    """The best mixes of instances that fit together.

    Pages of a file are counted once however many instances map it, and so are those of the engine's program. Without a context or
    a number of slots each instance has one slot of 4096 tokens; with a GPU all of its layers are there.

    Args:
        models: what instances can be made of.
        hardware: name of a machine, or its profile.
        wish: options of every server.
        demand: what a mix must hold, and the goal.
        budget_bytes: what models may take of the memory they live in, instead of what the profile says [bytes].
        vram_bytes: size of a graphics card to put in the place of the machine's GPU [bytes].

    Raises:
        InputError: a model, a machine or an option that cannot be used.
        DoesNotFitError: not even the smallest mix fits.
    """
    wanted, demand = wish or Wish(), demand or Demand()
    if not 1 <= demand.top <= MAX_TOP:
        raise InputError(f"{demand.top} mixes are wanted; allowed are 1 to {MAX_TOP}")
    asked = question(list(dict.fromkeys(models)), hardware, _filled(wanted), budget_bytes, vram_bytes)
    machine, wish = asked.machine, asked.wish
    if machine.device is not None and wish.gpu_layers is None and wish.engine != "embedded":
        wish = replace(wish, gpu_layers="all")
    starts = [start(spec, replace(asked, wish=wish), ()) for spec in asked.specs]
    residents = [one.resident for one in starts]
    memories = pools(machine, added(residents))
    needs = [_need(resident, memories) for resident in residents]
    names = [spec.name for spec in asked.specs]
    goal, values = _values(demand.goal, asked.specs)
    engine_limit = MODELS_PER_GPU if wish.engine == "ollama" else None
    kinds = _kinds(needs, values, names, demand, one_each=demand.distinct or engine_limit is not None)
    base = tuple(residents[0].gauge.overhead.shared_bytes if _holds_host(pool) else 0.0 for pool in memories)
    budget_mib = tuple(int(pool.usable.value // MIB) for pool in memories)
    mixes = best_mixes(kinds, budget_mib, tuple(_up(size) for size in base), demand.top, engine_limit)
    if not mixes:
        raise _nothing(kinds, budget_mib, tuple(_up(size) for size in base), memories)
    budget = tuple(pool.usable.value for pool in memories)
    rows = tuple(_row(mix, names, needs, base, budget) for mix in mixes)
    return Mixes(
        hardware=machine.name,
        engine=wish.engine,
        goal=goal,
        pools=tuple(pool.name for pool in memories),
        budget_bytes=budget,
        kinds=tuple(
            KindNeed(name, own, shared, kind.value, one.options.context_tokens, one.options.slots)
            for name, (own, shared), kind, one in zip(names, needs, kinds, residents, strict=True)
        ),
        mixes=rows,
        why_not_more=_why(mixes[0], kinds, needs, rows[0].remains_bytes, memories, engine_limit),
        rules=_rules(engine_limit),
        defaults=unique([*_filled_in(wanted, machine), *(sentence for one in starts for sentence in one.defaults)]),
        doubts=doubts(residents, machine, wish.engine),
    )


def parse_goal(text: str) -> str | dict[str, float]:
    """``params``, ``count``, or ``NAME=3,OTHER=1.5``.

    Raises:
        InputError: anything else.
    """
    word = text.strip()
    if word in GOALS:
        return word
    return dict(_pairs("--value", word.split(",")))


def parse_counts(option: str, listed: Sequence[str]) -> dict[str, int]:
    """``NAME=2`` for each.

    Raises:
        InputError: not of this form, or no whole number.
    """
    found = {}
    for name, number in _pairs(option, [entry for text in listed for entry in text.split(",")]):
        if number != int(number):
            raise InputError(f"{option} {name}={number:g}: instances are whole")
        found[name] = int(number)
    return found


def _pairs(option: str, entries: Sequence[str]) -> list[tuple[str, float]]:
    found = []
    for entry in entries:
        name, _, number = entry.strip().rpartition("=")
        if not name or not _NUMBER.fullmatch(number):
            raise InputError(f"{option} {entry.strip()[:60]!r}: write NAME=NUMBER, such as qwen2.5:0.5b=2")
        found.append((name, float(number)))
    return found


def _filled(wish: Wish) -> Wish:
    if wish.engine == "ollama":
        return wish
    slots = wish.slots or SLOTS
    return replace(wish, slots=slots, context_tokens=wish.context_tokens or CONTEXT_TOKENS * slots)


def _filled_in(wish: Wish, machine: Machine) -> list[str]:
    found = []
    if wish.engine != "ollama" and wish.context_tokens is None:
        found.append(f"a context of {CONTEXT_TOKENS} tokens per slot")
    if wish.engine != "ollama" and wish.slots is None:
        found.append("one slot per instance")
    if machine.device is not None and wish.gpu_layers is None and wish.engine != "embedded":
        found.append("all layers on the GPU")
    return found


def _need(resident: Resident, memories: Sequence[PoolEstimate]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What every instance needs of each memory, and what all of them share [bytes]."""
    (take,) = added([resident])
    own_host = take.host.value - take.host_mapped - resident.gauge.overhead.shared_bytes
    own_device = take.device.value - take.device_mapped
    own, shared = [], []
    for pool in memories:
        on_host, on_device = _holds_host(pool), pool.name in (VRAM, GPU_SHARE, UNIFIED)
        own.append(own_host * on_host + own_device * on_device)
        shared.append(take.host_mapped * on_host + take.device_mapped * on_device)
    return tuple(own), tuple(shared)


def _holds_host(pool: PoolEstimate) -> bool:
    return pool.name not in (VRAM, GPU_SHARE)


def _values(goal: str | Mapping[str, float], specs: Sequence[ModelSpec]) -> tuple[str, list[float]]:
    if goal == "params":
        return "most parameters [millions], every instance counted", [round(spec.parameters / 1e6) for spec in specs]
    if goal == "count":
        return "most instances", [1.0 for _ in specs]
    if isinstance(goal, str):
        raise InputError(f"goal {goal!r}: allowed are {', '.join(GOALS)}, or a value for each model (NAME=3)")
    return "highest value, as given", [float(goal.get(spec.name, 0.0)) for spec in specs]


def _kinds(
    needs: Sequence[tuple[tuple[float, ...], tuple[float, ...]]],
    values: Sequence[float],
    names: Sequence[str],
    demand: Demand,
    one_each: bool,
) -> list[Kind]:
    least, most = demand.least or {}, demand.most or {}
    for name in (*least, *most, *(demand.goal if isinstance(demand.goal, Mapping) else ())):
        if name not in names:
            raise UnknownNameError("model of the mix", name, names, "(--models names those that there are)")
    kinds = []
    for name, (own, shared), value in zip(names, needs, values, strict=True):
        bound = most.get(name)
        bound = (1 if bound is None else min(1, bound)) if one_each else bound
        kinds.append(Kind(name, tuple(map(_up, own)), tuple(map(_up, shared)), value, least.get(name, 0), bound))
    return kinds


def _up(size_bytes: float) -> int:
    """Whole mebibytes, rounded up [MiB]."""
    return -int(-size_bytes // MIB)


def _row(
    mix: Mix,
    names: Sequence[str],
    needs: Sequence[tuple[tuple[float, ...], tuple[float, ...]]],
    base: Sequence[float],
    budget: Sequence[float],
) -> MixRow:
    used = list(base)
    for count, (own, shared) in zip(mix.counts, needs, strict=True):
        if count:
            used = [size + count * mine + ours for size, mine, ours in zip(used, own, shared, strict=True)]
    counts = {name: count for name, count in zip(names, mix.counts, strict=True) if count}
    return MixRow(counts, mix.value, tuple(used), tuple(there - size for there, size in zip(budget, used, strict=True)))


def _why(
    mix: Mix,
    kinds: Sequence[Kind],
    needs: Sequence[tuple[tuple[float, ...], tuple[float, ...]]],
    remains: Sequence[float],
    memories: Sequence[PoolEstimate],
    limit: int | None,
) -> tuple[str, ...]:
    found = []
    for kind, count, (own, shared) in zip(kinds, mix.counts, needs, strict=True):
        further = [mine + (0.0 if count else ours) for mine, ours in zip(own, shared, strict=True)]
        short = [place for place, size in enumerate(further) if _up(size) > int(remains[place] // MIB)]
        one_more = "one more" if count else "one"
        if kind.most is not None and count >= kind.most:
            found.append(f"{one_more} {kind.name} is not allowed: at most {kind.most}")
        elif limit is not None and sum(mix.counts) >= limit:
            found.append(f"{one_more} {kind.name} is not loaded: at most {limit} models are")
        elif short:
            place = short[0]
            what, left = format_bytes(further[place]), format_bytes(remains[place])
            found.append(f"{one_more} {kind.name} needs {what}, {left} of {memories[place].name} remain")
        else:  # rounding to whole mebibytes
            found.append(f"{one_more} {kind.name} would leave less than a mebibyte for each instance")
    return tuple(found)


def _rules(limit: int | None) -> tuple[str, ...]:
    if limit is None:
        return ()
    return (f"Ollama keeps one instance of a model and at most {limit} models per GPU (OLLAMA_MAX_LOADED_MODELS)",)


def _nothing(
    kinds: Sequence[Kind], budget_mib: Sequence[int], base_mib: Sequence[int], memories: Sequence[PoolEstimate]
) -> DoesNotFitError:
    required = [kind.least for kind in kinds]
    if any(required):
        needed, whose = used_mib(kinds, required, base_mib), "what is asked for at least needs"
    else:
        allowed = [kind for kind in kinds if kind.most != 0]
        if not allowed:
            return DoesNotFitError("nothing fits: every model may appear at most 0 times; allow some of one (--at-most NAME=1)")
        alone = [(used_mib(kinds, [int(one is kind) for one in kinds], base_mib), kind) for kind in allowed]
        needed, smallest = min(alone, key=lambda pair: _excess(pair[0], budget_mib))
        whose = f"the smallest, {smallest.name}, needs"
    place = max(range(len(memories)), key=lambda index: needed[index] - budget_mib[index])
    return DoesNotFitError(
        f"nothing fits: {whose} {format_bytes(needed[place] * MIB)} of {memories[place].name}, there are "
        f"{format_bytes(budget_mib[place] * MIB)}; try a smaller context (--ctx), --kv-type q8_0 or a smaller file type"
    )


def _excess(needed: Sequence[int], budget: Sequence[int]) -> int:
    return max(size - there for size, there in zip(needed, budget, strict=True))
