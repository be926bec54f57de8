"""What one stretch of a calibration does: a server is started, warmed up, measured and stopped.

The first request of a server is not counted: it finds cold caches and sleeping threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

from mmpredict.calibrate.bench import Bench
from mmpredict.calibrate.measurement import Measurement
from mmpredict.calibrate.protocol import LARGE, Protocol
from mmpredict.cost.placement import repacked_bytes
from mmpredict.hardware import warmth
from mmpredict.hardware.telemetry import memory_bytes
from mmpredict.live.build import Start
from mmpredict.live.server_process import ServerProcess, ending_servers
from mmpredict.models.cache import cache_bytes
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import InstancePlan

REST_REPEATS = 2  # of every pause, in each round [1]
REST_TOKENS = 32  # of the prompt after it: weights are what is cold, so a short one shows it best [tokens]


@dataclass(frozen=True, slots=True)
class Measuring:
    """Measures servers of one protocol.

    Attributes:
        protocol: lengths and counts.
        cores: of this machine [1].
        paths: model → its file.
        log_directory: where servers log.
        start_server: starts one of the build that is measured.
    """

    protocol: Protocol
    cores: int
    paths: Mapping[str, Path]
    log_directory: Path
    start_server: Start

    def start(self, instance: InstancePlan) -> ServerProcess:
        """Start the server of an instance.

        Raises:
            EngineError: it does not start.
        """
        return self.start_server(instance, self.paths[instance.model], self.log_directory / f"{short_name(instance.name)}.log")

    def lengths(self, name: str, threads: int) -> tuple[int, ...]:
        """Prompt lengths of a model at a number of threads [tokens]."""
        protocol = self.protocol
        if LARGE in name:
            return protocol.prefill_tokens[:2]
        if name in protocol.once_models:
            return protocol.prefill_tokens
        long = protocol.long_prompt_tokens if threads == self.cores or name == protocol.first else ()
        return protocol.prefill_tokens + long

    def depths(self, name: str, threads: int) -> tuple[int, ...]:
        """Prompt lengths of the deep measurements of a model at a number of threads [tokens]."""
        return self.protocol.depth_tokens if name in self.protocol.deep_models and threads in (1, self.cores) else ()

    def steps(
        self, spec: ModelSpec, instance: InstancePlan, lengths: Sequence[int], sequences: Sequence[int], depths: Sequence[int]
    ) -> Iterator[Measurement]:
        """One server: its load, its prefills and decodes, its memory at the end.

        Args:
            spec: the model.
            instance: options of the server.
            lengths: of prompts [tokens].
            sequences: that decode at once [1].
            depths: of deep measurements [tokens].
        """
        warmth.warm(self.paths[spec.name])
        warmth.touch_memory(repacked_bytes(spec) + cache_bytes(spec.shape, instance.cache))

        def row(kind: Any, **values: float) -> Measurement:
            return Measurement(kind, spec.name, instance.threads, instance.spincount, dict(values))

        with self.start(instance) as server, closing(Bench(server.url, spec.shape.n_vocab)) as bench:
            yield load_row(spec, instance, server, cold=0)
            bench.decode(1, lengths[0], 2)
            for tokens in lengths:
                answer = bench.prefill(tokens)
                yield row("prefill", tokens=tokens, masked_cells=bench.masked_cells(answer), duration_s=answer.prompt_s)
                overhead_s = answer.last_token_s - answer.sent_s - answer.prompt_s - answer.generation_s
                yield row("request", tokens=tokens, overhead_s=max(0.0, overhead_s))
            for count in sequences:
                yield from self._decode(bench, row, count, lengths[0])
            for depth in depths:
                yield from self._decode(bench, row, 1, depth)
            for _ in depths:  # in other slots, whose tokens pass over the cells that the deep ones have left
                yield from self._decode(bench, row, 1, self.protocol.prefill_tokens[-1])
            if spec.name == self.protocol.first and instance.threads == self.cores and instance.spincount is None:
                yield from self._rests(bench, row)
            yield row(
                "memory",
                context_tokens=instance.context_tokens,
                slots=instance.slots,
                ubatch_tokens=instance.ubatch_tokens,
                proportional_bytes=memory_bytes(server.pid),
                **{f"{part}_bytes": size for part, size in server.buffer_bytes().items()},
            )
            begin_s = perf_counter()
            server.stop()
            yield row("unload", kv_cache_bytes=cache_bytes(spec.shape, instance.cache), duration_s=perf_counter() - begin_s)

    def _decode(self, bench: Bench, row: Callable[..., Measurement], sequences: int, prompt_tokens: int) -> Iterator[Measurement]:
        run = bench.decode(sequences, prompt_tokens, self.protocol.decode_steps)
        if sequences == 1:
            yield row("prefill", tokens=prompt_tokens, masked_cells=run.prompt_masked, duration_s=run.prompt_s)
        if run.steps:
            values = {"sequences": sequences, "depth": run.depth, "steps": run.steps, "masked_cells": run.masked}
            yield row("decode", **values, duration_s=run.duration_s)

    def _rests(self, bench: Bench, row: Callable[..., Measurement]) -> Iterator[Measurement]:
        """First tokens after pauses: others use caches, and systems reclaim pages, while a server has nothing to do."""
        for _ in range(REST_REPEATS):
            for pause_s in self.protocol.pauses_s:
                sleep(pause_s)
                answer = bench.prefill(REST_TOKENS)
                yield row("rest", pause_s=pause_s, tokens=REST_TOKENS, duration_s=answer.first_token_s - answer.sent_s)

    def cold_load(self, spec: ModelSpec) -> Iterator[Measurement]:
        """A load from storage, where the system lets go of the file's pages."""
        if warmth.drop(self.paths[spec.name]):
            instance = InstancePlan(spec.name, spec.name, self.cores)
            with self.start(instance) as server:
                yield load_row(spec, instance, server, cold=1)

    def joint_loads(self, specs: Sequence[ModelSpec]) -> Iterator[Measurement]:
        """Servers of one thread that are started at once.

        Args:
            specs: a model for each; the same one may serve twice.
        """
        instances = [InstancePlan(f"{spec.name}-{place}", spec.name, 1) for place, spec in enumerate(specs)]
        for spec in {spec.name: spec for spec in specs}.values():
            warmth.warm(self.paths[spec.name])
        own_bytes = (repacked_bytes(spec) + cache_bytes(spec.shape, one.cache) for spec, one in zip(specs, instances, strict=True))
        warmth.touch_memory(sum(own_bytes))
        with ThreadPoolExecutor(len(specs)) as pool, ending_servers():
            servers = list(pool.map(self.start, instances))
        for server in servers:
            server.stop()
        for server, spec in zip(servers, specs, strict=True):
            yield Measurement("joint-load", spec.name, 1, None, {"servers": len(specs), "duration_s": server.load_s})


def load_row(spec: ModelSpec, instance: InstancePlan, server: ServerProcess, cold: int) -> Measurement:
    """How long a server took to load; ``cold`` is 1 where its file came from storage."""
    values: dict[str, float | int | str] = {
        "cold": cold,
        "kv_cache_bytes": cache_bytes(spec.shape, instance.cache),
        "duration_s": server.load_s,
    }
    return Measurement("load", spec.name, instance.threads, instance.spincount, values)


def short_name(name: str) -> str:
    """A model's name without what all of them begin with."""
    return name.rpartition(":")[2]
