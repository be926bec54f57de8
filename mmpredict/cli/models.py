"""``mmpredict models list | show | synthesize``."""

from __future__ import annotations

from typing import Annotated

import typer

from mmpredict.cli.console import OUTPUT, print_json, progress_bars, remark
from mmpredict.units import format_bytes

app = typer.Typer(no_args_is_help=True, help="Models: known shapes, files, and random-weight stand-ins.")

Name = Annotated[str, typer.Argument(metavar="MODEL", help="synthetic:ARCHITECTURE@TYPE, or the path of a .gguf file.")]


@app.command("list")
def list_models() -> None:
    """Architectures that can be synthesised, with their number of weights.

    Example: mmpredict models list
    """
    from mmpredict.models.catalog import CATALOG, catalog_spec
    from mmpredict.models.quantization import WEIGHT_TYPES
    from mmpredict.models.synthetic import SYNTHESISABLE

    for row in CATALOG.values():
        weights = catalog_spec(row.name, WEIGHT_TYPES["f16"]).parameters
        OUTPUT.print(f"{row.name:16} {row.architecture:8} {weights / 1e6:7.0f} M weights   {row.source}", highlight=False)
    OUTPUT.print(f"types: {', '.join(SYNTHESISABLE)}", highlight=False)


@app.command("show")
def show(
    model: Name, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")] = False
) -> None:
    """Shape and sizes of a model; nothing is written.

    Example: mmpredict models show synthetic:qwen2.5-0.5b@q8_0
    """
    from mmpredict.models.resolve import resolve

    spec = resolve(model)
    document = {
        "schema_version": 1,
        "name": spec.name,
        "architecture": spec.architecture,
        "source": spec.source,
        "parameters": spec.parameters,
        "weight_bytes": spec.weight_bytes,
        "repacked_bytes": spec.repacked_bytes,
        "layers": spec.n_layers,
        "embedding": spec.n_embd,
        "heads": spec.n_heads,
        "kv_heads": spec.n_kv_heads,
        "head_dim": spec.head_dim,
        "feed_forward": spec.n_ff,
        "vocabulary": spec.n_vocab,
        "context_tokens": spec.context_length,
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
