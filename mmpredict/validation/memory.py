"""Predicted memory against a real server: the buffers that it logs, and the proportional set size of its process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from mmpredict.calibrate.bench import SHORT_PROMPT_TOKENS, Bench
from mmpredict.cost.graph import compute_buffer
from mmpredict.cost.memory import InstanceMemory, instance_memory, output_buffer_bytes
from mmpredict.cost.overhead import EMBEDDED
from mmpredict.hardware.telemetry import memory_bytes
from mmpredict.live.embedded import EmbeddedServer
from mmpredict.models.cache import CacheOptions
from mmpredict.models.spec import ModelSpec
from mmpredict.results.memory import MemoryRow, Part
from mmpredict.simulation.plan import InstancePlan
from mmpredict.validation.each_model import Progress, measure_each
from mmpredict.validation.memory_cases import MemoryCase

OUTPUT_TOKENS = 4


def check_memory_of(spec: ModelSpec, instance: InstancePlan, path: Path, log_path: Path, pair: bool = False) -> Iterator[MemoryRow]:
    """Start a server, fill a batch on every slot, and hold what it uses against the prediction.

    Args:
        spec: the model.
        instance: the server's options.
        path: the model's file.
        log_path: where the server logs.
        pair: whether to start a second process with the same file as well.

    Raises:
        EngineError: a server could not be started or used.
    """
    predicted = instance_memory(spec, instance.cache, EMBEDDED, threads=instance.threads)

    def row(part: Part, predicted_bytes: float, measured_bytes: float) -> MemoryRow:
        return MemoryRow(
            spec.name, spec.shape.architecture, _options_text(instance), part, float(predicted_bytes), float(measured_bytes)
        )

    with EmbeddedServer.start(instance, path, log_path) as server:
        _use(server, spec, instance)
        logged = server.buffer_bytes()
        weights = logged.get("mapped_model", 0) + logged.get("repacked_model", 0) + logged.get("model", 0)
        yield row("weights", predicted.host.mapped + predicted.host.weights, weights)
        yield row("cache", predicted.host.kv_cache, logged.get("kv", 0) + logged.get("recurrent", 0))
        yield row("compute buffer", compute_buffer(spec.shape, instance.cache).bytes, logged.get("compute", 0))
        yield row("output buffer", output_buffer_bytes(spec, instance.slots), logged.get("output", 0))
        yield row("process", predicted.host.total, memory_bytes(server.pid))
        if pair:
            with EmbeddedServer.start(instance, path, log_path.with_suffix(".second.log")) as second:
                _use(second, spec, instance)
                yield row("two processes", pair_bytes(predicted), memory_bytes(server.pid) + memory_bytes(second.pid))


def pair_bytes(one: InstanceMemory) -> float:
    """Memory of two processes of one engine on one file [bytes]: mapped pages and libraries are there once."""
    return one.host.mapped + 2 * one.host.private - EMBEDDED.shared_bytes


def _use(server: EmbeddedServer, spec: ModelSpec, instance: InstancePlan) -> None:
    """Evaluate a full batch, and generate on every slot, so that what is allocated is resident."""
    if spec.output_matrix is None:
        return
    with closing(Bench(server.url, spec.shape.n_vocab)) as bench:
        bench.prefill(full_prompt(instance.cache))
        bench.decode(instance.slots, SHORT_PROMPT_TOKENS, OUTPUT_TOKENS)


def full_prompt(cache: CacheOptions) -> int:
    """Length of a prompt that fills a physical batch, if a slot can hold it [tokens]."""
    return min(cache.ubatch_tokens + SHORT_PROMPT_TOKENS, cache.slot_cells - OUTPUT_TOKENS)


def _options_text(instance: InstancePlan) -> str:
    cache = instance.cache
    kind = "" if cache.key_type == cache.value_type == "f16" else f" {cache.key_type}/{cache.value_type}"
    slots = f"{cache.slots}{'' if cache.unified else ' split'}"
    return f"ctx {cache.context_tokens} slots {slots} ub {cache.ubatch_tokens}{kind}"


def run_checks(
    cases: Sequence[MemoryCase], directory: Path, log_directory: Path, raw_path: Path, progress: Progress
) -> list[MemoryRow]:
    """Check every case; each row is on disk as soon as it exists.

    Args:
        cases: what to check.
        directory: where model files are written, one at a time; they are removed again.
        log_directory: where servers log.
        raw_path: file of the rows, one JSON object per line; replaced if it exists.
        progress: called with (what is happening, fraction done).

    Raises:
        EngineError: a server could not be started or used.
        StorageError: a file could not be written.
    """

    def measured(number: int, spec: ModelSpec, path: Path) -> Iterable[MemoryRow]:
        case = cases[number]
        return check_memory_of(spec, case.instance, path, log_directory / f"memory-{number}.log", case.pair)

    return measure_each([case.spec for case in cases], measured, directory, raw_path, progress)
