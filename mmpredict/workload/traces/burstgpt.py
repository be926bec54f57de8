"""BurstGPT (github.com/HPMLL/BurstGPT): what a campus asked of ChatGPT and GPT-4.

Columns ``Timestamp`` (seconds), ``Model``, ``Request tokens``, ``Response tokens``, ``Total tokens`` and ``Log Type``; since
version 2.0 also ``Session ID`` and ``Elapsed time``. No response tokens mean a failure. The trace does not say how much of a
prompt repeats what was said before in its session, so nothing is taken for shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from mmpredict.workload.traces.entry import Entry, in_order, parsed
from mmpredict.workload.traces.fields import real, text, whole
from mmpredict.workload.traces.table import rows

COLUMNS = ("Timestamp", "Model", "Request tokens", "Response tokens")


def entries(path: Path) -> Iterator[Entry]:
    """Entries by time, in the trace's seconds.

    Raises:
        FileFormatError: a line is malformed; the message names it.
    """
    return in_order(path, parsed(path, rows(path, COLUMNS), _entry))


def _entry(fields: Mapping[str, str], line: int) -> Entry:
    return Entry(
        line,
        real(fields, "Timestamp"),
        whole(fields, "Request tokens"),
        whole(fields, "Response tokens"),
        text(fields, "Model"),
        text(fields, "Session ID") if fields.get("Session ID") else "",
    )
