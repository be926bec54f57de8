"""What was really answered: a prediction is of answers of a length, and models may end theirs before it.

Ollama has no way to make a model go on (llama-server's ``ignore_eos``), and cuts an answer off that repeats a token
(``live.ollama_answer``); contexts end, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median_low

from mmpredict.results.records import Records
from mmpredict.workload.request import Request, Workload


def as_answered(workload: Workload, runs: Sequence[Records]) -> Workload | None:
    """The same requests, with answers as long as those that came.

    Args:
        workload: what was asked.
        runs: what was answered, each time.

    Returns:
        Each answer as long as in the middle of its runs; one that never came as long as asked for. None where all are.
    """
    lengths: dict[str, list[int]] = {}
    for records in runs:
        for row in records.requests:
            if row.status == "ok":
                lengths.setdefault(row.request, []).append(row.output_tokens)
    requests = tuple(_answered(request, lengths.get(request.id)) for request in workload.requests)
    return None if requests == tuple(workload.requests) else Workload(requests)


def _answered(request: Request, lengths: list[int] | None) -> Request:
    tokens = min(request.output_tokens, median_low(lengths)) if lengths else request.output_tokens
    return request if tokens == request.output_tokens else replace(request, output_tokens=max(1, tokens))
