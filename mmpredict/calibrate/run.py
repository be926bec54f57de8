"""Running a calibration: every measurement of the protocol, raw figures on disk as they are made."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mmpredict.calibrate.bench import Bench
from mmpredict.calibrate.company import measure_company, measure_stacked, set_ups
from mmpredict.calibrate.measurement import Measurement, MeasurementLog
from mmpredict.calibrate.protocol import LARGE, Protocol, thread_counts
from mmpredict.calibrate.store import measurements_path
from mmpredict.cost.library import machine_key
from mmpredict.cost.placement import repacked_bytes
from mmpredict.hardware import warmth
from mmpredict.hardware.profile import HardwareProfile
from mmpredict.hardware.telemetry import memory_bytes
from mmpredict.live.embedded import EmbeddedServer, engine_build
from mmpredict.models.cache import cache_bytes
from mmpredict.models.resolve import materialize, resolve
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import YIELDING_SPINCOUNT, InstancePlan

Progress = Callable[[str, float], None]
"""(what is being done, fraction done)."""

_SECONDS_PER_LOAD = 0.6  # rough, for the progress bar only
_TOKEN_WEIGHTS_PER_S = 5e10  # likewise: weights × prompt tokens per second and core
_WEIGHTS_PER_S = 5e9  # likewise: weights × decoded tokens per second and core


@dataclass(frozen=True, slots=True)
class _Task:
    """One stretch of the calibration with its guessed duration [s]."""

    label: str
    guess_s: float
    measure: Callable[[], Iterator[Measurement]]


class Calibration:
    """One calibration of this machine with the embedded engine.

    Args:
        profile: this machine.
        measured_on: today's date (ISO), for the record.
        protocol: what to measure.
        seed: of the synthetic models.
    """

    def __init__(self, profile: HardwareProfile, measured_on: str, protocol: Protocol | None = None, seed: int = 0) -> None:
        self.protocol = protocol or Protocol()
        self.cores = profile.cpu.cores
        self.header: dict[str, Any] = {
            "machine": machine_key(profile),
            "engine": engine_build(),
            "cores": self.cores,
            "measured_on": measured_on,
            "description": profile.description,
        }
        self._seed = seed
        self.specs: dict[str, ModelSpec] = {name: resolve(name) for name in self.protocol.models}
        self._paths: dict[str, Path] = {}

    def run(self, progress: Progress | None = None, path: Path | None = None) -> tuple[Path, list[Measurement]]:
        """Measure everything.

        Args:
            progress: told what is being measured and the fraction done.
            path: measurement file; the store's by default.

        Returns:
            The measurement file and its rows.

        Raises:
            EngineError: a server could not be started or did not answer; what was measured so far is on disk.
            StorageError: a file could not be written.
        """
        report = progress or (lambda label, fraction: None)
        path = path or measurements_path(self.header["machine"], self.header["engine"])
        with tempfile.TemporaryDirectory(prefix="mmpredict-") as logs, MeasurementLog(path, self.header) as log:
            self._log_directory = Path(logs)
            for number, name in enumerate(self.protocol.models):
                report(f"writing {name}", 0.04 * number / len(self.protocol.models))
                self._paths[name] = materialize(self.specs[name])
            tasks = self._tasks()
            total_s = sum(task.guess_s for task in tasks)
            done_s = 0.0
            for task in tasks:
                report(task.label, 0.04 + 0.96 * done_s / total_s)
                for row in task.measure():
                    log.add(row)
                done_s += task.guess_s
            report("done", 1.0)
            return path, log.rows

    def _tasks(self) -> list[_Task]:
        tasks = []
        deep = self.protocol.models[0]
        counts = thread_counts(self.cores)
        for name in self.protocol.models:
            spec = self.specs[name]
            for threads in counts:
                long = self.protocol.long_prompt_tokens if threads == self.cores or name == deep else ()
                lengths = self.protocol.prefill_tokens[:2] if LARGE in name else self.protocol.prefill_tokens + long
                at_depth = name in self.protocol.deep_models and threads in (1, self.cores)
                depths = self.protocol.depth_tokens if at_depth else ()
                repeats = self._repeats(spec)
                tokens = sum(lengths) * repeats + sum(depths)
                steps = repeats * self.protocol.decode_steps * sum(self.protocol.decode_sequences)
                guess_s = _SECONDS_PER_LOAD + spec.parameters / threads * (tokens / _TOKEN_WEIGHTS_PER_S + steps / _WEIGHTS_PER_S)
                instance = InstancePlan(name, name, threads)
                tasks.append(
                    _Task(
                        f"{_short(name)}, {threads} of {self.cores} threads: prefill, decode, memory",
                        guess_s,
                        partial(self._measure_steps, spec, instance, lengths, self.protocol.decode_sequences, depths),
                    )
                )
        pair = [self.specs[name] for name in self.protocol.pair]
        for spec in pair:
            tasks.append(_Task(f"{_short(spec.name)}: cold load", 2.0, partial(self._measure_cold_load, spec)))
        if self.cores > 1:
            for spec in pair:
                yielding = InstancePlan(spec.name, spec.name, self.cores, YIELDING_SPINCOUNT)
                ends = (self.protocol.prefill_tokens[0], self.protocol.prefill_tokens[-1])
                measure = partial(self._measure_steps, spec, yielding, ends, (1,), ())
                tasks.append(_Task(f"{_short(spec.name)}: waiting rule alone", 2.5, measure))
        for set_up in set_ups(self.cores, self.protocol.spinning_episodes):
            guess_s = 2 * 2 * (self.protocol.alone_s + 0.3) + set_up.episodes * (1.5 + 2 * self.protocol.company_s)
            label = f"two servers at once, {set_up.name} ({set_up.threads} + {set_up.threads} threads on {self.cores} cores)"
            measure = partial(measure_company, pair, set_up, self._start, self.protocol.alone_s, self.protocol.company_s)
            tasks.append(_Task(label, guess_s, measure))
        label = f"{_short(pair[0].name)}: threads waiting for each other"
        tasks.append(_Task(label, 8.0, partial(measure_stacked, pair[0], self.cores, self._start)))
        return tasks

    def _repeats(self, spec: ModelSpec) -> int:
        return 1 if LARGE in spec.name else self.protocol.repeats

    def _start(self, instance: InstancePlan) -> EmbeddedServer:
        log_path = self._log_directory / f"{_short(instance.name)}.log"
        return EmbeddedServer.start(instance, self._paths[instance.model], log_path)

    def _measure_steps(
        self, spec: ModelSpec, instance: InstancePlan, lengths: Sequence[int], sequences: Sequence[int], depths: Sequence[int]
    ) -> Iterator[Measurement]:
        """One server: its load, its prefills and decodes, its memory at the end."""
        warmth.warm(self._paths[spec.name])
        warmth.touch_memory(repacked_bytes(spec) + cache_bytes(spec.shape, instance.cache))

        def row(kind: Any, **values: float) -> Measurement:
            return Measurement(kind, spec.name, instance.threads, instance.spincount, dict(values))

        with self._start(instance) as server, closing(Bench(server.url, spec.shape.n_vocab)) as bench:
            yield _load(spec, instance, server, cold=0)
            bench.decode(1, lengths[0], 2)
            for repeat in range(self._repeats(spec)):
                for tokens in lengths:
                    if repeat and tokens in self.protocol.long_prompt_tokens:
                        continue
                    answer = bench.prefill(tokens)
                    yield row("prefill", tokens=tokens, duration_s=answer.prompt_s)
                    overhead_s = answer.last_token_s - answer.sent_s - answer.prompt_s - answer.generation_s
                    yield row("request", tokens=tokens, overhead_s=max(0.0, overhead_s))
                for count in sequences:
                    yield from self._measure_decode(bench, row, count, lengths[0])
            for depth in depths:
                yield from self._measure_decode(bench, row, 1, depth)
            yield row(
                "memory",
                context_tokens=instance.context_tokens,
                slots=instance.slots,
                ubatch_tokens=instance.ubatch_tokens,
                proportional_bytes=memory_bytes(server.pid),
                **{f"{part}_bytes": size for part, size in server.buffer_bytes().items()},
            )

    def _measure_decode(
        self, bench: Bench, row: Callable[..., Measurement], sequences: int, prompt_tokens: int
    ) -> Iterator[Measurement]:
        run = bench.decode(sequences, prompt_tokens, self.protocol.decode_steps)
        if sequences == 1:
            yield row("prefill", tokens=prompt_tokens, duration_s=run.prompt_s)
        if run.steps:
            yield row("decode", sequences=sequences, depth=run.depth, steps=run.steps, duration_s=run.duration_s)

    def _measure_cold_load(self, spec: ModelSpec) -> Iterator[Measurement]:
        if warmth.drop(self._paths[spec.name]):
            instance = InstancePlan(spec.name, spec.name, self.cores)
            with self._start(instance) as server:
                yield _load(spec, instance, server, cold=1)


def _load(spec: ModelSpec, instance: InstancePlan, server: EmbeddedServer, cold: int) -> Measurement:
    values: dict[str, float | int | str] = {
        "cold": cold,
        "kv_cache_bytes": cache_bytes(spec.shape, instance.cache),
        "duration_s": server.load_s,
    }
    return Measurement("load", spec.name, instance.threads, instance.spincount, values)


def _short(name: str) -> str:
    return name.rpartition(":")[2]
