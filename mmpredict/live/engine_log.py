"""What llama.cpp's log of one server tells: the sizes of its buffers, and why it ended."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mmpredict.live.failure import bounded
from mmpredict.units import KIB, MIB

MAX_LINE_BYTES = 4 * KIB
TAIL_BYTES = 64 * KIB
BURST_GAP_LINES = 2
READY_LINE = b"listening on http"

_BUFFER = re.compile(rb"(\S+)\s+(model|KV|RS|compute|output) buffer size\s*=\s*([0-9.]+) MiB")
_MODEL_KEYS = {b"CPU": "model", b"CPU_Mapped": "mapped_model", b"CPU_REPACK": "repacked_model"}
_OTHER_KEYS = {b"KV": "kv", b"RS": "recurrent", b"compute": "compute", b"output": "output"}
_PREFIX = re.compile(r"^[0-9.]+ ([A-Z]) ")
_ABORT = re.compile(r"GGML_ASSERT|GGML_ABORT|terminate called|what\(\):|Error: |Fatal Python error")


def buffer_bytes(log_path: Path) -> dict[str, int]:
    """Buffers that the server allocated until it was ready, summed by kind [bytes].

    Keys, as far as they occur: ``mapped_model`` (pages of the model file), ``repacked_model`` (weights copied into another
    order), ``model`` (weights copied as they are; other kinds of buffer under ``<kind>_model``), ``kv``, ``recurrent``,
    ``compute``, ``output``. The log rounds to 0.01 MiB. Empty if the log cannot be read.
    """
    sizes: dict[str, int] = {}
    try:
        with log_path.open("rb") as log:
            while (line := log.readline(MAX_LINE_BYTES)) and READY_LINE not in line:
                if match := _BUFFER.search(line):
                    device, kind, size_mib = match.groups()
                    key = _OTHER_KEYS.get(kind) or _MODEL_KEYS.get(device) or f"{device.decode(errors='replace').lower()}_model"
                    sizes[key] = sizes.get(key, 0) + round(float(size_mib) * MIB)
    except OSError:
        pass
    return sizes


def tells_ready(log_path: Path) -> bool:
    """Whether the log has come as far as the line that says that the server is ready: it is written by a thread of its own."""
    try:
        with log_path.open("rb") as log:
            return any(READY_LINE in line for line in iter(lambda: log.readline(MAX_LINE_BYTES), b""))
    except OSError:
        return False


def cause(log_path: Path) -> str:
    """The line near the end of the log that tells what went wrong, without its time stamp; empty if there is none.

    llama.cpp reports a failure from the inside out, so the first error of the last burst of errors names the cause.
    """
    lines = _tail(log_path)
    aborts = [line for line in lines if _ABORT.search(line)]
    errors = [number for number, line in enumerate(lines) if (match := _PREFIX.match(line)) and match[1] == "E"]
    if aborts:
        return bounded(_PREFIX.sub("", aborts[-1]))
    if not errors:
        return ""
    first = len(errors) - 1
    while first and errors[first] - errors[first - 1] <= BURST_GAP_LINES:
        first -= 1
    return bounded(_PREFIX.sub("", lines[errors[first]]))


def last_line(log_path: Path) -> str:
    """The last line of the log, without its time stamp; empty if there is none."""
    return bounded(_PREFIX.sub("", (_tail(log_path) or [""])[-1]))


def _tail(log_path: Path) -> list[str]:
    try:
        with log_path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
            return [line for line in log.read(TAIL_BYTES).decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return []
