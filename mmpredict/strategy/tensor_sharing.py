"""What models that are resident together share physically, and what it saves.

- Processes that map the same file share its pages, as far as the CPU uses them in place: not what it copies into a layout of its
  own, and not what is uploaded to a GPU, where every process has its own.
- Processes of one engine share the pages of its program and libraries.
- A beginning of a prompt that is still in a slot's cache is not evaluated again.
- Different models share nothing, however alike they are, and an encoder of images or sound that two models have in common is
  loaded by each of their servers: no engine that this project knows holds it once.

Measured (proportional set size, Q8_0 of 0.5B on a CPU): one server 509 MiB, two of them 291 MiB each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from mmpredict.cost.prices import StepPrices, plain_passes
from mmpredict.cost.server_cost import MachineCosts, ServerCost
from mmpredict.models.spec import ModelSpec
from mmpredict.results.records import Records
from mmpredict.simulation.plan import Plan


@dataclass(frozen=True, slots=True)
class SharedPages:
    """Two instances that hold something once.

    Attributes:
        first, second: their names, in alphabetical order.
        size_bytes: what both would have twice without sharing [bytes].
        what: it is.
    """

    first: str
    second: str
    size_bytes: float
    what: str


@dataclass(frozen=True, slots=True)
class TensorSharing:
    """What sharing is worth to a plan.

    Attributes:
        memory_bytes: largest memory of instances that are resident together, a GPU's own included [bytes].
        unshared_bytes: the same if everybody had everything for himself [bytes].
        compute_ratio: work on prompts with what is reused ÷ without; 1 where nothing is [1].
        pairs: pairs of instances that share pages of a model file.
        reasons: why instances of one file do not, a sentence for each such pair.
    """

    memory_bytes: float
    unshared_bytes: float
    compute_ratio: float
    pairs: tuple[SharedPages, ...]
    reasons: tuple[str, ...] = ()

    @property
    def memory_ratio(self) -> float:
        """Memory with sharing ÷ without, at most 1 [1]."""
        return self.memory_bytes / self.unshared_bytes if self.unshared_bytes else 1.0


def tensor_sharing(
    plan: Plan, specs: Mapping[str, ModelSpec], costs: MachineCosts, records: Records | None = None
) -> TensorSharing:
    """What the instances of a plan share.

    Args:
        plan: instances and stages; only those of one stage are resident together.
        specs: model name → model.
        costs: of the machine.
        records: of a run of the plan, for what was reused of prompts; without them nothing is counted.
    """
    servers = {one.name: costs.instance(specs[one.model], one.threads, one.spincount, one.cache) for one in plan.instances}
    files = {one.name: specs[one.model].file for one in plan.instances}
    stages = [sorted(stage.instances) for stage in plan.stages]
    together = [together_bytes([(files[name], servers[name]) for name in names]) for names in stages]
    pairs: list[SharedPages] = []
    reasons: list[str] = []
    for first, second in (pair for names in stages for pair in combinations(names, 2)):
        if files[first] != files[second]:
            continue
        pages = min(servers[first].memory.mapped, servers[second].memory.mapped)
        if pages > 0:
            pairs.append(SharedPages(first, second, pages, "pages of the model file"))
        else:
            reasons.append(f"{first} and {second} have the same file, but each process holds its own copy of the weights")
    return TensorSharing(
        memory_bytes=max(one[0] for one in together),
        unshared_bytes=max(one[1] for one in together),
        compute_ratio=_prompt_ratio(records, {name: server.prices for name, server in servers.items()}) if records else 1.0,
        pairs=tuple(pairs),
        reasons=tuple(reasons),
    )


def together_bytes(residents: Sequence[tuple[str, ServerCost]]) -> tuple[float, float]:
    """Memory of servers that are resident together [bytes]: with what they share counted once, and without sharing.

    Args:
        residents: file and cost of each.
    """
    mapped: dict[str, float] = {}
    saved = 0.0
    for file, server in residents:
        again = min(mapped.get(file, 0.0), server.memory.mapped)
        mapped[file] = max(mapped.get(file, 0.0), server.memory.mapped)
        saved += again
    programs = [server.program_bytes for _, server in residents]
    saved += sum(programs) - max(programs, default=0.0)
    whole = sum(server.memory.total + server.device_bytes for _, server in residents)
    return whole - saved, whole


def _prompt_ratio(records: Records, prices: Mapping[str, StepPrices]) -> float:
    """Time of all prompts evaluated from where the cache ends ÷ from their beginning, one prompt at a time."""
    evaluated = whole = 0.0
    for row in records.requests:
        if row.instance in prices and row.status == "ok":
            evaluated += _prompt_s(prices[row.instance], row.cached_tokens, row.prompt_tokens)
            whole += _prompt_s(prices[row.instance], 0, row.prompt_tokens)
    return evaluated / whole if whole else 1.0


def _prompt_s(prices: StepPrices, start: int, end: int) -> float:
    passes = plain_passes(end - start, prices.ubatch_tokens)
    return prices.passes_s(passes, 1) + prices.piece_s(start, end - start) if passes else 0.0
