"""``mmpredict models list | show | synthesize``."""

from __future__ import annotations

from typing import Annotated

import typer

from mmpredict.cli.console import OUTPUT, print_json, progress_bars, remark
from mmpredict.cli.ollama_models import list_ollama
from mmpredict.cli.served import model_of
from mmpredict.units import format_bytes

app = typer.Typer(no_args_is_help=True, help="Models: known shapes, files, and random-weight stand-ins.")

Name = Annotated[
    str, typer.Argument(metavar="MODEL", help="A known model (with @Q4_K_M), an Ollama tag, a .gguf file, or synthetic:MODEL@TYPE.")
]


@app.command("list")
def list_models(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Only models whose name, architecture or source contains it.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")] = False,
    ollama: Annotated[bool, typer.Option("--ollama", help="The models of the running Ollama instead (OLLAMA_HOST).")] = False,
) -> None:
    """Known models: architecture, weights (of a mixture of experts also those that a token passes), kind, Ollama tag.

    Example: mmpredict models list qwen
    """
    if ollama:
        list_ollama(text, as_json)
        return
    from mmpredict.models.catalog import CATALOG, uniform_spec
    from mmpredict.models.ollama import tags_of
    from mmpredict.models.quantization.weight_types import WEIGHT_TYPES
    from mmpredict.models.synthetic import SYNTHESISABLE

    rows: list[dict[str, object]] = []
    for name, shape in CATALOG.items():
        if text.lower() not in f"{name} {shape.architecture} {shape.source}".lower():
            continue
        spec = uniform_spec(name, WEIGHT_TYPES["f16"])
        active = round(spec.active_parameters) if shape.experts else spec.parameters
        rows.append(
            {
                "name": name,
                "architecture": shape.architecture,
                "parameters": spec.parameters,
                "active_parameters": active,
                "kind": shape.kind,
                "ollama_tags": list(tags_of(name)),
                "source": shape.source,
            }
        )
    if as_json:
        print_json({"schema_version": 1, "models": rows, "synthesisable_types": list(SYNTHESISABLE)})
        return
    for entry in rows:
        OUTPUT.print(_line(entry), highlight=False, markup=False, soft_wrap=True)
    if not rows:
        remark(f"no known model's name, architecture or source contains {text!r}")
    OUTPUT.print(f"types that can be synthesised: {', '.join(SYNTHESISABLE)}", highlight=False)


def _line(entry: dict[str, object]) -> str:
    weights, active, tags = entry["parameters"], entry["active_parameters"], entry["ollama_tags"]
    assert isinstance(weights, int) and isinstance(active, int) and isinstance(tags, list)
    passed = f" ({active / 1e9:.1f} B active)" if active < weights else ""
    many = f"{weights / 1e6:.0f} M" if weights < 1e9 else f"{weights / 1e9:.1f} B"
    return f"{entry['name']:30} {entry['architecture']:15} {many + passed:24} {entry['kind']:16} {tags[0] if tags else ''}"


@app.command("show")
def show(
    model: Name, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")] = False
) -> None:
    """Shape and sizes of a model; nothing is written.

    Example: mmpredict models show qwen2.5:7b
    """
    from mmpredict.models.resolve import resolve

    found = model_of(model)
    spec = resolve(found) if isinstance(found, str) else found
    document = {
        "schema_version": 1,
        "name": spec.name,
        "architecture": spec.shape.architecture,
        "source": spec.source,
        "parameters": spec.parameters,
        "weight_bytes": spec.weight_bytes,
        "file_bytes": spec.file_bytes,
        "active_parameters": round(spec.active_parameters),
        "layers": spec.shape.n_layers,
        "embedding": spec.shape.n_embd,
        "heads": spec.shape.n_heads,
        "kv_heads": spec.shape.n_kv_heads,
        "head_dim": spec.shape.key_dim,
        "feed_forward": spec.shape.n_ff,
        "vocabulary": spec.shape.n_vocab,
        "context_tokens": spec.shape.context_length,
        "weight_types": {group.type.name: {"weights": group.weights, "bytes": group.size_bytes} for group in spec.body_groups},
    }
    if as_json:
        print_json(document)
        return
    for key, value in document.items():
        if key.endswith("_bytes") and isinstance(value, int):
            OUTPUT.print(f"{key:16} {value} ({format_bytes(value)})", highlight=False)
        elif key not in ("schema_version", "weight_types"):
            OUTPUT.print(f"{key:16} {value}", highlight=False, markup=False)
    for group in spec.body_groups:
        OUTPUT.print(
            f"{'body ' + group.type.name:16} {group.weights / 1e6:.1f} M weights, {format_bytes(group.size_bytes)}", highlight=False
        )


@app.command("synthesize")
def synthesize(model: Name, seed: Annotated[int, typer.Option("--seed", min=0, help="Chooses the random bytes.")] = 0) -> None:
    """Write the random-weight GGUF file of a known shape, and print its path.

    Example: mmpredict models synthesize synthetic:qwen2.5-0.5b@q8_0
    """
    from mmpredict.models import synthetic

    with progress_bars() as bars:
        path = synthetic.synthesize(model, seed, progress=lambda done, total: bars("writing", model, done / total))
    typer.echo(path)
    remark("its weights are random: it answers nonsense, at the speed of the real model")
