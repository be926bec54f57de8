"""``[[requests]]``: single requests."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pydantic import Field

from mmpredict.scenario.strict import Strict
from mmpredict.workload.request import Request

MAX_COUNT = 100_000


class RequestSection(Strict):
    """One ``[[requests]]`` entry; ``count`` equal requests. The other keys are those of ``Request``."""

    model: str
    prompt_tokens: int
    output_tokens: int
    arrival_s: float = 0.0
    count: int = Field(default=1, ge=1, le=MAX_COUNT)
    id: str = ""
    priority: int = 0
    session: str = ""
    shared_tokens: int = 0
    after: tuple[str, ...] = ()
    delay_s: float = 0.0
    deadline_s: float | None = None
    keep_alive_s: float | None = None
    context_tokens: int | None = None


def requests_of(sections: Sequence[RequestSection]) -> list[Request]:
    """The requests of all entries, in their order.

    Entries without an id are called ``r1``, ``r2``, …, as far as no entry is called so; those of one with a count ``<id>.1``,
    ``<id>.2``, …. Whoever waits for an id with a count waits for all of them.

    Raises:
        InputError: a request is out of range.
    """
    given = {section.id for section in sections}
    free = (name for number in itertools.count(1) if (name := f"r{number}") not in given)
    named = [(section, _names(section) or [next(free) for _ in range(section.count)]) for section in sections]
    copies = {section.id: names for section, names in named if section.id and section.count > 1}
    return [
        Request(
            name,
            section.model,
            section.prompt_tokens,
            section.output_tokens,
            section.arrival_s,
            section.priority,
            section.session,
            section.shared_tokens,
            tuple(copy for one in section.after for copy in copies.get(one, [one])),
            section.delay_s,
            section.deadline_s,
            section.keep_alive_s,
            section.context_tokens,
        )
        for section, names in named
        for name in names
    ]


def _names(section: RequestSection) -> list[str]:
    if not section.id or section.count == 1:
        return [section.id] if section.id else []
    return [f"{section.id}.{number}" for number in range(1, section.count + 1)]
