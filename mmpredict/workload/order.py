"""The order of requests that wait for one another."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from mmpredict.errors import InputError

if TYPE_CHECKING:
    from mmpredict.workload.request import Request

_SHOWN = 6
_NEAR = 1000
"""Among more names than this the nearest is not looked for: it takes seconds."""


def check_unique(names: Sequence[str], what: str = "requests") -> None:
    """Nothing, if no two names are equal.

    Raises:
        InputError: two are.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"two {what} are called {name!r}; ids must be unique")
        seen.add(name)


def waiting_order(after: Mapping[str, Collection[str]], what: str = "request") -> list[str]:
    """Names, each behind those that it waits for.

    Args:
        after: name → names that it waits for.
        what: what the names are of, for messages.

    Raises:
        InputError: one waits for an unknown one or, through others, for itself.
    """
    for name, earlier in after.items():
        for one in earlier:
            if one not in after:
                near = get_close_matches(one, list(after)[:_NEAR], n=1)
                advice = f"did you mean {near[0]!r}?" if near else f"name the id of another {what}"
                raise InputError(f"{what} {name!r}: after names {one!r}, which is no {what}; {advice}")
    try:
        return list(TopologicalSorter(after).static_order())
    except CycleError as error:
        circle: list[str] = error.args[1]
        shown = circle if len(circle) <= _SHOWN else [*circle[: _SHOWN - 1], "…"]
        raise InputError(f"{what}s wait for one another in a circle: {' → '.join(reversed(shown))}") from error


def in_possible_order(requests: Sequence[Request]) -> tuple[Request, ...]:
    """Requests in order of arrival, each behind those that it waits for.

    Args:
        requests: in any order, with unique ids.

    Returns:
        The same; where ``arrival_s`` is earlier than those waited for allow, it is raised to the earliest possible time.

    Raises:
        InputError: a request waits for one that is not there or, through others, for itself.
    """
    if not any(request.after for request in requests):
        return tuple(sorted(requests, key=lambda request: request.arrival_s))
    possible = {request.id: request for request in requests}
    # Of requests at the same time the order given holds, but for those that were given before one that they wait for: these
    # stand right behind it.
    places: dict[str, tuple[int, int]] = {}
    given = {request.id: place for place, request in enumerate(requests)}
    for name in waiting_order({request.id: request.after for request in requests}):
        request = possible[name]
        places[name] = (given[name], 0)
        if request.after:
            place, depth = max(places[one] for one in request.after)
            places[name] = max(places[name], (place, depth + 1))
            earliest_s = max(possible[one].arrival_s for one in request.after) + request.delay_s
            if request.arrival_s < earliest_s:
                possible[name] = replace(request, arrival_s=earliest_s)
    return tuple(sorted(possible.values(), key=lambda request: (request.arrival_s, places[request.id])))
