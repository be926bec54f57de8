"""A request inside a server."""

from __future__ import annotations

from mmpredict.results.columns import RequestRow


class Job:
    """One request on its way through a server.

    Attributes:
        row: its record, filled in as it goes.
        session: conversation that it belongs to; empty for none.
        shared_tokens: tokens at the beginning of its prompt that its session may have left in a cache [tokens].
        keep_alive_s: how long its model stays after it; ``None`` when it does not say [s].
        context_tokens: context that it asks its model to have; ``None`` when it does not say [tokens].
        priority: higher ones first, where the rules of its servers have priorities [1].
        blamed: what it has waited for, and since when [s].
        prefilled: prompt tokens that are in the cache [tokens].
        base: cells of its sequence less the decode steps that its server has made [tokens].
        ends_at: number of its server's decode steps after which it has all its tokens [1].
        solo_s: work alone that its server had done when its present phase began [s].
    """

    __slots__ = (
        "base",
        "blamed",
        "context_tokens",
        "ends_at",
        "keep_alive_s",
        "prefilled",
        "priority",
        "row",
        "session",
        "shared_tokens",
        "solo_s",
    )

    def __init__(
        self,
        row: RequestRow,
        session: str = "",
        shared_tokens: int = 0,
        keep_alive_s: float | None = None,
        context_tokens: int | None = None,
        priority: int = 0,
    ) -> None:
        self.row = row
        self.session = session
        self.shared_tokens = shared_tokens
        self.keep_alive_s = keep_alive_s
        self.context_tokens = context_tokens
        self.priority = priority
        self.blamed: list[tuple[float, str]] | None = None
        self.prefilled = 0
        self.base = 0
        self.ends_at = 0
        self.solo_s = 0.0

    @property
    def arrival_s(self) -> float:
        """When the request came [s]."""
        return self.row.arrival_s
