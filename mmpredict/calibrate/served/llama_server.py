"""A running llama-server under measurement."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from mmpredict.calibrate.bench import SHORT_PROMPT_TOKENS, Bench
from mmpredict.calibrate.importers import fields as read
from mmpredict.calibrate.importers.llama_bench import ENGINE
from mmpredict.calibrate.importers.row import BenchRow, Found, Rejected, RowError
from mmpredict.calibrate.importers.server_timings import generation_speed, prompt_speed
from mmpredict.live.describe import served_by
from mmpredict.models.servers import ServedModel, spec_of_served

CACHED = "the prompt was not evaluated as a whole"
MS_PER_S = 1e3


class LlamaServer:
    """The llama-server at an address; see ``Server``.

    Args:
        url: ``http://127.0.0.1:PORT``.
        backend: its programming interface, which it does not tell itself.
        model: what it serves; by default what it says.

    Raises:
        EngineError: no llama-server answers there.
        InputError: it does not say what it serves, or is a router.
    """

    def __init__(self, url: str, backend: str | None, model: str | None) -> None:
        served = served_by(url)
        self.engine = f"llama-server {served.build}".strip()
        self.model = Path(served.name).name  # an alias may be the file's whole path
        self.context_tokens = served.context_tokens
        self.slots = served.slots
        self._bench = Bench(url, served.n_vocab or spec_of_served(served).shape.n_vocab)
        self._known: dict[str, Any] = {
            "file": url,
            "line": 0,
            "engine": ENGINE,
            "served": True,
            "build": served.build or None,
            "backend": backend,
            "date": date.today().isoformat(),
            **({"model": model} if model else _said(served)),
        }

    def request(self, prompt_tokens: int, output_tokens: int) -> list[Found]:
        """Rows of the server's own times for prompt and generation."""
        answer = self._bench.complete(prompt_tokens, output_tokens)
        found: list[Found] = []
        if answer.cached_tokens:
            return [Rejected(0, CACHED)]
        try:
            speed = prompt_speed(answer.prompt_tokens, answer.prompt_s * MS_PER_S, None)
            found.append(BenchRow(test="pp", tokens_per_s=speed, n_prompt=answer.prompt_tokens, n_gen=0, depth=0, **self._known))
            if answer.output_tokens > 1:
                speed = generation_speed(answer.output_tokens, answer.generation_s * MS_PER_S, None)
                steps, depth = answer.output_tokens - 1, answer.prompt_tokens
                found.append(BenchRow(test="tg", tokens_per_s=speed, n_prompt=0, n_gen=steps, depth=depth, **self._known))
        except (RowError, ZeroDivisionError) as error:
            found.append(Rejected(0, str(error)))
        return found

    def together(self, sequences: int, steps: int) -> list[Found]:
        """One row of the steps in which all sequences decoded."""
        run = self._bench.decode(sequences, SHORT_PROMPT_TOKENS, steps)
        if not run.steps:
            return [Rejected(0, f"{sequences} sequences were never decoded at the same time")]
        speed, depth = sequences * run.steps / run.duration_s, round(run.depth)
        row = BenchRow(
            test="batch", tokens_per_s=speed, n_prompt=0, n_gen=run.steps, depth=depth, parallel=sequences, **self._known
        )
        return [row]

    def close(self) -> None:
        """Give the connections up."""
        self._bench.close()


def _said(served: ServedModel) -> dict[str, Any]:
    path = Path(served.path)
    return {
        "model": served.name,
        "model_file": str(path.absolute()) if path.is_file() else path.name or None,
        "file_type": read.type_of(served.file_type) or read.type_of(path.stem),
        "n_params": served.n_params or None,
        "size_bytes": served.size_bytes or None,
    }
