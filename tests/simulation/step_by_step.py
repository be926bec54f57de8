"""llama-server's rules once more, one step at a time: no events, no closed forms."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from mmpredict.cost.piece import PromptPiece
from mmpredict.cost.prices import StepPrices, plain_passes
from mmpredict.results.columns import RequestRow
from mmpredict.simulation.passes import Split

Asked = tuple[float, int, int]
"""(arrival [s], prompt tokens, output tokens)."""


def rows_of(requests: Sequence[Asked]) -> list[RequestRow]:
    return [RequestRow(f"r{number}", "m", "m", *request) for number, request in enumerate(requests)]


def step_by_step(
    requests: Sequence[Asked], slots: int, batch_tokens: int, prices: StepPrices, split: Split = "simple"
) -> list[RequestRow]:
    """The same rules, one step at a time: no events, no closed forms."""

    @dataclass
    class State:
        row: RequestRow
        prefilled: int = 0
        generated: int = 0

    rows = rows_of(requests)
    coming = deque(sorted(rows, key=lambda row: row.arrival_s))
    queue: deque[RequestRow] = deque()
    used_s = [-1.0] * slots
    serving: dict[int, State] = {}
    stale = [0] * slots
    now_s = pause_s = 0.0
    while coming or queue or serving:
        while coming and coming[0].arrival_s <= now_s:
            queue.append(coming.popleft())
        while queue and len(serving) < slots:
            idle = [slot for slot in range(slots) if slot not in serving]
            oldest = min(used_s[slot] for slot in idle)
            slot = max(slot for slot in idle if used_s[slot] == oldest)
            serving[slot] = State(queue.popleft())
            stale[slot] = 0
            serving[slot].row.slot = slot
        if not serving:
            pause_s, now_s = coming[0].arrival_s - now_s, coming[0].arrival_s
            continue
        states = [serving[slot] for slot in sorted(serving)]
        decoding = [state for state in states if state.prefilled == state.row.prompt_tokens]
        depths = [state.prefilled + state.generated - 1 for state in decoding]
        room = batch_tokens - len(decoding)
        parts: list[tuple[State, PromptPiece]] = []
        for state in states:
            left = state.row.prompt_tokens - state.prefilled
            take = min(left, room)
            if take > 0:
                if not state.prefilled:
                    state.row.prefill_start_s = now_s
                parts.append((state, PromptPiece(state.prefilled, take, take == left)))
                room -= take
        prompts_left = len(decoding) < len(states)
        now_s += prices.batch_s(depths, [piece for _, piece in parts]) if prompts_left else prices.decode_s(depths, 1)
        now_s += prices.rested_s(pause_s)
        pause_s = 0.0
        if split == "simple":
            fresh = {id(state): 1 for state in decoding} | {id(state): piece.tokens for state, piece in parts}
            held = {id(state): state.prefilled + max(0, state.generated - 1) for state in states}
            pool = sum(stale) + sum(held.values()) + sum(fresh.values())
            masked = sum(pool - (held[key] + count) for key, count in fresh.items() for _ in range(count))
            now_s += (prices.masked_batch_s if prompts_left else prices.masked_decode_s) * masked
        else:
            tokens = [slot for slot, state in sorted(serving.items()) if state in decoding]
            tokens += [state.row.slot for state, piece in parts for _ in range(piece.tokens)]
            sampled = len(decoding) + sum(piece.last for _, piece in parts)
            divided = token_by_token(tokens, prices.ubatch_tokens, split == "sequential")
            if prompts_left:
                now_s -= prices.passes_s(plain_passes(len(tokens), prices.ubatch_tokens), sampled)
                now_s += prices.passes_s(divided, sampled)
            else:
                now_s += sum(prices.decode_pass_s(each) for each in divided) - prices.decode_pass_s(len(tokens))
        for state in decoding:
            state.generated += 1
        for state, piece in parts:
            state.prefilled += piece.tokens
            if piece.last:
                state.generated = 1
                state.row.first_token_s = now_s
        for slot, state in list(serving.items()):
            if state.generated == state.row.output_tokens:
                state.row.finish_s = used_s[slot] = now_s
                stale[slot] = state.row.prompt_tokens + state.row.output_tokens - 1
                del serving[slot]
    return rows


def token_by_token(slots: list[int], ubatch_tokens: int, sequential: bool) -> list[int]:
    """Passes of a batch, as ``llama_batch_allocr::split_equal`` finds them: tokens given by their slots."""
    left = list(slots)
    passes = []
    while left:
        group: list[int] = []
        for slot in left:
            if slot not in group and (not sequential or not group or slot == group[-1] + 1):
                group.append(slot)
        group = group[:ubatch_tokens]
        size = 0
        while all(slot in left for slot in group):
            for slot in group:
                left.remove(slot)
            size += len(group)
            if size + len(group) > ubatch_tokens:
                break
        passes.append(size)
    return passes
