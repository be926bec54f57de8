"""llama-swap's router: who is served, who waits, and who is stopped (``internal/router`` at commit 0bdb372)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from mmpredict.simulation.serving import Group

FIRST_POLL_S = 0.25
POLL_S = 1.0
TTL_CHECK_S = 1.0
DEFAULT_GROUP = "(default)"

Route = Literal["join", "serve", "queue", "swap"]


def group_of(name: str, groups: Mapping[str, Group]) -> tuple[str, Group]:
    """Name and rules of a model's group."""
    return next(((title, group) for title, group in groups.items() if name in group.members), (DEFAULT_GROUP, Group(())))


def evictions(target: str, running: Collection[str], groups: Mapping[str, Group]) -> frozenset[str]:
    """Running models that must stop before ``target`` starts."""
    title, group = group_of(target, groups)
    found = set()
    for name in running:
        other_title, other = group_of(name, groups)
        if name == target:
            continue
        if (other_title == title and group.swap) or (other_title != title and group.exclusive and not other.persistent):
            found.add(name)
    return frozenset(found)


def collides(target: str, evicted: frozenset[str], swaps: Mapping[str, frozenset[str]]) -> bool:
    """Whether a swap to ``target`` that stops ``evicted`` gets in the way of swaps under way (target → whom they stop)."""
    return any(
        name != target and (name in evicted or target in stopped or not evicted.isdisjoint(stopped))
        for name, stopped in swaps.items()
    )


def route(
    target: str,
    ready: bool,
    evicted: frozenset[str],
    swaps: Mapping[str, frozenset[str]],
    in_flight: Mapping[str, int],
) -> Route:
    """What becomes of a request.

    Args:
        target: its model.
        ready: whether that is ready.
        evicted: models that must stop first.
        swaps: swaps under way: target → whom they stop.
        in_flight: model → requests that it serves.
    """
    if target in swaps:
        return "join"
    blocked = collides(target, evicted, swaps)
    if ready and not evicted and not blocked:
        return "serve"
    return "queue" if blocked or any(in_flight.get(name) for name in evicted) else "swap"
