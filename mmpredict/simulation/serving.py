"""How the servers of a plan are run: by the rules of which program, with which options. Plain data, as the plan is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mmpredict.errors import InputError

FOREVER_S = -1.0
"""Any negative keep-alive: never unloaded for being idle."""


@dataclass(frozen=True, slots=True)
class StagesServing:
    """The stages of the plan, one after another."""

    rules: str = field(default="stages", init=False)


@dataclass(frozen=True, slots=True)
class OllamaServing:
    """Ollama since v0.30 (``server/sched.go`` at commit fb3076099).

    Attributes:
        keep_alive_s: ``OLLAMA_KEEP_ALIVE``: how long an idle model stays; 0: not at all, negative: for ever [s].
        max_loaded_models: ``OLLAMA_MAX_LOADED_MODELS``; 0: three per GPU, three without one [1].
        num_parallel: ``OLLAMA_NUM_PARALLEL``: requests that a model serves at a time [1].
        max_queue: ``OLLAMA_MAX_QUEUE``: requests that wait for a model to be loaded [1].
        digests: model → digest of its file (not of the model, which ``/api/tags`` has), which decides between models of equal
            keep-alive; the hash of the name where none is given.
        kill_s: from the signal to the end of a server's process (assumed) [s].
        recovery_s: from there until a discrete GPU reports its memory as free (assumed; Ollama calls 0.5 to 1.5 s typical) [s].
    """

    rules: str = field(default="ollama", init=False)
    keep_alive_s: float = 300.0
    max_loaded_models: int = 0
    num_parallel: int = 1
    max_queue: int = 512
    digests: Mapping[str, str] = field(default_factory=dict)
    kill_s: float = 0.1
    recovery_s: float = 0.5

    def __post_init__(self) -> None:
        _check(self.rules, max_loaded_models=(self.max_loaded_models, 0), num_parallel=(self.num_parallel, 1))
        _check(self.rules, max_queue=(self.max_queue, 1), kill_s=(self.kill_s, 0), recovery_s=(self.recovery_s, 0))


@dataclass(frozen=True, slots=True)
class RouterServing:
    """llama-server's router mode (``tools/server/server-models.cpp``, llama.cpp at commit 0c1e57098).

    Attributes:
        models_max: ``--models-max``: models that are loaded, loading or asleep; 0 for no limit [1].
        sleep_idle_s: ``--sleep-idle-seconds``: idle time after which a model's memory is freed; negative: never [s].
        stop_s: from the request to exit to the end of a server's process (assumed) [s].
    """

    rules: str = field(default="llama-server-router", init=False)
    models_max: int = 4
    sleep_idle_s: float = -1.0
    stop_s: float = 0.1

    def __post_init__(self) -> None:
        _check(self.rules, models_max=(self.models_max, 0), stop_s=(self.stop_s, 0))


@dataclass(frozen=True, slots=True)
class Group:
    """Models of one group of llama-swap.

    Attributes:
        members: names of models.
        swap: whether only one member runs at a time.
        exclusive: whether a member that starts stops the members of other groups.
        persistent: whether its members are left alone by other groups that are exclusive.
    """

    members: tuple[str, ...]
    swap: bool = True
    exclusive: bool = True
    persistent: bool = False


@dataclass(frozen=True, slots=True)
class LlamaSwapServing:
    """llama-swap (``internal/router``, ``internal/process`` at commit 0bdb372).

    Attributes:
        groups: name → models that run together; all others form the group ``(default)``.
        ttl_s: ``globalTTL``: idle time after which a model is stopped; 0: never [s].
        concurrency_limit: ``concurrencyLimit``: requests of one model that wait or are served [1].
        priorities: model → priority; higher first, 0 where none is given [1].
        stop_s: from the signal to the end of a server's process (assumed) [s].
    """

    rules: str = field(default="llama-swap", init=False)
    groups: Mapping[str, Group] = field(default_factory=dict)
    ttl_s: float = 0.0
    concurrency_limit: int = 10
    priorities: Mapping[str, int] = field(default_factory=dict)
    stop_s: float = 0.1

    def __post_init__(self) -> None:
        _check(self.rules, ttl_s=(self.ttl_s, 0), concurrency_limit=(self.concurrency_limit, 1), stop_s=(self.stop_s, 0))
        members = [name for group in self.groups.values() for name in group.members]
        twice = sorted({name for name in members if members.count(name) > 1})
        if twice:
            raise InputError(f"serving by llama-swap: {twice[0]!r} is a member of two groups; leave it in one")


@dataclass(frozen=True, slots=True)
class PoolServing:
    """A pool of models within a budget of memory; the one used longest ago goes first.

    Attributes:
        budget_bytes: of all models together; 0: what the machine lets models use [bytes].
        unload_s: to unload a model [s].
    """

    rules: str = field(default="pool", init=False)
    budget_bytes: float = 0.0
    unload_s: float = 0.0

    def __post_init__(self) -> None:
        _check(self.rules, budget_bytes=(self.budget_bytes, 0), unload_s=(self.unload_s, 0))


@dataclass(frozen=True, slots=True)
class SwapServing:
    """One active model, exchanged for another when a request asks for it.

    Attributes:
        unload_s: to unload a model [s].
    """

    rules: str = field(default="swap", init=False)
    unload_s: float = 0.0

    def __post_init__(self) -> None:
        _check(self.rules, unload_s=(self.unload_s, 0))


Serving = StagesServing | OllamaServing | RouterServing | LlamaSwapServing | PoolServing | SwapServing

SERVINGS: dict[str, type[Serving]] = {
    "stages": StagesServing,
    "ollama": OllamaServing,
    "llama-server-router": RouterServing,
    "llama-swap": LlamaSwapServing,
    "pool": PoolServing,
    "swap": SwapServing,
}


def _check(rules: str, **limits: tuple[float, float]) -> None:
    for name, (value, low) in limits.items():
        if not low <= value < float("inf"):
            raise InputError(f"serving by {rules}: {name} is {value}; it must be {low} or more")
