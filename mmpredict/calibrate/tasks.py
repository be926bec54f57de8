"""A calibration's round as a list of tasks: each starts its servers anew, and can be left out, repeated or put elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from mmpredict.calibrate.company import SetUp, measure_company, measure_stacked, set_ups
from mmpredict.calibrate.measurement import Measurement
from mmpredict.calibrate.measuring import Measuring, short_name
from mmpredict.calibrate.protocol import LARGE, thread_counts
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import DEFAULT_SLOTS, YIELDING_SPINCOUNT, InstancePlan

MOST_AT_ONCE = 8  # servers that are started at once; with so many cores nobody has more models than cores
_SECONDS_PER_LOAD = 0.6  # rough, for the progress bar only
_TOKEN_WEIGHTS_PER_S = 5e10  # likewise: weights × prompt tokens per second and core
_WEIGHTS_PER_S = 5e9  # likewise: weights × decoded tokens per second and core


@dataclass(frozen=True, slots=True)
class Task:
    """One stretch of a round.

    Attributes:
        label: what it does; tells it from the others of its round.
        guess_s: how long it may take [s].
        measure: does it.
        once: whether the first round is enough.
        server: model, threads and waiting rule of the server that is measured alone; None for servers in company.
    """

    label: str
    guess_s: float
    measure: Callable[[], Iterator[Measurement]]
    once: bool = False
    server: tuple[str, int, int | None] | None = None


def round_tasks(measuring: Measuring, specs: Mapping[str, ModelSpec]) -> list[Task]:
    """Everything that a round measures."""
    protocol, cores = measuring.protocol, measuring.cores
    pair = [specs[name] for name in protocol.pair]
    tasks = [] if protocol.company_only else _alone(measuring, specs, pair)
    tasks += [_company(measuring, pair, set_up) for set_up in set_ups(cores, protocol)]
    for count in joint_counts(cores):
        specs_at_once = [pair[place % len(pair)] for place in range(count)]
        tasks.append(Task(f"{count} servers started at once", 0.5 + 0.4 * count, partial(measuring.joint_loads, specs_at_once)))
    label = f"{short_name(pair[0].name)}: threads waiting for each other"
    return [*tasks, Task(label, 4.0, partial(measure_stacked, pair[0], cores, measuring.start), once=True)]


def joint_counts(cores: int) -> list[int]:
    """How many servers of one thread are started at once: two, where each has a core, and twice as many as there are cores."""
    return [count for count, wanted in ((2, cores > 1), (2 * cores, 2 * cores <= MOST_AT_ONCE)) if wanted]


def _alone(measuring: Measuring, specs: Mapping[str, ModelSpec], pair: list[ModelSpec]) -> list[Task]:
    protocol, cores = measuring.protocol, measuring.cores
    tasks = []
    for name in protocol.models:
        spec = specs[name]
        for threads in thread_counts(cores):
            lengths, depths = measuring.lengths(name, threads), measuring.depths(name, threads)
            sequences = protocol.sequences(name)
            label = f"{short_name(name)}, {threads} of {cores} threads: prefill, decode, memory"
            instance = InstancePlan(name, name, threads, slots=max(DEFAULT_SLOTS, *sequences))
            measure = partial(measuring.steps, spec, instance, lengths, sequences, depths)
            steps = protocol.decode_steps * (sum(sequences) + 2 * len(depths))
            tokens = sum(lengths) + sum(depths) + len(depths) * protocol.prefill_tokens[-1]
            guess_s = _SECONDS_PER_LOAD + spec.parameters / threads * (tokens / _TOKEN_WEIGHTS_PER_S + steps / _WEIGHTS_PER_S)
            tasks.append(Task(label, guess_s, measure, once=name in protocol.once_models, server=(name, threads, None)))
    for spec in [*pair, *(specs[name] for name in protocol.models if LARGE in name)]:
        tasks.append(Task(f"{short_name(spec.name)}: cold load", 2.0, partial(measuring.cold_load, spec), once=True))
    for spec in pair:
        if cores > 1:
            yielding = InstancePlan(spec.name, spec.name, cores, YIELDING_SPINCOUNT)
            ends = (protocol.prefill_tokens[0], protocol.prefill_tokens[-1])
            measure = partial(measuring.steps, spec, yielding, ends, (1,), ())
            server = (spec.name, cores, YIELDING_SPINCOUNT)
            tasks.append(Task(f"{short_name(spec.name)}: waiting rule alone", 2.5, measure, server=server))
    return tasks


def _company(measuring: Measuring, pair: list[ModelSpec], set_up: SetUp) -> Task:
    protocol, cores = measuring.protocol, measuring.cores
    guess_s = 2 * 2 * (protocol.alone_s + 0.3) + set_up.episodes * (1.5 + len(set_up.together) * protocol.company_s)
    label = f"two servers at once, {set_up.name} ({set_up.threads} + {set_up.threads} threads on {cores} cores)"
    return Task(label, guess_s, partial(measure_company, pair, set_up, measuring.start, protocol.alone_s, protocol.company_s))
