"""Many requests in little memory: numbers by column, a row per request in the order in which they ended."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmpredict.results.columns import RequestRow

if TYPE_CHECKING:
    import pandas

TIMES = ("arrival_s", "dispatched_s", "load_wait_s", "prefill_start_s", "first_token_s", "finish_s", "deadline_s")
COUNTS = ("prompt_tokens", "cached_tokens", "output_tokens")
WORDS = ("model", "instance", "status")


class RequestTable:
    """What remains of requests when their rows are let go: about 90 bytes each.

    Args:
        rows: requests that are there already.
    """

    def __init__(self, rows: Iterable[RequestRow] = ()) -> None:
        self._times = tuple(array("d") for _ in TIMES)
        self._counts = tuple(array("i") for _ in COUNTS)
        self._words = tuple(array("H") for _ in WORDS)
        self._numbers: tuple[dict[str, int], ...] = tuple({} for _ in WORDS)
        for row in rows:
            self.add(row)

    def __len__(self) -> int:
        return len(self._times[0])

    def add(self, row: RequestRow) -> None:
        """Keep the numbers of a request."""
        arrival, dispatched, load_wait, prefill, first, finish, deadline = self._times
        arrival.append(row.arrival_s)
        dispatched.append(row.dispatched_s)
        load_wait.append(row.load_wait_s)
        prefill.append(row.prefill_start_s)
        first.append(row.first_token_s)
        finish.append(row.finish_s)
        deadline.append(row.deadline_s)
        prompt, cached, output = self._counts
        prompt.append(row.prompt_tokens)
        cached.append(row.cached_tokens)
        output.append(row.output_tokens)
        model, instance, status = self._words
        models, instances, statuses = self._numbers
        model.append(models.setdefault(row.model, len(models)))
        instance.append(instances.setdefault(row.instance, len(instances)))
        status.append(statuses.setdefault(row.status, len(statuses)))

    def times_s(self, name: str) -> NDArray[np.float64]:
        """A column of times, one of ``TIMES``; ``nan`` where a time was never reached, or there is none [s]."""
        return np.array(self._times[TIMES.index(name)], dtype=np.float64)

    def tokens(self, name: str) -> NDArray[np.int64]:
        """A column of counts, one of ``COUNTS`` [tokens]."""
        return np.array(self._counts[COUNTS.index(name)], dtype=np.int64)

    def words(self, name: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """A column of ``WORDS`` as numbers, and what they stand for."""
        position = WORDS.index(name)
        return np.array(self._words[position], dtype=np.int64), tuple(self._numbers[position])

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Which requests were answered."""
        numbers, words = self.words("status")
        return numbers == words.index("ok") if "ok" in words else np.zeros(len(self), dtype=bool)

    def to_frame(self) -> pandas.DataFrame:
        """The table as a pandas frame."""
        import pandas

        columns: dict[str, object] = {name: self.times_s(name) for name in TIMES}
        columns |= {name: self.tokens(name) for name in COUNTS}
        for name in WORDS:
            numbers, words = self.words(name)
            columns[name] = np.array(words, dtype=object)[numbers] if words else numbers
        return pandas.DataFrame(columns)
