"""Measuring what running servers serve: requests of several lengths, each on disk as soon as it is answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import IO

from mmpredict.calibrate.importers.files import row_line
from mmpredict.calibrate.importers.row import BenchRow, Found
from mmpredict.calibrate.served.llama_server import LlamaServer
from mmpredict.calibrate.served.ollama import Ollama
from mmpredict.calibrate.served.server import Server
from mmpredict.errors import EngineError, InputError, StorageError
from mmpredict.live.describe import HTTP, OLLAMA
from mmpredict.live.failure import RequestFailure
from mmpredict.saving import make_directory

PROMPTS = (16, 64, 256, 512, 1024, 2048)
SEQUENCES = (2, 4, 8)
STEPS = 28
"""One more token than that; Ollama cuts off an answer that repeats a token 30 times."""
REPEATS = 3
SPARE_TOKENS = 64
"""Room that is left in the context: prompts of words have about the length asked for."""
LONGEST_REQUEST_S = 60.0
"""Longer prompts are left out where they would take longer, going by the last."""

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a measurement gave.

    Attributes:
        path: file of the rows (JSON Lines).
        rows: how many it holds [1].
        rejected: reason → number of figures that are none [1].
        too_long: prompts that were left out because they would have taken too long [tokens].
    """

    path: Path
    rows: int
    rejected: Counter[str]
    too_long: tuple[int, ...]


def server_of(name: str, backend: str | None = None, model: str | None = None) -> Server:
    """The server that a name stands for: ``http://127.0.0.1:PORT`` a llama-server, ``ollama://TAG`` a model of Ollama.

    Args:
        name: of the server.
        backend: programming interface that it computes with; servers do not tell.
        model: what it serves, where it says something else.

    Raises:
        InputError: the name has neither form, or the server's answer cannot be used.
        EngineError: no server answers as it should.
    """
    if name.startswith(OLLAMA):
        return Ollama(name.removeprefix(OLLAMA), backend, model)
    if name.startswith(HTTP):
        return LlamaServer(name, backend, model)
    raise InputError(f"{name!r} names no running server; write http://127.0.0.1:PORT or ollama://TAG")


def measure(server: Server, path: Path, progress: Progress) -> Measured:
    """Measure a server's model; a first request, which may load it, does not count.

    Args:
        server: that runs; nobody else should use it meanwhile.
        path: file for the rows; replaced if it exists.
        progress: called with (what is happening, fraction done).

    Raises:
        EngineError: the server failed; rows until then are on disk.
        StorageError: the file cannot be written.
        InputError: there is no room for the shortest prompt.
    """
    planned = tuple(tokens for tokens in PROMPTS if tokens + STEPS + SPARE_TOKENS < server.context_tokens)
    if not planned:
        raise InputError(f"{server.model} is served with a context of {server.context_tokens} tokens, too few to measure anything")
    sequences = [count for count in SEQUENCES if count <= server.slots]
    total = REPEATS * (sum(planned) + STEPS * len(planned) + STEPS * sum(sequences))
    lengths, done = planned, 0
    make_directory(path.parent)
    try:
        with path.open("w", encoding="utf-8") as file:
            kept = _Kept(file)
            progress("first request", 0.0)
            server.request(planned[0], 2)
            for _ in range(REPEATS):
                for tokens, following in zip(lengths, (*lengths[1:], 0), strict=True):
                    progress(f"prompt of {tokens} tokens", done / total)
                    begin_s = perf_counter()
                    kept.add(server.request(tokens, STEPS + 1))
                    done += tokens + STEPS
                    if (perf_counter() - begin_s) * following > LONGEST_REQUEST_S * tokens:
                        lengths = tuple(shorter for shorter in lengths if shorter <= tokens)
                        break
                for count in sequences:
                    progress(f"{count} sequences", done / total)
                    kept.add(server.together(count, STEPS))
                    done += STEPS * count
    except RequestFailure as failure:
        what = f"{server.engine} failed while {server.model} was measured ({failure})"
        raise EngineError(f"{what}; {kept.rows} rows are in {path}") from failure
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error
    progress("done", 1.0)
    return Measured(path, kept.rows, kept.rejected, planned[len(lengths) :])


class _Kept:
    """Rows in their file, each flushed before the next request, and what was no row."""

    def __init__(self, file: IO[str]) -> None:
        self.rows = 0
        self.rejected = Counter[str]()
        self._file = file

    def add(self, found: list[Found]) -> None:
        for row in found:
            if isinstance(row, BenchRow):
                self.rows += 1
                self._file.write(row_line(replace(row, line=self.rows)))
                self._file.flush()
            else:
                self.rejected[row.reason] += 1
