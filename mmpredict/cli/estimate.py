"""``mmpredict estimate MODEL…``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from mmpredict.cli.console import OUTPUT, print_json
from mmpredict.cli.served import model_of

if TYPE_CHECKING:
    from mmpredict.results.estimate import Estimate
    from mmpredict.sizing.machine import Machine
    from mmpredict.sizing.question import Question
    from mmpredict.sizing.wish import Wish

DOES_NOT_FIT = 3

Models = Annotated[
    list[str],
    typer.Argument(metavar="MODEL…", help="Loaded in this order; of a running server: http://127.0.0.1:PORT or ollama://TAG."),
]
Hardware = Annotated[str, typer.Option("--hardware", help="Machine (mmpredict hardware list).")]
EngineName = Annotated[str, typer.Option("--engine", help="llama-server, ollama or embedded: whose defaults and rules hold.")]
Context = Annotated[
    str | None, typer.Option("--ctx", metavar="N", help="Context: of all slots for llama-server, of each for Ollama.")
]
Parallel = Annotated[int | None, typer.Option("--parallel", metavar="N", help="Slots: requests served at a time.")]
Unified = Annotated[bool | None, typer.Option("--unified/--split", help="Whether slots share the context, or each has its part.")]
KvType = Annotated[str | None, typer.Option("--kv-type", metavar="TYPE", help="Type of the KV cache: f16, q8_0, q4_0 …")]
KeyType = Annotated[str | None, typer.Option("--kv-type-k", metavar="TYPE", help="Type of cached keys alone.")]
ValueType = Annotated[str | None, typer.Option("--kv-type-v", metavar="TYPE", help="Type of cached values alone.")]
GpuLayersText = Annotated[str | None, typer.Option("--gpu-layers", metavar="N|all|none|fit", help="Layers on the GPU.")]
Batch = Annotated[int | None, typer.Option("--batch", metavar="N", help="Logical batch.")]
Ubatch = Annotated[int | None, typer.Option("--ubatch", metavar="N", help="Physical batch.")]
NoMmap = Annotated[bool, typer.Option("--no-mmap", help="Read files instead of mapping them.")]
NoRepack = Annotated[bool, typer.Option("--no-repack", help="Keep the CPU from copying matrices into its own layout.")]
FlashAttention = Annotated[str | None, typer.Option("--flash-attn", metavar="on|off", help="Fused attention.")]
Budget = Annotated[str | None, typer.Option("--budget", metavar="SIZE", help="What models may take: 5GB, 4.5GiB, 60%.")]
Vram = Annotated[
    str | None, typer.Option("--vram", metavar="SIZE", help="A graphics card of this size instead of the machine's GPU.")
]
Backend = Annotated[
    str | None,
    typer.Option("--backend", metavar="NAME", help="Programming interface of the GPU: vulkan, rocm, cuda …"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]


def estimate(
    models: Models,
    hardware: Hardware = "this-machine",
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
    flash_attention: FlashAttention = None,
    budget: Budget = None,
    vram: Vram = None,
    backend: Backend = None,
    quants: Annotated[
        bool, typer.Option("--quants", help="One row per file type instead: what if it were quantized otherwise?")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Memory and speed of models on a machine: what takes the room, whether it fits, how fast each is alone, and how sure that is.

    Example: mmpredict estimate qwen2.5:7b --hardware rtx-4090 --ctx 32k --kv-type q8_0
    """
    from mmpredict.sizing.question import question

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
        flash_attention=flash_attention,
    )
    machine, limit, card = read_sizes(hardware, budget, vram)
    asked = question([model_of(name) for name in models], machine, wish, limit, card)
    fits = _show_quants(asked, as_json) if quants else _show_estimate(asked, hardware, backend, as_json)
    if not fits:
        raise typer.Exit(DOES_NOT_FIT)


def read_wish(
    *,
    engine: str,
    context: str | None,
    parallel: int | None,
    unified: bool | None,
    kv_type: str | None,
    key_type: str | None,
    value_type: str | None,
    gpu_layers: str | None,
    batch: int | None,
    ubatch: int | None,
    no_mmap: bool,
    no_repack: bool,
    flash_attention: str | None = None,
) -> Wish:
    """Options of the command line as a wish.

    Raises:
        InputError: an option that cannot be used.
    """
    from mmpredict.sizing.wish import Wish, parse_engine, parse_gpu_layers, parse_switch
    from mmpredict.units import parse_tokens

    return Wish(
        engine=parse_engine(engine),
        context_tokens=None if context is None else parse_tokens(context),
        slots=parallel,
        unified=unified,
        key_type=key_type or kv_type,
        value_type=value_type or kv_type,
        gpu_layers=None if gpu_layers is None else parse_gpu_layers(gpu_layers),
        batch_tokens=batch,
        ubatch_tokens=ubatch,
        mapped=False if no_mmap else None,
        repacking=False if no_repack else None,
        flash_attention=None if flash_attention is None else parse_switch("--flash-attn", flash_attention),
    )


def read_sizes(hardware: str, budget: str | None, vram: str | None) -> tuple[Machine, int | None, int | None]:
    """The machine, the budget and the size of a card, as the command line has them.

    Raises:
        InputError: a machine or a size that cannot be used.
    """
    from mmpredict.sizing.find_machine import find_machine
    from mmpredict.units import parse_bytes

    machine = find_machine(hardware)
    card = None if vram is None else parse_bytes(vram)
    whole = card or machine.models_memory.capacity_bytes
    return machine, None if budget is None else parse_bytes(budget, whole), card


def show(found: Estimate) -> None:
    """Print the tables of an estimate, and the lines between them."""
    from mmpredict.report.estimate import advice_line, parts_table, pools_table, remedies_table, summary_lines
    from mmpredict.report.speed import speed_lines, speed_table

    _print(f"{found.engine} on {found.hardware}")
    OUTPUT.print(parts_table(found))
    OUTPUT.print(pools_table(found.pools))
    for line in summary_lines(found):
        _print(line)
    if found.advice is not None:
        _print(advice_line(found, found.advice))
        if found.advice.remedies:
            OUTPUT.print(remedies_table(found.advice.remedies))
    if any(one.figures for one in found.speeds):
        OUTPUT.print(speed_table(found.speeds))
    for line in speed_lines(found.speeds):
        _print(line)


def _notes(found: Estimate) -> None:
    for title, sentences in (("taken for granted", found.defaults), ("not certain", found.doubts), ("source", found.sources)):
        for sentence in sentences:
            OUTPUT.print(f"{title}: {sentence}", style="dim", highlight=False, markup=False, soft_wrap=True)


def _show_estimate(asked: Question, hardware: str, backend: str | None, as_json: bool) -> bool:
    """Print an estimate; whether everything fits and the server keeps it loaded."""
    from mmpredict.sizing.advice import advise
    from mmpredict.sizing.estimate import answer
    from mmpredict.sizing.speed import speeds

    found = answer(asked)
    found = replace(found, advice=advise(asked, found, answer), speeds=speeds(asked, found, hardware, backend))
    if as_json:
        print_json(found.to_dict())
    else:
        show(found)
        _notes(found)
    return found.fits and all(one.loaded for one in found.instances)


def _show_quants(asked: Question, as_json: bool) -> bool:
    """Print an estimate per file type; whether any of them fits."""
    from mmpredict.sizing.what_if import estimates_by_type

    rows = estimates_by_type(asked)
    if as_json:
        print_json({"schema_version": 1, "quants": [{"file_type": name, **found.to_dict()} for name, found in rows]})
    else:
        from mmpredict.report.estimate import quants_table

        first = rows[0][1]
        _print(f"{asked.specs[0].name} as other file types, {first.engine} on {first.hardware}")
        OUTPUT.print(quants_table(rows))
    return any(found.fits for _, found in rows)


def _print(line: str) -> None:
    OUTPUT.print(line, highlight=False, markup=False, soft_wrap=True)
