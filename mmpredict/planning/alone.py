"""What requests cost a server that has the machine for itself: exactly of one after another, and at least of any order.

The floors hold whatever the company and the order: a step costs no less with more tokens in it, and no server is faster than alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmpredict.cost.piece import PromptPiece, cells_seen
from mmpredict.cost.prices import StepPrices
from mmpredict.simulation.plan import InstancePlan
from mmpredict.workload.request import Request

_GRID = 1.3  # ratio of neighbouring numbers of tokens at which passes are priced; the floor is that much lower at worst


def prompt_s(prices: StepPrices, request: Request, batch_tokens: int, start: int = 0) -> float:
    """Evaluating a prompt from its token ``start`` on, alone [s]."""
    total_s, end = 0.0, request.prompt_tokens
    while start < end:
        tokens = min(batch_tokens, end - start)
        total_s += prices.batch_s((), [PromptPiece(start, tokens, start + tokens == end)])
        start += tokens
    return total_s


def answer_s(prices: StepPrices, request: Request) -> float:
    """Generating all tokens after the first, alone [s]."""
    return prices.decode_s((request.prompt_tokens,), request.output_tokens - 1)


def work_s(prices: StepPrices, requests: Sequence[Request], batch_tokens: int) -> float:
    """All requests, one after another, alone on the machine [s]."""
    return sum(prompt_s(prices, request, batch_tokens) + answer_s(prices, request) for request in requests)


class Floor:
    """What requests cost a server at least, in seconds alone on the machine.

    Args:
        prices: of its steps.
        instance: its options.
        one_by_one: whether its requests go one at a time.
    """

    def __init__(self, prices: StepPrices, instance: InstancePlan, one_by_one: bool = False) -> None:
        self._prices, self._batch_tokens = prices, instance.batch_tokens
        self._slots = 1 if one_by_one else instance.slots
        # A token may be generated in a batch with a prompt, whose prices have other factors.
        self._step_s = min(prices.decode_pass_s(1), prices.batch_pass_s(2, 1))
        self._cell_s = tuple(map(min, prices.decode_cell_s, prices.batch_cell_s))

    def prompt_s(self, request: Request) -> float:
        """From the begin of a prompt to the first token; what a session may have cached costs nothing [s]."""
        if request.prompt_tokens > self._batch_tokens:
            return (request.prompt_tokens - request.shared_tokens) * self._token_s(self._prices.ubatch_tokens)
        return prompt_s(self._prices, request, self._batch_tokens, request.shared_tokens)

    def answer_s(self, request: Request) -> float:
        """From the first to the last token [s]."""
        steps = request.output_tokens - 1
        seen_s = sum(
            price * cells_seen(request.prompt_tokens, steps, limit)
            for limit, price in zip(self._prices.limits, self._cell_s, strict=True)
        )
        return steps * self._step_s + seen_s

    def work_s(self, requests: Sequence[Request]) -> float:
        """All requests, as well batched as can be [s]."""
        if self._slots == 1:
            return sum(self.prompt_s(request) + self.answer_s(request) for request in requests)
        prompts = sum(request.prompt_tokens - request.shared_tokens for request in requests)
        steps = sum(request.output_tokens - 1 for request in requests)
        together = min(self._slots, len(requests))
        # A batch ends a prompt or is full; it carries a token of every other slot.
        carried = together - 1
        if carried >= self._batch_tokens:
            return 0.0
        batches = (len(requests) + prompts / self._batch_tokens) / (1 - carried / self._batch_tokens)
        alone_steps = max(0.0, steps - carried * batches)
        best_step_s = min(self._prices.decode_pass_s(count) / count for count in range(1, together + 1))
        return prompts * self._token_s(min(self._prices.ubatch_tokens, prompts + carried)) + alone_steps * best_step_s

    def _token_s(self, most: int) -> float:
        """Price of a token in the best pass of at most ``most`` tokens: passes of more tokens cost no less [s]."""
        best_s, tokens = math.inf, 1
        while tokens <= most:
            following = max(tokens + 1, int(tokens * _GRID))
            best_s = min(best_s, self._prices.batch_pass_s(tokens, 0) / min(following - 1, most))
            tokens = following
        return best_s
