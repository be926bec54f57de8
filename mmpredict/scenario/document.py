"""The question that a scenario file asks."""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, Tag, model_validator

from mmpredict.errors import FileFormatError, InputError, UnknownNameError
from mmpredict.hardware.detect import THIS_MACHINE
from mmpredict.live.describe import spec_of
from mmpredict.models.spec import ModelSpec
from mmpredict.scenario.engine_section import EngineKey, EngineSection
from mmpredict.scenario.generated_sections import (
    BurstsSection,
    ClosedSection,
    ConstantSection,
    GammaSection,
    GraphSection,
    PoissonSection,
    SessionsSection,
)
from mmpredict.scenario.load_section import LoadSection
from mmpredict.scenario.recommend_section import RecommendSection
from mmpredict.scenario.recovery_section import RecoverySection
from mmpredict.scenario.request_section import RequestSection, requests_of
from mmpredict.scenario.server_section import ServerSection
from mmpredict.scenario.serving_section import ServingSection
from mmpredict.scenario.strict import Strict, by_kind, keys_by_tag
from mmpredict.scenario.trace_section import TraceSection
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.serving import StagesServing
from mmpredict.strategy.on_demand import on_demand
from mmpredict.strategy.options import ServerOptions
from mmpredict.strategy.table import STRATEGIES, make_plan
from mmpredict.strategy.task import Task
from mmpredict.workload.order import check_unique
from mmpredict.workload.request import Request, Workload

MAX_REQUESTS = 100_000
MAX_LOADS = 1000

FAMILY = "load"
LOAD_KEYS = keys_by_tag(
    FAMILY,
    ConstantSection,
    PoissonSection,
    GammaSection,
    BurstsSection,
    ClosedSection,
    SessionsSection,
    GraphSection,
    TraceSection,
)
Load = Annotated[
    Annotated[ConstantSection, Tag("load.constant")]
    | Annotated[PoissonSection, Tag("load.poisson")]
    | Annotated[GammaSection, Tag("load.gamma")]
    | Annotated[BurstsSection, Tag("load.bursts")]
    | Annotated[ClosedSection, Tag("load.closed")]
    | Annotated[SessionsSection, Tag("load.sessions")]
    | Annotated[GraphSection, Tag("load.graph")]
    | Annotated[TraceSection, Tag("load.trace")],
    by_kind(FAMILY),
]
"""One ``[[load]]`` entry."""


class Scenario(Strict):
    """One question: these models, these requests, this machine, these ways of running them.

    Attributes:
        hardware: profile name or file.
        strategies: short names, in the order in which they are shown.
        cold: whether model files are read from storage at first.
        server: options of every server.
        engine: the program that serves when a plan is executed.
        serving: rules by which servers are loaded on demand: one more way of running them, the only one where no strategy is named.
        recovery: what is done with requests that fail, in real runs; nothing by default.
        requests: what is asked.
        load: what else is asked, by a rule or from a file.
        recommend: what a plan is to be chosen for.
        base: directory from which relative paths are meant.
    """

    hardware: str = THIS_MACHINE
    strategies: tuple[str, ...] = tuple(STRATEGIES)
    cold: bool = False
    server: ServerSection = ServerSection()
    engine: EngineKey = EngineSection()
    serving: ServingSection = None
    recovery: RecoverySection = RecoverySection()
    requests: tuple[RequestSection, ...] = ()
    load: tuple[Load, ...] = Field(default=(), max_length=MAX_LOADS)
    recommend: RecommendSection = RecommendSection()
    base: Path | None = Field(default=None, exclude=True)

    @model_validator(mode="after")
    def _asks_something(self) -> Scenario:
        if not self.requests and not self.load:
            raise ValueError("it asks nothing; give at least one [[requests]] or [[load]] entry")
        return self

    @property
    def digest(self) -> str:
        """A name of its content: equal for equal questions."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    def stream(self) -> Iterator[Request]:
        """The requests in order of arrival, one at a time: those of the loads are not held.

        Ids are not compared with one another here, as ``workload`` does: a load's are unique by their making, or the file's matter.

        Raises:
            InputError: a request or a load is out of range, or a file cannot be read.
        """
        self._require_few()
        single = [Workload(tuple(requests_of(self.requests))).requests] if self.requests else []
        streams = []
        for name, load in self._loads().items():
            with _errors_of(name):
                streams.append(load.stream(name, self.base))
        return heapq.merge(*single, *streams, key=lambda request: request.arrival_s)

    def workload(self) -> Workload:
        """The requests, all at once.

        Raises:
            InputError: a request or a load is out of range, a file cannot be read, or there are too many requests.
        """
        found = tuple(itertools.islice(self.stream(), MAX_REQUESTS + 1))
        if len(found) > MAX_REQUESTS:
            raise InputError(f"the scenario holds more than {MAX_REQUESTS} requests")
        return Workload(found)

    def models(self) -> tuple[str, ...]:
        """Names of the models that are asked, in the order of the file.

        Raises:
            InputError: a load does not say whom it asks.
        """
        found = [section.model for section in self.requests]
        for name, load in self._loads().items():
            with _errors_of(name):
                found.extend(load.asked(self.base))
        return tuple(dict.fromkeys(found))

    def specs(self) -> dict[str, ModelSpec]:
        """Model name → model, for every model asked.

        Raises:
            InputError: a model cannot be resolved.
            EngineError: a model is a running server's, and that does not answer.
        """
        return {name: spec_of(name, self.base) for name in self.models()}

    def options(self) -> ServerOptions:
        """Options of every server."""
        return ServerOptions(**self.server.model_dump())

    def plans(self, cores: int, task: Callable[[], Task] | None = None) -> list[Plan]:
        """The plan of every strategy, and the one that is served on demand.

        Args:
            cores: of the machine [1].
            task: finds out what models cost, for strategies that look before they plan.

        Raises:
            UnknownNameError: no such strategy, or recovery names a model that is not asked.
            InputError: a strategy needs to know what models cost.
            DoesNotFitError: no plan of a strategy that looks at memory fits.
        """
        options = self.options()
        models = list(self.models())
        recovery = self.recovery.recovery()
        for name in (one for model, others in recovery.fallback.items() for one in (model, *others)):
            if name not in models:
                raise UnknownNameError("model of recovery.fallback", name, models)
        wanted = None if isinstance(self.serving, StagesServing) else self.serving
        named = dict.fromkeys(self.strategies) if wanted is None or "strategies" in self.model_fields_set else ()
        staged = [replace(make_plan(name, models, cores, options, task), recovery=recovery) for name in named]
        return staged if wanted is None else [*staged, on_demand(models, cores, options, wanted)]

    def _require_few(self) -> None:
        if sum(section.count for section in self.requests) > MAX_REQUESTS:
            raise InputError(f"the scenario holds more than {MAX_REQUESTS} requests")

    def _loads(self) -> dict[str, LoadSection]:
        names = [load.id or f"load{number}" for number, load in enumerate(self.load, start=1)]
        check_unique(names, "loads")
        return dict(zip(names, self.load, strict=True))


@contextmanager
def _errors_of(name: str) -> Iterator[None]:
    """Errors inside name the load; those that name a file or a table say enough."""
    try:
        yield
    except (FileFormatError, UnknownNameError):
        raise
    except InputError as error:
        raise InputError(f"load {name!r}: {error}") from error
