"""The order of requests that wait for one another."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from mmpredict.errors import InputError

if TYPE_CHECKING:
    from mmpredict.workload.request import Request

_SHOWN = 6
_NEAR = 1000
"""Among more names than this the nearest is not looked for: it takes seconds."""


def check_unique(requests: Sequence[Request]) -> None:
    """Nothing, if no two requests have the same id.

    Raises:
        InputError: two have.
    """
    seen: set[str] = set()
    for request in requests:
        if request.id in seen:
            raise InputError(f"two requests are called {request.id!r}; ids must be unique")
        seen.add(request.id)


def in_possible_order(requests: Sequence[Request]) -> tuple[Request, ...]:
    """Requests in order of arrival, each behind those that it waits for.

    Args:
        requests: in any order, with unique ids.

    Returns:
        The same; where ``arrival_s`` is earlier than those waited for allow, it is raised to the earliest possible time.

    Raises:
        InputError: a request waits for one that is not there, or for itself.
    """
    if not any(request.after for request in requests):
        return tuple(sorted(requests, key=lambda request: request.arrival_s))
    places = {request.id: place for place, request in enumerate(requests)}
    _check_known(requests, places)
    waiting = [len(request.after) for request in requests]
    followers: dict[str, list[int]] = {}
    for place, request in enumerate(requests):
        for name in request.after:
            followers.setdefault(name, []).append(place)
    possible = list(requests)
    depth = [0] * len(requests)
    ready = deque(place for place, count in enumerate(waiting) if not count)
    done = 0
    while ready:
        place = ready.popleft()
        done += 1
        request = possible[place]
        if request.after:
            before = [places[name] for name in request.after]
            depth[place] = 1 + max(depth[one] for one in before)
            earliest_s = max(possible[one].arrival_s for one in before) + request.delay_s
            if request.arrival_s < earliest_s:
                possible[place] = replace(request, arrival_s=earliest_s)
        for follower in followers.get(request.id, ()):
            waiting[follower] -= 1
            if not waiting[follower]:
                ready.append(follower)
    if done < len(requests):
        raise InputError(f"requests wait for one another in a circle: {_circle(requests, places, waiting)}")
    order = sorted(range(len(requests)), key=lambda place: (possible[place].arrival_s, depth[place]))
    return tuple(possible[place] for place in order)


def _check_known(requests: Sequence[Request], places: dict[str, int]) -> None:
    for request in requests:
        for name in request.after:
            if name in places:
                continue
            near = get_close_matches(name, list(places)[:_NEAR], n=1)
            advice = f"did you mean {near[0]!r}?" if near else "name the id of another request"
            raise InputError(f"request {request.id!r}: after names {name!r}, which is no request; {advice}")


def _circle(requests: Sequence[Request], places: dict[str, int], waiting: list[int]) -> str:
    """The names around one circle; every request that still waits leads to one, going from each to one that it waits for."""
    place = next(one for one, count in enumerate(waiting) if count)
    seen: dict[int, int] = {}
    path: list[int] = []
    while place not in seen:
        seen[place] = len(path)
        path.append(place)
        place = next(places[name] for name in requests[place].after if waiting[places[name]])
    names = [requests[one].id for one in [*path[seen[place] :], place]]
    return " → ".join(names if len(names) <= _SHOWN else [*names[: _SHOWN - 1], "…"])
