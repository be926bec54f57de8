"""``mmpredict fit --models A,B,C``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mmpredict.cli.console import OUTPUT, print_json
from mmpredict.cli.estimate import (
    AsJson,
    Batch,
    Budget,
    Context,
    EngineName,
    GpuLayersText,
    Hardware,
    KeyType,
    KvType,
    NoMmap,
    NoRepack,
    Parallel,
    Ubatch,
    Unified,
    ValueType,
    Vram,
    read_sizes,
    read_wish,
)

if TYPE_CHECKING:
    from mmpredict.sizing.mix import Demand

Models = Annotated[str, typer.Option("--models", metavar="A,B,C", help="What instances can be made of.")]
AtLeast = Annotated[list[str] | None, typer.Option("--at-least", metavar="NAME=N", help="Instances that there must be.")]
AtMost = Annotated[list[str] | None, typer.Option("--at-most", metavar="NAME=N", help="Instances that there may be.")]
Value = Annotated[str, typer.Option("--value", metavar="params|count|NAME=X,…", help="What the best mix has most of.")]


def fit(
    models: Models,
    hardware: Hardware = "this-machine",
    budget: Budget = None,
    vram: Vram = None,
    engine: EngineName = "llama-server",
    context: Context = None,
    parallel: Parallel = None,
    unified: Unified = None,
    kv_type: KvType = None,
    key_type: KeyType = None,
    value_type: ValueType = None,
    gpu_layers: GpuLayersText = None,
    batch: Batch = None,
    ubatch: Ubatch = None,
    no_mmap: NoMmap = False,
    no_repack: NoRepack = False,
    at_least: AtLeast = None,
    at_most: AtMost = None,
    value: Value = "params",
    distinct: Annotated[bool, typer.Option("--distinct", help="At most one instance of each model.")] = False,
    top: Annotated[int, typer.Option("--top", metavar="N", help="Mixes to list.")] = 5,
    as_json: AsJson = False,
) -> None:
    """How many instances of which models fit together: the best mixes, exactly.

    Example: mmpredict fit --budget 5GB --models qwen2.5:0.5b,qwen2.5:1.5b,qwen2.5:3b --hardware jetson-orin-nano
    """
    from mmpredict.report.mixes import mixes_table, needs_table
    from mmpredict.sizing.mix import fit as best

    wish = read_wish(
        engine=engine,
        context=context,
        parallel=parallel,
        unified=unified,
        kv_type=kv_type,
        key_type=key_type,
        value_type=value_type,
        gpu_layers=gpu_layers,
        batch=batch,
        ubatch=ubatch,
        no_mmap=no_mmap,
        no_repack=no_repack,
    )
    machine, limit, card = read_sizes(hardware, budget, vram)
    names = [name.strip() for name in models.split(",") if name.strip()]
    found = best(names, machine, wish, read_demand(value, at_least, at_most, distinct, top), limit, card)
    if as_json:
        print_json(found.to_dict())
        return
    budgets = ", ".join(f"{size / 1e9:.2f} GB of {pool}" for pool, size in zip(found.pools, found.budget_bytes, strict=True))
    _print(f"{found.engine} on {found.hardware}, {budgets}; goal: {found.goal}")
    OUTPUT.print(needs_table(found))
    OUTPUT.print(mixes_table(found))
    for sentence in (*found.rules, *found.why_not_more):
        _print(sentence)
    for title, sentences in (("taken for granted", found.defaults), ("not certain", found.doubts)):
        for sentence in sentences:
            OUTPUT.print(f"{title}: {sentence}", style="dim", highlight=False, markup=False, soft_wrap=True)


def read_demand(value: str, at_least: list[str] | None, at_most: list[str] | None, distinct: bool, top: int) -> Demand:
    """Options of the command line as a demand.

    Raises:
        InputError: an option that cannot be used.
    """
    from mmpredict.sizing.mix import Demand, parse_counts, parse_goal

    return Demand(
        goal=parse_goal(value),
        least=parse_counts("--at-least", at_least or ()),
        most=parse_counts("--at-most", at_most or ()),
        distinct=distinct,
        top=top,
    )


def _print(line: str) -> None:
    OUTPUT.print(line, highlight=False, markup=False, soft_wrap=True)
