"""``mmpredict models list --ollama``: what a running Ollama has, exactly."""

from __future__ import annotations

from dataclasses import asdict

from mmpredict.cli.console import OUTPUT, print_json, remark
from mmpredict.units import format_bytes


def list_ollama(text: str, as_json: bool) -> None:
    """Print the models of the Ollama at ``OLLAMA_HOST`` whose tag or architecture contains ``text``.

    Raises:
        EngineError: no Ollama answers.
    """
    from mmpredict.live.ollama_models import ollama_models

    found = [one for one in ollama_models() if text.lower() in f"{one.tag} {one.architecture}".lower()]
    if as_json:
        print_json({"schema_version": 1, "models": [asdict(one) for one in found]})
        return
    for one in found:
        said = one.problem or (
            f"{one.architecture:12} {one.parameters / 1e9:7.2f} B {one.quantization:8} {format_bytes(one.weight_bytes):>10} "
            f"context {one.context_tokens}"
        )
        OUTPUT.print(f"{one.tag:40} {said}{'  loaded' if one.loaded else ''}", highlight=False, markup=False, soft_wrap=True)
    if not found:
        remark(
            f"this Ollama has no model whose tag contains {text!r}" if text else "this Ollama has no models; get one: ollama pull"
        )
