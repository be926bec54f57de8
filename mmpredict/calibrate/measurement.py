"""Raw measurements: one JSON object per line, on disk as soon as it exists."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from time import time
from types import TracebackType
from typing import IO, Any, Literal, get_args

from mmpredict.errors import FileFormatError, InputError, StorageError
from mmpredict.saving import make_directory, save

Kind = Literal["prefill", "decode", "request", "load", "joint-load", "unload", "memory", "company", "stacked", "rest"]
KINDS: tuple[str, ...] = get_args(Kind)
MASKED_CELLS = "masked_cells"
"""Value of ``prefill`` and ``decode``: cells of other sequences in the same cache that each token passed over [tokens]."""
ROUND = "round"
"""Value of every measurement: the round of the calibration, from 0 [1]."""
AT_S = "at_s"
"""Value of every measurement since 2026-11-28: when it was made (Unix time) [s]."""
HEADER_KEYS = ("machine", "engine", "cores", "measured_on")
FINISHED = "finished"  # key of the lines that say what was done
MAX_FILE_BYTES = 256_000_000


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured figure with its conditions.

    Kinds and their ``values``:

    - ``prefill``: ``tokens``, ``masked_cells``, ``duration_s`` — the server's own time for a prompt;
    - ``decode``: ``sequences``, ``depth`` (of each at the first step), ``steps``, ``masked_cells``, ``duration_s``;
    - ``request``: ``tokens``, ``overhead_s`` — client time beside the server's;
    - ``load``: ``cold`` (0 or 1), ``kv_cache_bytes``, ``duration_s``;
    - ``joint-load``: ``servers`` (started at once, this one included), ``duration_s``;
    - ``unload``: ``kv_cache_bytes``, ``duration_s`` — until the process is gone;
    - ``memory``: ``context_tokens``, ``slots``, ``ubatch_tokens``, ``proportional_bytes``, and the buffers of the
      server's own log (``mapped_model_bytes``, ``repacked_model_bytes``, ``kv_bytes``, ``compute_bytes``, ``output_bytes``);
    - ``company``: ``set_up``, ``phase``, ``beside`` (phase of the other server; the same where it is not said), ``episode``,
      ``total_threads``, ``alone_tokens_per_s``,
      ``speed_frac`` (speed in company ÷ speed alone);
    - ``rest``: ``pause_s``, ``tokens``, ``duration_s`` — from sending a prompt, so long after the last answer, to its first token;
    - ``stacked``: ``steps``, ``duration_s``, ``solo_s`` — decode with all threads on too few cores, and alone.

    Attributes:
        kind: what was measured.
        model: the model's name.
        threads: threads of its server [1].
        spincount: waiting rule of its server.
        values: figures, units in their names.
    """

    kind: Kind
    model: str
    threads: int
    spincount: int | None
    values: dict[str, float | int | str] = field(default_factory=dict)

    def number(self, name: str) -> float:
        """One figure as a number."""
        return float(self.values[name])


class MeasurementLog:
    """Appends measurements to a file, each flushed before the next begins.

    Args:
        path: JSON Lines file; created with its directory, replaced when it exists.
        header: description of the run, written as the first line.
        finished: stretches of an earlier run with their measurements, which are written next.

    Attributes:
        rows: what the file holds.
        done: stretches of work that were finished, so that they need not be repeated.

    Raises:
        StorageError: the file cannot be written.
    """

    def __init__(self, path: Path, header: dict[str, Any], finished: Sequence[tuple[str, list[Measurement]]] = ()) -> None:
        self.path = path
        self.rows = [row for _, rows in finished for row in rows]
        self.done = {key for key, _ in finished}
        lines: list[dict[str, Any]] = [{"header": header}]
        for key, rows in finished:
            lines += [*map(asdict, rows), {FINISHED: key}]
        make_directory(path.parent)
        save("".join(map(_line, lines)).encode(), path)  # at once: what is kept of an earlier run is never away from the disk
        try:
            self._file: IO[str] = path.open("a", encoding="utf-8")
        except OSError as error:
            raise StorageError(f"cannot write measurements to {path}: {error.strerror}") from error

    @classmethod
    def resumed(cls, path: Path, header: dict[str, Any]) -> MeasurementLog:
        """The log of a run that was interrupted: with what it finished, without what it was in the middle of.

        Raises:
            InputError: there is none, or it is of another machine, engine or protocol.
            FileFormatError: it is no measurement file.
            StorageError: the file cannot be written.
        """
        if not path.exists():
            raise InputError(f"there is no interrupted calibration to continue ({path}); begin one without --resume")
        earlier = _read(path)
        for key in ("machine", "engine", "cores", "protocol", "types"):
            if earlier.header.get(key) != header.get(key):
                raise InputError(
                    f"{path} is of {key} {earlier.header.get(key)!r}, this is {header.get(key)!r}; begin again without --resume"
                )
        return cls(path, earlier.header, earlier.finished)

    def finish(self, key: str) -> None:
        """Note that a stretch of work, all of whose measurements were added, is done."""
        self._write({FINISHED: key})
        self.done.add(key)

    def add(self, row: Measurement) -> None:
        """Store one measurement."""
        self._write(asdict(row))
        self.rows.append(row)

    def _write(self, data: dict[str, Any]) -> None:
        try:
            self._file.write(_line(data))
            self._file.flush()
        except OSError as error:
            raise StorageError(f"cannot write measurements to {self.path}: {error.strerror}") from error

    def __enter__(self) -> MeasurementLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()


def read_measurements(path: Path) -> tuple[dict[str, Any], list[Measurement]]:
    """Header and rows of a measurement file; a last line cut short by an interruption is ignored.

    Raises:
        InputError: the file cannot be read.
        FileFormatError: it is no measurement file; the message names the line.
    """
    content = _read(path)
    return content.header, [row for _, rows in content.finished for row in rows] + content.rows


@dataclass(slots=True)
class _Content:
    """A measurement file: finished stretches with their rows, and rows of one that was not."""

    header: dict[str, Any] = field(default_factory=dict)
    finished: list[tuple[str, list[Measurement]]] = field(default_factory=list)
    rows: list[Measurement] = field(default_factory=list)


def _read(path: Path) -> _Content:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise FileFormatError(f"{path} is larger than {MAX_FILE_BYTES} bytes; it is no measurement file")
        lines = path.read_text("utf-8").splitlines() or [""]  # an empty file has no header
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read measurements {path}: {error}") from error
    content = _Content()
    for number, line in enumerate(lines, start=1):
        try:
            data = json.loads(line)
            if number == 1:
                content.header = {name: data["header"][name] for name in HEADER_KEYS} | dict(data["header"])
            elif FINISHED in data:
                content.finished.append((str(data[FINISHED]), content.rows))
                content.rows = []
            else:
                content.rows.append(_measurement(data))
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines) and number > 1:
                break
            raise FileFormatError(f"{path}, line {number}: not a measurement ({error})") from error
    return content


def _line(data: dict[str, Any]) -> str:
    return json.dumps(data, sort_keys=True) + "\n"


def _measurement(data: dict[str, Any]) -> Measurement:
    if data["kind"] not in KINDS:
        raise ValueError(f"kind {data['kind']!r} is none of {', '.join(KINDS)}")
    return Measurement(data["kind"], str(data["model"]), int(data["threads"]), data["spincount"], dict(data["values"]))


def made_now(row: Measurement, **values: float) -> Measurement:
    """A measurement with its time, and further values."""
    return replace(row, values={**row.values, **values, AT_S: round(time())})


def measured_at_s(rows: Iterable[Measurement]) -> float | None:
    """When prompts and decode steps were measured, in the mean (Unix time) [s]; None where measurements do not say it."""
    times = [row.number(AT_S) for row in rows if row.kind in ("prefill", "decode") and AT_S in row.values]
    return fmean(times) if times else None


def of_kind(rows: Iterable[Measurement], kind: Kind) -> list[Measurement]:
    """The rows of one kind."""
    return [row for row in rows if row.kind == kind]
