"""The engine of the demo and the tests: llama.cpp's server from a Python package, one child process per instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmpredict.live.embedded import EmbeddedServer, require_engine
from mmpredict.live.process_instance import ProcessInstance, model_files
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import InstancePlan, Plan


@dataclass(slots=True)
class EmbeddedEngine:
    """Writes synthetic models where they are missing, then starts a process per instance."""

    notes: list[str] = field(default_factory=list)
    _specs: Mapping[str, ModelSpec] = field(default_factory=dict)
    _paths: dict[str, Path] = field(default_factory=dict)

    def prepare(self, plan: Plan, specs: Mapping[str, ModelSpec], cold: bool) -> None:
        """Drop model files from the page cache if ``cold``; else read them into it and touch free memory (see ``Engine``).

        Raises:
            DoesNotFitError: synthetic models do not fit onto the disk.
        """
        require_engine()
        self._specs = specs
        self._paths = model_files(plan, specs, cold)

    def load(self, instance: InstancePlan, log_path: Path) -> ProcessInstance:
        """See ``Engine``."""
        server = EmbeddedServer.start(instance, self._paths[instance.model], log_path)
        return ProcessInstance(server, self._specs[instance.model].shape.n_vocab)
