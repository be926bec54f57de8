"""Two small models, plans that serve them, and what a test of real servers must leave behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mmpredict.live import embedded, engine_child
from mmpredict.models.resolve import resolve
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import Plan
from mmpredict.strategy.options import ServerOptions
from mmpredict.strategy.table import make_plan
from mmpredict.workload.request import Request, Workload

UNSEEN = "synthetic:smollm2-135m@q4_0"  # no shape of the calibration
SEEN = "synthetic:probe-narrow@q4_0"
MODELS = (UNSEEN, SEEN)
CONTEXT_TOKENS = 2048
MEMORY_BYTES = 8e9

WORKLOAD = Workload(
    (
        Request("one", UNSEEN, 96, 48),
        Request("two", SEEN, 32, 48),
        Request("three", UNSEEN, 24, 1),
        Request("four", SEEN, 64, 24, arrival_s=0.3),
        Request("five", UNSEEN, 16, 64, arrival_s=0.6),
    )
)
LONG = Workload((Request("long", UNSEEN, 8, 900), Request("short", SEEN, 8, 8), Request("late", UNSEEN, 8, 900, arrival_s=2.0)))


@pytest.fixture(scope="module", autouse=True)
def use_cache(cache: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMPREDICT_CACHE", str(cache))
        yield


@pytest.fixture(scope="module")
def specs() -> dict[str, ModelSpec]:
    return {name: resolve(name) for name in MODELS}


def plan_of(strategy: str, models: tuple[str, ...] = MODELS) -> Plan:
    """Servers of one thread each."""
    return make_plan(strategy, models, len(models) if strategy == "parallel-divided" else 1, ServerOptions(CONTEXT_TOKENS))


def engine_pids() -> list[int]:
    """Servers that this process started, and has not waited for."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if engine_child.__file__ in child.cmdline():
                found.append(child.pid)
        except psutil.Error:
            continue
    return found


@pytest.fixture(autouse=True)
def no_server_left() -> Iterator[None]:
    yield
    assert not embedded._running
    assert engine_pids() == []
