"""Tasks of several calls that wait for one another: an agent that routes, writes and criticises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mmpredict.errors import InputError
from mmpredict.workload.distributions import Distribution, Fixed, draws
from mmpredict.workload.interleave import interleave
from mmpredict.workload.lengths import Lengths
from mmpredict.workload.order import check_unique, waiting_order
from mmpredict.workload.request import MAX_TOKENS, Request
from mmpredict.workload.source import Source, Starts

MAX_CALLS = 1000
MAX_COPIES = 1000


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a task.

    Attributes:
        id: unique within the task.
        model: whom it asks.
        prompts: length of its own part of the prompt.
        outputs: length of the answer.
        after: calls that must have finished.
        delay: from the end of the last of them, as a tool takes time [s].
        copies: equal calls beside each other; one that waits for this call waits for all of them [1].
        reads_answers: the answers of the calls waited for are part of the prompt.
        continues: a call, one of ``after``, whose prompt and answer this prompt begins with.
    """

    id: str
    model: str
    prompts: Lengths
    outputs: Lengths
    after: tuple[str, ...] = ()
    delay: Distribution = Fixed(0.0)  # noqa: RUF009  # it is frozen
    copies: int = 1
    reads_answers: bool = False
    continues: str = ""


@dataclass(frozen=True, slots=True)
class CallGraph:
    """The same graph of calls, once per task.

    Attributes:
        source: what the requests have in common.
        starts: when tasks begin.
        calls: the graph.

    Raises:
        InputError: the graph is none, or has a circle.
    """

    source: Source
    starts: Starts
    calls: tuple[Call, ...]
    _ordered: tuple[Call, ...] = field(init=False, repr=False, compare=False)
    _continued: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.calls) <= MAX_CALLS:
            raise InputError(f"a task has {len(self.calls)} calls; give between 1 and {MAX_CALLS}")
        check_unique([call.id for call in self.calls], "calls")
        known = {call.id: call for call in self.calls}
        order = waiting_order({call.id: call.after for call in self.calls}, "call")
        object.__setattr__(self, "_continued", _continued(self.calls, known))
        object.__setattr__(self, "_ordered", tuple(known[name] for name in order))

    def stream(self) -> Iterator[Request]:
        """Requests, called ``<name>.<task>.<call>`` (of several copies: with ``.1``, ``.2``, …); every call gives the same.

        Their ``arrival_s`` is the earliest time at which they can come, and they are in order of that. A prompt that would be
        longer than any may be is cut.
        """
        source = self.source
        drawn = {
            call.id: (
                call.prompts.draws(source.rng(f"prompts of {call.id}")),
                call.outputs.draws(source.rng(f"outputs of {call.id}")),
                draws(call.delay, source.rng(f"delay of {call.id}")),
            )
            for call in self.calls
        }
        starts_s = self.starts.times_s(source)
        return interleave((start_s, iter(self._task(number, start_s, drawn))) for number, start_s in enumerate(starts_s, start=1))

    def _task(
        self, number: int, start_s: float, drawn: dict[str, tuple[Iterator[int], Iterator[int], Iterator[float]]]
    ) -> list[Request]:
        task = f"{self.source.name}.{number}"
        made: dict[str, list[Request]] = {}
        for call in self._ordered:
            prompts, outputs, delays_s = drawn[call.id]
            before = [request for name in dict.fromkeys(call.after) for request in made[name]]
            read = sum(request.output_tokens for request in before) if call.reads_answers else 0
            session, shared = "", 0
            if call.continues:
                (root,) = made[call.continues]
                session = root.session
                shared = root.prompt_tokens + root.output_tokens
                read = sum(one.output_tokens for one in before if one is not root) if call.reads_answers else 0
            elif call.id in self._continued:
                session = f"{task}.{call.id}"
            made[call.id] = []
            for copy in range(1, call.copies + 1):
                prompt_tokens = min(shared + read + next(prompts), MAX_TOKENS)
                delay_s = next(delays_s) if before else 0.0
                made[call.id].append(
                    Request(
                        f"{task}.{call.id}" + (f".{copy}" if call.copies > 1 else ""),
                        call.model,
                        prompt_tokens,
                        next(outputs),
                        max((one.arrival_s for one in before), default=start_s) + delay_s,
                        self.source.priority,
                        session,
                        min(shared, prompt_tokens - 1),
                        tuple(one.id for one in before),
                        delay_s,
                        self.source.deadline_s,
                    )
                )
        # Sorting keeps the order of what comes at the same time, in which those waited for come first.
        return sorted((request for copies in made.values() for request in copies), key=lambda request: request.arrival_s)


def _continued(calls: Sequence[Call], known: dict[str, Call]) -> frozenset[str]:
    """The calls that another one continues, once all are possible."""
    continued: set[str] = set()
    for call in calls:
        if call.prompts.low < 1 or call.outputs.low < 1:
            raise InputError(f"call {call.id!r}: a prompt and an answer need at least 1 token each")
        if not 1 <= call.copies <= MAX_COPIES:
            raise InputError(f"call {call.id!r}: copies is {call.copies}; it must be between 1 and {MAX_COPIES}")
        if not call.continues:
            continue
        if call.continues not in call.after:
            raise InputError(f"call {call.id!r}: continues names {call.continues!r}; it must be one of after")
        if known[call.continues].model != call.model:
            raise InputError(f"call {call.id!r} continues {call.continues!r}, but asks another model, which cached nothing of it")
        if known[call.continues].copies > 1 or call.copies > 1 or call.continues in continued:
            raise InputError(f"call {call.id!r} continues {call.continues!r}; one call alone can do so, and neither has copies")
        continued.add(call.continues)
    return frozenset(continued)
