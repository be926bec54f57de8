"""One figure of somebody's benchmark, whatever program printed it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Test = Literal["pp", "tg", "pp+tg", "batch"]


class RowError(ValueError):
    """A row cannot be used; the text says why, in words that follow "line 7:"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRow:
    """One measured speed with its conditions; what the source does not say is ``None``.

    Attributes:
        file: name of the file it came from.
        line: its line there, from 1; of a database, the number that it gave the row.
        engine: ``llama.cpp`` or ``ollama``, ``llama-swap`` where the server behind it is not said, or the name in the header of our
            own measurements.
        test: ``pp`` prompt, ``tg`` generation of one sequence, ``batch`` generation of several at once, ``pp+tg`` both in one time.
        tokens_per_s: prompt tokens per second of all sequences (``pp``), generated tokens per second of all sequences (``tg``,
            ``batch``), tokens of both kinds per second (``pp+tg``) [tokens/s].
        stddev: standard deviation of ``tokens_per_s`` between repetitions [tokens/s].
        n_prompt, n_gen: tokens of the test, per sequence; 0 where the test has none, and ``None`` only with a doubt [tokens].
        depth: tokens in each sequence's cache when the test began [tokens].
        parallel: sequences at once.
        build: the engine's, as ``commit (number)`` where both are known.
        backend, machine, model: as printed; ``model_file`` without its directory, unless we measured it here ourselves.
        file_type: llama.cpp's name of the mix of weight types (``Q4_K_M``).
        size_bytes, n_params: as printed, so of a Markdown table to three or four digits, of Ollama's benchmark to two or three.
        n_batch, n_ubatch: logical and physical batch [tokens].
        gpu_layers: as asked for; -1 and 99 both mean all.
        expert_layers_on_cpu, tensor_overrides: what was kept off the accelerator; rows that have either are not comparable.
        served: whether a server sampled the tokens, as benchmark programs do not.
        date: when it was measured, ISO 8601.
        doubt: why the figure may be off, although the row is well formed.
    """

    file: str
    line: int
    engine: str
    test: Test
    tokens_per_s: float
    n_prompt: int | None
    n_gen: int | None
    depth: int | None = None
    parallel: int | None = None
    stddev: float | None = None
    build: str | None = None
    backend: str | None = None
    machine: str | None = None
    model: str | None = None
    model_file: str | None = None
    file_type: str | None = None
    size_bytes: int | None = None
    n_params: int | None = None
    n_batch: int | None = None
    n_ubatch: int | None = None
    threads: int | None = None
    gpu_layers: int | None = None
    flash_attention: bool | None = None
    key_type: str | None = None
    value_type: str | None = None
    expert_layers_on_cpu: int | None = None
    tensor_overrides: str | None = None
    served: bool = False
    date: str | None = None
    doubt: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Every field by its name, for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that should have been a row, and why it is none."""

    line: int
    reason: str


Found = BenchRow | Rejected
