"""A plan: which servers run, with which options, in which stages, and how requests reach them.

The same plan is simulated and executed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from mmpredict.errors import InputError
from mmpredict.models.cache import CacheOptions
from mmpredict.simulation.policies.recovery import Recovery
from mmpredict.simulation.serving import Serving, StagesServing

DEFAULT_SLOTS = 4  # llama-server without -np: 4 slots over one unified KV cache
DEFAULT_BATCH_TOKENS = 2048
DEFAULT_UBATCH_TOKENS = 512
DEFAULT_CONTEXT_TOKENS = 4096
DEFAULT_CACHE_TYPE = "f16"
DEFAULT_PROMPT_STORE_BYTES = 8192 * 2**20
"""``--cache-ram`` of a llama-server that nobody told otherwise (llama.cpp ``common/common.h``); our own have none."""
YIELDING_SPINCOUNT = 1000
"""``GOMP_SPINCOUNT`` that gives a core up soon after a barrier is found closed; see ``docs/design.md``, waiting rule."""


@dataclass(frozen=True, slots=True)
class InstancePlan:
    """One server process with one model.

    Attributes:
        name: unique within the plan.
        model: name of the model, as ``models.resolve`` understands it.
        threads: worker threads of the server.
        spincount: ``GOMP_SPINCOUNT`` of its process; ``None`` leaves the OpenMP runtime's default.
        context_tokens: cells of the unified KV cache [tokens].
        slots: sequences served at a time.
        batch_tokens, ubatch_tokens: logical and physical batch (``-b``, ``-ub``) [tokens].
        unified: whether all slots share the cells of the cache, or each has its part.
        key_type, value_type: storage of keys and of values.
        prompt_store_bytes: main memory for the caches of conversations whose slot another one took (``--cache-ram``) [bytes].
        embedding: whether it answers with embeddings of texts rather than with generated tokens.
        gpu_layers: layers on a GPU, the output counted as one (``--n-gpu-layers``); ``None``: as many as the server finds room for.

    Raises:
        InputError: a number is out of range.
    """

    name: str
    model: str
    threads: int
    spincount: int | None = None
    context_tokens: int = DEFAULT_CONTEXT_TOKENS
    slots: int = DEFAULT_SLOTS
    batch_tokens: int = DEFAULT_BATCH_TOKENS
    ubatch_tokens: int = DEFAULT_UBATCH_TOKENS
    unified: bool = True
    key_type: str = DEFAULT_CACHE_TYPE
    value_type: str = DEFAULT_CACHE_TYPE
    prompt_store_bytes: int = 0
    embedding: bool = False
    gpu_layers: int | None = None

    @property
    def cache(self) -> CacheOptions:
        """Set-up of its context."""
        return CacheOptions(self.context_tokens, self.slots, self.ubatch_tokens, self.unified, self.key_type, self.value_type)

    def __post_init__(self) -> None:
        limits = {
            "threads": (1, 1024),
            "context_tokens": (16, 16_777_216),
            "slots": (1, 256),
            "batch_tokens": (1, 65536),
            "ubatch_tokens": (1, 65536),
            "prompt_store_bytes": (0, 2**50),
            "gpu_layers": (0, 10_000),
        }
        for field_name, (low, high) in limits.items():
            value = getattr(self, field_name)
            if value is not None and not low <= value <= high:
                raise InputError(f"instance {self.name!r}: {field_name} is {value}; it must be between {low} and {high}")
        _ = self.cache  # a cache type that does not exist is an error here, not in the server
        if self.spincount is not None and not 0 <= self.spincount <= 10**12:
            raise InputError(f"instance {self.name!r}: spincount is {self.spincount}; it must be 0 or more")


@dataclass(frozen=True, slots=True)
class Stage:
    """Instances that are resident together: loaded at once, served until their requests are done, then unloaded.

    Attributes:
        instances: names of instances.
        concurrency: requests in flight at a time over the whole stage; ``None`` for no limit.
    """

    instances: tuple[str, ...]
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Instances, and the stages in which they run one after another.

    Attributes:
        strategy: name of the strategy that made it.
        instances: every server that will be started.
        stages: each instance appears in exactly one.
        serving: by whose rules they are run. All but stages load servers when they are asked for: then one stage holds them all.
        recovery: what is done with requests that fail, which real runs alone know.

    Raises:
        InputError: names are not unique, or a stage and the instances, or the stages and the serving, do not match.
    """

    strategy: str
    instances: tuple[InstancePlan, ...]
    stages: tuple[Stage, ...]
    serving: Serving = field(default_factory=StagesServing)
    recovery: Recovery = field(default_factory=Recovery)

    def __post_init__(self) -> None:
        names = [instance.name for instance in self.instances]
        staged = [name for stage in self.stages for name in stage.instances]
        if len(set(names)) != len(names):
            raise InputError(f"plan {self.strategy!r}: two instances have the same name in {names}")
        if sorted(names) != sorted(staged):
            raise InputError(f"plan {self.strategy!r}: stages hold {staged}, instances are {names}; each must be in one stage")
        if self.on_demand and (len(self.stages) != 1 or self.stages[0].concurrency is not None):
            raise InputError(
                f"plan {self.strategy!r} is served by {self.serving.rules}, which loads servers on demand; "
                "put all instances into one stage without a limit of concurrency"
            )

    @property
    def on_demand(self) -> bool:
        """Whether servers are loaded when they are asked for, rather than stage by stage."""
        return not isinstance(self.serving, StagesServing)

    def instance(self, name: str) -> InstancePlan:
        """The instance called ``name``."""
        return next(instance for instance in self.instances if instance.name == name)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)
