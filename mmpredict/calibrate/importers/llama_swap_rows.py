"""Rows of llama-swap's requests: each is judged by its own counts and by the requests around it.

Requests that one model's server surely worked on at the same time shared their steps and are refused. Where the log's times leave
it open, or another model ran beside, the row carries a doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mmpredict.calibrate.importers.llama_swap import SUCCESS, Request
from mmpredict.calibrate.importers.row import BenchRow, Found, Rejected, RowError
from mmpredict.calibrate.importers.server_timings import RELATIVE_TOLERANCE, SHARED_STEPS, SPECULATIVE, require_steps
from mmpredict.calibrate.importers.spans import Span, Spans

ENGINE = "llama-swap"
SHARED_DOUBT = "another request to the model may have run in the same steps, as far as the times tell"
BESIDE_DOUBT = "another model ran at the same time, or may have"
CACHED_DOUBT = "it is not said whether input_tokens includes the cached ones"
DRAFT_DOUBT = "this version of llama-swap does not say whether tokens were drafted"
OLD_RATE = "this version's tokens_per_second is that of tokens of both kinds in the whole request"


class _Company:
    """When each model and all together were busy."""

    def __init__(self, requests: list[Request], busy: Callable[[Request], Span]) -> None:
        self._busy = busy
        by_model: dict[str | None, list[Span]] = {}
        for request in requests:
            by_model.setdefault(request.model, []).append(busy(request))
        self._models = {model: Spans(spans) for model, spans in by_model.items()}
        self._all = Spans(span for spans in by_model.values() for span in spans)

    def of(self, request: Request) -> tuple[bool, bool]:
        """Whether other requests to its model ran at the same time, and whether requests to other models did."""
        span = self._busy(request)
        same = self._models[request.model].touching(span)
        return same > 1, self._all.touching(span) > same


def rows_of(found: Iterable[Request | Rejected], file: str) -> Iterator[Found]:
    """Rows of all requests, in order; all must be known before the first can be judged."""
    known = list(found)
    requests = [one for one in known if isinstance(one, Request)]
    sure, possible = _Company(requests, lambda one: one.surely_busy), _Company(requests, lambda one: one.possibly_busy)
    for one in known:
        if isinstance(one, Rejected):
            yield one
            continue
        try:
            doubts = _judged(one, sure, possible)
        except RowError as error:
            yield Rejected(one.line, f"{one.name}: {error}")
            continue
        for phase in (_prompt, _generation):
            try:
                row = phase(
                    one,
                    doubts,
                    {"file": file, "line": one.line, "engine": ENGINE, "served": True, "model": one.model, "date": one.date},
                )
            except RowError as error:
                yield Rejected(one.line, f"{one.name}: {error}")
            else:
                if row is not None:
                    yield row


def _judged(request: Request, sure: _Company, possible: _Company) -> list[str]:
    """What makes every row of a request doubtful.

    Raises:
        RowError: none of its rates is a speed.
    """
    if request.status not in (None, SUCCESS):
        raise RowError(f"it was answered with status {request.status}")
    if request.old_rate:
        raise RowError(OLD_RATE)
    if request.prompt_per_s is None and request.generated_per_s is None:
        raise RowError("its server told no speeds")
    request.require_agreement()
    shared, _ = sure.of(request)
    if shared:
        raise RowError(SHARED_STEPS)
    maybe_shared, beside = possible.of(request)
    return [doubt for doubt, holds in ((SHARED_DOUBT, maybe_shared), (BESIDE_DOUBT, beside)) if holds]


def _prompt(request: Request, doubts: list[str], known: dict[str, Any]) -> BenchRow | None:
    if not request.n_prompt:
        return None
    if request.prompt_per_s is None:
        raise RowError("its server told no speed of the prompt")
    counted = [CACHED_DOUBT] if request.may_count_cached else []
    return BenchRow(
        test="pp",
        tokens_per_s=request.prompt_per_s,
        n_prompt=request.n_prompt,
        n_gen=0,
        depth=request.cached,
        doubt=_joined(doubts + counted),
        **known,
    )


def _generation(request: Request, doubts: list[str], known: dict[str, Any]) -> BenchRow | None:
    if not request.n_gen:
        return None
    if request.generated_per_s is None:
        raise RowError("its server told no speed of generation")
    if request.drafted is not None and request.drafted > 0:
        raise RowError(SPECULATIVE)
    require_steps(request.n_gen)
    own = [CACHED_DOUBT] if request.may_count_cached and request.cached is not None else []  # it is part of the depth
    if request.drafted is None:
        own.append(DRAFT_DOUBT)
    if request.n_gen * RELATIVE_TOLERANCE < 1:  # the rate is all there is, so it cannot be counted again
        own.append(f"the rate of an older llama-server counts {request.n_gen} tokens in {request.n_gen - 1} steps")
    return BenchRow(
        test="tg",
        tokens_per_s=request.generated_per_s,
        n_prompt=0,
        n_gen=request.n_gen,
        depth=None if request.cached is None else request.cached + request.n_prompt,
        doubt=_joined(doubts + own),
        **known,
    )


def _joined(doubts: list[str]) -> str | None:
    return "; ".join(doubts) or None
