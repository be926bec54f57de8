"""llama-server as an engine: programs that are started, servers that run already, and routers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mmpredict.errors import EngineError, InputError
from mmpredict.live.attached import AttachedServer, Router, disturbances, is_router, listener, port_of
from mmpredict.live.binary_server import DEFAULT_PROGRAM, BinaryServer, find_program
from mmpredict.live.client import CompletionClient
from mmpredict.live.describe import served_by
from mmpredict.live.engine import Server
from mmpredict.live.held import HeldServer
from mmpredict.live.llama_command import Program, missing
from mmpredict.live.process_instance import ProcessInstance, model_files
from mmpredict.live.server_state import differences
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import InstancePlan, Plan


@dataclass(slots=True)
class LlamaServerEngine:
    """Starts a program per instance, unless an address says where a server runs already (see ``Engine``).

    Attributes:
        binary: the program, a path or a name on ``PATH``.
        url: address of one server for all models: a router, or the server of the only model; empty to start programs.
        urls: model → address of its server, before ``url``.
        names: model → its name at a router, where that is another one.
        notes: see ``Engine``.
    """

    binary: str = DEFAULT_PROGRAM
    url: str = ""
    urls: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _specs: Mapping[str, ModelSpec] = field(default_factory=dict)
    _paths: dict[str, Path] = field(default_factory=dict)
    _program: Program | None = None
    _routers: set[str] = field(default_factory=set)

    def prepare(self, plan: Plan, specs: Mapping[str, ModelSpec], cold: bool) -> None:
        """Find the program and the files for what is started, the servers for the rest; unload what routers are to load.

        Raises:
            EngineMissingError: there is no such program.
            EngineError: no server answers at an address.
            InputError: one server is to serve several models, or a router does not know a model.
            DoesNotFitError: synthetic models do not fit onto the disk.
        """
        self._specs = specs
        started = [one for one in plan.instances if not self._address(one)]
        if started:
            self._program = self._program or find_program(self.binary)
            self.notes += [f"{self._program.path} knows no {option}" for option in missing(self._program, started)]
        self._paths = model_files(plan, specs, cold, {one.model for one in started})
        elsewhere = {one.name: self._address(one) for one in plan.instances if self._address(one)}
        self._routers = {url for url in sorted(set(elsewhere.values())) if is_router(url)}
        for url in sorted(set(elsewhere.values()) - self._routers):
            served = [name for name, address in elsewhere.items() if address == url]
            if len(served) > 1:
                raise InputError(
                    f"the llama-server at {url} serves one model, the plan has {', '.join(served)} there; give each model's "
                    "address in [engine.urls], or the address of a router"
                )
        for one in plan.instances:
            if self._address(one) in self._routers:
                with CompletionClient(self._address(one)) as client:
                    router = Router(self._address(one), client)
                    router.require(self._name(one))
                    router.unload(self._name(one))
        if cold and elsewhere:
            self.notes.append("files of servers that run already may be in the page cache, so that their loads are not cold")

    def load(self, instance: InstancePlan, log_path: Path) -> Server:
        """See ``Engine``."""
        url, spec = self._address(instance), self._specs[instance.model]
        if not url:
            assert self._program is not None, "prepare comes before load"
            server = BinaryServer.start(self._program, instance, self._paths[instance.model], log_path)
            return ProcessInstance(server, spec.shape.n_vocab)
        if url in self._routers:
            return self._of_router(url, instance)
        served = served_by(url)
        self._note(url, [*differences(served, instance, spec), *disturbances(url)])
        self._note(url, ["it ran before, so that its load is not measured"])
        client = CompletionClient(url)
        return AttachedServer(client, HeldServer(client), served.n_vocab or spec.shape.n_vocab, pid=listener(port_of(url)))

    def _of_router(self, url: str, instance: InstancePlan) -> AttachedServer:
        name, spec = self._name(instance), self._specs[instance.model]
        client = CompletionClient(url)
        router = Router(url, client)
        held = HeldServer(client, partial(router.unload, name))
        try:
            router.load(name)
            served = served_by(url, name)
            self._note(f"{name} at {url}", differences(served, instance, spec))
            vocabulary, pid = served.n_vocab or spec.shape.n_vocab, listener(router.port(name))
        except BaseException:
            with suppress(EngineError):
                held.stop()
            raise
        return AttachedServer(client, held, vocabulary, name, pid, attached=False)

    def _address(self, instance: InstancePlan) -> str:
        return self.urls.get(instance.model, self.url)

    def _name(self, instance: InstancePlan) -> str:
        return self.names.get(instance.model, instance.model)

    def _note(self, where: str, found: list[str]) -> None:
        self.notes += [f"{where}: {text}" for text in found]
