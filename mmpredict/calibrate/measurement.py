"""Raw measurements: one JSON object per line, on disk as soon as it exists."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, get_args

from mmpredict.errors import FileFormatError, InputError, StorageError

Kind = Literal["prefill", "decode", "request", "load", "memory", "company", "stacked"]
KINDS: tuple[str, ...] = get_args(Kind)
HEADER_KEYS = ("machine", "engine", "cores", "measured_on")
MAX_FILE_BYTES = 256_000_000


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured figure with its conditions.

    Kinds and their ``values``:

    - ``prefill``: ``tokens``, ``duration_s`` — the server's own time for a prompt;
    - ``decode``: ``sequences``, ``depth`` (of each at the first step), ``steps``, ``duration_s``;
    - ``request``: ``tokens``, ``overhead_s`` — client time beside the server's;
    - ``load``: ``cold`` (0 or 1), ``kv_cache_bytes``, ``duration_s``;
    - ``memory``: ``context_tokens``, ``slots``, ``ubatch_tokens``, ``proportional_bytes``, and the buffers of the
      server's own log (``mapped_model_bytes``, ``repacked_model_bytes``, ``kv_bytes``, ``compute_bytes``, ``output_bytes``);
    - ``company``: ``set_up``, ``phase``, ``episode``, ``total_threads``, ``alone_tokens_per_s``,
      ``speed_frac`` (speed in company ÷ speed alone);
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

    Raises:
        StorageError: the file cannot be written.
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path = path
        self.rows: list[Measurement] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = path.open("w", encoding="utf-8")
        except OSError as error:
            raise StorageError(f"cannot write measurements to {path}: {error.strerror}") from error
        self._write({"header": header})

    def add(self, row: Measurement) -> None:
        """Store one measurement."""
        self._write(asdict(row))
        self.rows.append(row)

    def _write(self, data: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(data, sort_keys=True) + "\n")
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
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise FileFormatError(f"{path} is larger than {MAX_FILE_BYTES} bytes; it is no measurement file")
        lines = path.read_text("utf-8").splitlines() or [""]  # an empty file has no header
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read measurements {path}: {error}") from error
    header: dict[str, Any] = {}
    rows: list[Measurement] = []
    for number, line in enumerate(lines, start=1):
        try:
            data = json.loads(line)
            if number == 1:
                header = {name: data["header"][name] for name in HEADER_KEYS} | dict(data["header"])
            else:
                rows.append(_measurement(data))
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines) and number > 1:
                break
            raise FileFormatError(f"{path}, line {number}: not a measurement ({error})") from error
    return header, rows


def _measurement(data: dict[str, Any]) -> Measurement:
    if data["kind"] not in KINDS:
        raise ValueError(f"kind {data['kind']!r} is none of {', '.join(KINDS)}")
    return Measurement(data["kind"], str(data["model"]), int(data["threads"]), data["spincount"], dict(data["values"]))


def of_kind(rows: Iterable[Measurement], kind: Kind) -> list[Measurement]:
    """The rows of one kind."""
    return [row for row in rows if row.kind == kind]
