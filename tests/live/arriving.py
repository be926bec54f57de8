"""An answer's bytes, handed to its reader as they might arrive."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter

from mmpredict.live.answer import Completion
from mmpredict.live.reading import Lines, Reading


def arrived(reading: Reading, chunks: Iterable[bytes]) -> Completion:
    """What a reader makes of these pieces of a body."""
    lines = Lines()
    next(reading)
    try:
        for chunk in chunks:
            for line in lines.take(chunk):
                reading.send((perf_counter(), line))
        reading.send(None)
    except StopIteration as end:
        done: Completion = end.value
        return done
    raise AssertionError("it wants more after the end")
