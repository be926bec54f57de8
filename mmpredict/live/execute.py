"""Executing a plan: the same stages, order and concurrency as the simulator, on real servers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mmpredict.errors import InputError
from mmpredict.hardware.sensors import find_sensors
from mmpredict.live.embedded_engine import EmbeddedEngine
from mmpredict.live.engine import Engine
from mmpredict.live.journal import Journal
from mmpredict.live.recorder import Recorder
from mmpredict.live.run import Progress, Run, Task
from mmpredict.live.server_process import ending_servers
from mmpredict.models.spec import ModelSpec
from mmpredict.results.records import Records
from mmpredict.simulation.dispatch import assign, check_context, check_order
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.residency import check_memory
from mmpredict.workload.request import Workload

DEFAULT_LIMIT_S = 600.0


def execute_plan(
    plan: Plan,
    workload: Workload,
    specs: Mapping[str, ModelSpec],
    memory_capacity_bytes: float,
    log_directory: Path,
    cold: bool = False,
    limit_s: float = DEFAULT_LIMIT_S,
    progress: Progress | None = None,
    engine: Engine | None = None,
    journal: Journal | None = None,
) -> Records:
    """Run a plan on real servers.

    Whatever becomes of a request is a row: a server that cannot be loaded, dies or falls silent costs its requests and no others.

    Args:
        plan: instances and stages.
        workload: requests.
        specs: model name → model; synthetic ones are written first if they are not there.
        memory_capacity_bytes: what the instances may use together [bytes].
        log_directory: where the servers' logs go.
        cold: whether model files are dropped from the page cache first; read into it otherwise, and free memory touched.
        limit_s: requests that are not done this long after the begin are given up and recorded as ``timeout`` [s].
        progress: told what happens, and a few times a second how many tokens come.
        engine: starts the servers; the embedded llama.cpp by default.
        journal: gets every row as soon as it exists; where this call is broken off, also those of requests that were under way.

    Raises:
        InputError: a request asks for a model that the plan does not serve, or for more tokens than the context holds; servers
            of the plan are loaded on demand, which is simulated only.
        DoesNotFitError: weights and KV caches of a stage do not fit into memory, or synthetic models onto the disk.
        EngineError: the engine cannot be used at all.
        StorageError: a log or the rows cannot be written.
    """
    if plan.on_demand:
        raise InputError(f"plan {plan.strategy!r} is served by {plan.serving.rules}; only plans of stages can be executed")
    instance_of = assign(plan, workload)
    check_context(plan, workload, instance_of)
    check_order(plan, workload, instance_of)
    check_memory(plan, specs, memory_capacity_bytes)
    engine = engine or EmbeddedEngine()
    engine.prepare(plan, specs, cold)
    sizes = {instance.model: float(specs[instance.model].weight_bytes) for instance in plan.instances}
    task = Task(
        plan,
        workload,
        instance_of,
        sizes,
        engine,
        memory_capacity_bytes,
        os.cpu_count() or 1,
        log_directory,
        limit_s,
        find_sensors(),
        progress,
    )
    with ending_servers():
        return Run(task, Recorder(plan.strategy, journal)).records()
