"""Ollama's scheduler: who may be served, and who goes to make room (``server/sched.go`` at commit fb3076099, v0.33)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mmpredict.cost.admission.ollama import MODELS_PER_GPU

POLL_S = 0.25
"""Interval at which a loading server is asked whether it is ready, and a GPU for its free memory."""
RETRY_S = 0.01
"""After which a server that expired in use is looked at again."""
RECOVERY_LIMIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Runner:
    """A loaded model, as the scheduler sees it.

    Attributes:
        name: of its server.
        context_tokens: context of a slot [tokens].
        keep_alive_s: present keep-alive, infinite for ever [s].
        rank: digest of its file.
        requests: that it has been given and that have not ended [1].
    """

    name: str
    context_tokens: int
    keep_alive_s: float
    rank: str
    requests: int


@dataclass(frozen=True, slots=True)
class Step:
    """What comes next for the request at the head.

    Attributes:
        kind: it is granted its model, its model is loaded, or a server goes first.
        victim: the server that goes.
    """

    kind: Literal["grant", "load", "evict"]
    victim: str = ""


def next_step(name: str, context_tokens: int, loaded: Sequence[Runner], most: int, crowded: Callable[[], bool]) -> Step:
    """What comes next for a request.

    Args:
        name: server that it needs.
        context_tokens: context that it needs [tokens].
        loaded: all loaded models.
        most: models that may be loaded [1].
        crowded: whether memory asks for an eviction; asked only when it decides.
    """
    runner = next((one for one in loaded if one.name == name), None)
    if runner is not None:
        return Step("evict", name) if needs_reload(runner.context_tokens, context_tokens) else Step("grant")
    if len(loaded) >= most:
        return Step("evict", victim(loaded))
    return Step("evict", victim(loaded)) if loaded and crowded() else Step("load")


def victim(loaded: Sequence[Runner]) -> str:
    """The server that goes: shortest keep-alive, then smallest digest; an idle one if there is one. Neither use nor size counts."""
    ordered = sorted(loaded, key=lambda runner: (runner.keep_alive_s, runner.rank))
    return next((runner.name for runner in ordered if not runner.requests), ordered[0].name)


def needs_reload(loaded_tokens: int, asked_tokens: int) -> bool:
    """Whether a loaded model is loaded anew for a request, because their contexts differ [tokens]."""
    return loaded_tokens != asked_tokens


def most_loaded(asked: int, gpus: int) -> int:
    """Models that may be loaded at a time; ``asked`` is 0 where it is left to Ollama [1]."""
    return asked or MODELS_PER_GPU * max(gpus, 1)


def rank(model: str, digests: Mapping[str, str]) -> str:
    """What stands for the digest of a model's file: as given, or the hash of its name."""
    return digests.get(model) or hashlib.sha256(model.encode()).hexdigest()


def lasting_s(keep_alive_s: float) -> float:
    """A keep-alive in which for ever is infinite [s]."""
    return math.inf if keep_alive_s < 0 else keep_alive_s


def recovery_wait_s(recovery_s: float) -> float:
    """How long a discrete GPU is polled until its memory is back [s]."""
    return min(RECOVERY_LIMIT_S, POLL_S * max(1, math.ceil(recovery_s / POLL_S)))
