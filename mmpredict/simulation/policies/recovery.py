"""What becomes of a request that failed: sent again after a pause, sent to another server, or given up.

Functions of what is seen, which know no clock and send nothing. Real runs call them; the simulator does not model failures.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from mmpredict.errors import InputError, UnknownNameError

FAILURES = (
    "timeout",
    "deadline",
    "refused",
    "network",
    "server-died",
    "out-of-memory",
    "load-failed",
    "queue-full",
    "bad-request",
    "server-error",
    "interrupted",
)
"""Classes of failure, as records name them."""
FINAL = frozenset({"timeout", "deadline", "interrupted"})
"""Failures after which there is no time left to try anything."""
PASSING = ("queue-full", "refused", "network")
"""Failures that are likely to be over a moment later."""
MAX_RETRIES = 100
MAX_BACKOFF_S = 3600.0
MAX_BACKOFF_FACTOR = 100.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """How a plan deals with requests that fail; by default not at all.

    Attributes:
        retries: how often a request is sent again to the same server [1].
        backoff_s: pause before the first of these [s].
        backoff_factor: by which the pause grows each time [1].
        retry_on: classes of failure after which it is.
        fallback: model → models that are asked in its place, in this order; its own name stands for its other servers.
        smaller: whether the other models of the plan that are smaller are asked after those, the largest of them first.

    Raises:
        InputError: a number is out of range.
        UnknownNameError: ``retry_on`` names no class of failure.
    """

    retries: int = 0
    backoff_s: float = 0.5
    backoff_factor: float = 2.0
    retry_on: tuple[str, ...] = PASSING
    fallback: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    smaller: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.retries <= MAX_RETRIES:
            raise InputError(f"recovery: retries is {self.retries}; it must be between 0 and {MAX_RETRIES}")
        if not 0 <= self.backoff_s <= MAX_BACKOFF_S:
            raise InputError(f"recovery: backoff_s is {self.backoff_s}; it must be between 0 and {MAX_BACKOFF_S:g} seconds")
        if not 1 <= self.backoff_factor <= MAX_BACKOFF_FACTOR:
            raise InputError(f"recovery: backoff_factor is {self.backoff_factor}; it must be between 1 and {MAX_BACKOFF_FACTOR:g}")
        for name in self.retry_on:
            if name not in FAILURES:
                raise UnknownNameError("class of failure", name, FAILURES)
            if name in FINAL:
                raise InputError(f"recovery: retry_on names {name!r}, after which no time is left to try again")

    @property
    def active(self) -> bool:
        """Whether it does anything."""
        return bool(self.retries or self.fallback or self.smaller)


@dataclass(frozen=True, slots=True)
class Step:
    """What is done next with a request.

    Attributes:
        instance: server that it is sent to.
        after_s: pause before that [s].
    """

    instance: str
    after_s: float


def models_in_turn(recovery: Recovery, model: str, sizes: Mapping[str, float]) -> tuple[str, ...]:
    """Models that may answer in place of ``model``, in the order in which they are asked.

    Args:
        recovery: the plan's.
        model: that was asked for.
        sizes: model → bytes of its weights, of all models of the plan.
    """
    named = recovery.fallback.get(model, ())
    below = [other for other in sizes if recovery.smaller and sizes[other] < sizes[model]]
    return tuple(dict.fromkeys((*named, *sorted(below, key=lambda other: (-sizes[other], other)))))


def backoff_s(recovery: Recovery, tries: int) -> float:
    """Pause before a request is sent again [s].

    Args:
        recovery: the plan's.
        tries: how often it was sent to that server [1].
    """
    return min(MAX_BACKOFF_S, recovery.backoff_s * recovery.backoff_factor ** (tries - 1))


def next_step(
    recovery: Recovery, reason: str, tried: Sequence[str], others: Sequence[str], available: Collection[str]
) -> Step | None:
    """What is done with a request after a failure; ``None``: it is given up.

    Args:
        recovery: the plan's.
        reason: class of the failure.
        tried: servers that it was sent to so far, one by one.
        others: servers that may answer in place of the first, in order.
        available: servers that are loaded and run.
    """
    if reason in FINAL:
        return None
    last = tried[-1]
    tries = tried.count(last)
    if reason in recovery.retry_on and tries <= recovery.retries and last in available:
        return Step(last, backoff_s(recovery, tries))
    return next((Step(name, 0.0) for name in others if name in available and name not in tried), None)
