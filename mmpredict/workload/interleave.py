"""Many sequences of requests, each in order of arrival, as one."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator

from mmpredict.workload.request import Request

_Heap = list[tuple[float, int, Request, Iterator[Request]]]


def interleave(sequences: Iterable[tuple[float, Iterator[Request]]]) -> Iterator[Request]:
    """Requests of all sequences in order of arrival; those that arrive together come in the order in which they were generated.

    A sequence is not begun before its time has come, and only one request of each is held, so that a million sequences cost
    no more than those of them that overlap.

    Args:
        sequences: the time before which a sequence has no request [s], and its requests; in order of that time.
    """
    heap: _Heap = []
    numbers = itertools.count()
    for start_s, requests in sequences:
        yield from _before(start_s, heap, numbers)
        first = next(requests, None)
        if first is not None:
            heapq.heappush(heap, (first.arrival_s, next(numbers), first, requests))
    yield from _before(float("inf"), heap, numbers)


def _before(end_s: float, heap: _Heap, numbers: Iterator[int]) -> Iterator[Request]:
    while heap and heap[0][0] < end_s:
        _, _, request, requests = heap[0]
        yield request
        following = next(requests, None)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (following.arrival_s, next(numbers), following, requests))
