"""One request of llama-swap's activity (``internal/store/store.go`` and ``internal/server/metrics.go`` of
github.com/mostlygeek/llama-swap), whether from its JSON or from its database.

Counts and rates are those of llama-server's ``timings``, or come from vLLM's ``metrics``; -1 and 0 mean that the server told none.
Names were only added: ``prompt_per_second`` in August 2025, ``cache_tokens`` in September 2025, ``draft_tokens`` in June 2026.
Since April 2026 the JSON keeps counts and rates in an object ``tokens``. The time is that of the end, in whole seconds since July
2026.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from mmpredict.calibrate.importers import fields as read
from mmpredict.calibrate.importers.fields import Fields
from mmpredict.calibrate.importers.row import RowError
from mmpredict.calibrate.importers.server_timings import RELATIVE_TOLERANCE
from mmpredict.calibrate.importers.spans import Span

COUNTS_AND_RATES = (
    "cache_tokens",
    "draft_tokens",
    "draft_acc_tokens",
    "input_tokens",
    "output_tokens",
    "prompt_per_second",
    "tokens_per_second",
)
SUCCESS = 200  # all others are logged without counts
SLACK_S = 0.05
"""Between a server's last step and llama-swap's note of the end; no company shorter than this is seen."""

_WHOLE_SECONDS = 1.0
_LAST_SECOND = 253_402_300_799  # of the year 9999, after which no date is written
_MAX_ID = 2**53
_NOT_TOLD = ("-1", "-1.0", "0", "0.0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What llama-swap noted of one request.

    Attributes:
        line: where it stands.
        name: how messages call it.
        model: its name in llama-swap's configuration.
        status: of the answer; older versions do not say.
        n_prompt, n_gen: prompt tokens (the evaluated ones if llama-server answered) and generated tokens.
        cached: prompt tokens that were in the cache; ``None`` if unknown.
        drafted: drafted tokens, -1 if the server told none; ``None`` if this version of llama-swap does not note them.
        old_counts: ``n_prompt`` may count cached tokens too, in versions without ``cache_tokens``.
        old_rate: the rate is that of tokens of both kinds in the whole request, in versions without ``prompt_per_second``.
        prompt_per_s, generated_per_s: rates; ``None`` if the server told none [tokens/s].
        duration_s: from its arrival, so with waiting and loading [s].
        ended_s: when it ended, or up to ``resolution_s`` later [s since 1970].
        date: the same in ISO 8601.
    """

    line: int
    name: str
    model: str | None
    status: int | None
    n_prompt: int
    n_gen: int
    cached: int | None
    drafted: int | None
    old_counts: bool
    old_rate: bool
    prompt_per_s: float | None
    generated_per_s: float | None
    duration_s: float
    ended_s: float
    resolution_s: float
    date: str

    @property
    def may_count_cached(self) -> bool:
        """Whether ``n_prompt`` may include cached tokens: vLLM counts them, llama-server does not, and versions differ."""
        return self.old_counts or (self.drafted is not None and self.cached is not None and 0 < self.cached <= self.n_prompt)

    @property
    def surely_busy(self) -> Span:
        """A time in which its server surely worked on it [s since 1970]."""
        return self.ended_s + self.resolution_s - self._shortest_s(), self.ended_s - SLACK_S

    @property
    def possibly_busy(self) -> Span:
        """All the time in which its server may have worked on it [s since 1970]."""
        longest_s = self._longest_s()
        return self.ended_s - longest_s + min(SLACK_S, longest_s / 2), self.ended_s + self.resolution_s

    def require_agreement(self) -> None:
        """Nothing, if the work fits into the request.

        Raises:
            RowError: counts and rates need more time than the request took.
        """
        needed_s = self._shortest_s()
        if needed_s > self.duration_s * (1 + RELATIVE_TOLERANCE) + 1e-3:  # it is cut to whole milliseconds
            raise RowError(f"its tokens at its rates take {needed_s:g} s, but the request took {self.duration_s:g} s")

    def _shortest_s(self) -> float:
        cached = self.n_prompt if self.old_counts else self.cached or 0
        evaluated = self.n_prompt - cached if self.may_count_cached else self.n_prompt
        return _time(evaluated, self.prompt_per_s) + _time(max(0, self.n_gen - 1), self.generated_per_s)

    def _longest_s(self) -> float:
        if self.old_rate or (self.n_prompt and not self.prompt_per_s) or (self.n_gen and not self.generated_per_s):
            return self.duration_s
        work_s = _time(self.n_prompt, self.prompt_per_s) + _time(max(0, self.n_gen - 1), self.generated_per_s)
        return work_s or self.duration_s


def request_of(fields: Fields, line: int) -> Request:
    """The request of one row or one object.

    Raises:
        RowError: a field is missing or malformed.
    """
    number = read.whole(fields, "id", high=_MAX_ID)
    name = "the request" if number is None else f"request {number}"
    try:
        return _request(fields, line, name)
    except RowError as error:
        raise RowError(f"{name}: {error}") from error


def _request(fields: Fields, line: int, name: str) -> Request:
    ended_s, resolution_s, date = _end(fields)
    old_rate = "prompt_per_second" not in fields
    return Request(
        line=line,
        name=name,
        model=read.text(fields, "model", "model_id"),
        status=read.whole(fields, "resp_status_code", high=999) or None,
        n_prompt=read.needed_whole(fields, "input_tokens"),
        n_gen=read.needed_whole(fields, "output_tokens"),
        cached=_told(read.whole(fields, "cache_tokens", low=-1)),
        drafted=read.whole(fields, "draft_tokens", low=-1),
        old_counts="cache_tokens" not in fields,
        old_rate=old_rate,
        prompt_per_s=None if old_rate else _rate(fields, "prompt_per_second"),
        generated_per_s=None if old_rate else _rate(fields, "tokens_per_second"),
        duration_s=read.needed_whole(fields, "duration_ms", high=round(read.MAX_DURATION_S * 1e3)) / 1e3,
        ended_s=ended_s,
        resolution_s=resolution_s,
        date=date,
    )


def _end(fields: Fields) -> tuple[float, float, str]:
    """The time of the end [s since 1970], how much later it may have been [s], and its date."""
    seconds = read.whole(fields, "ts_created", high=_LAST_SECOND)
    if seconds is not None:
        return seconds, _WHOLE_SECONDS, datetime.fromtimestamp(seconds, UTC).isoformat()
    date = read.date(fields, "timestamp")
    if date is None:
        raise RowError("there is no timestamp")
    try:
        moment = datetime.fromisoformat(date)
    except ValueError as error:
        raise RowError(f"timestamp is {date!r}: {error}") from error
    if moment.tzinfo is None:
        raise RowError(f"timestamp is {date!r}; it must have a time and a time zone")
    return moment.timestamp(), 0.0 if moment.microsecond else _WHOLE_SECONDS, date


def _rate(fields: Fields, name: str) -> float | None:
    return None if str(read.value(fields, name))[: read.SHOWN] in _NOT_TOLD else read.needed_real(fields, name)


def _told(count: int | None) -> int | None:
    return None if count == -1 else count


def _time(tokens: int, per_s: float | None) -> float:
    return tokens / per_s if per_s else 0.0
