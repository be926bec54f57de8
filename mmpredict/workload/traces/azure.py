"""Azure's traces of language model services (github.com/Azure/AzurePublicDataset, 2023 and 2024): what was asked of one model each.

Columns ``TIMESTAMP`` (with up to seven decimals, in 2024 with a time zone), ``ContextTokens`` and ``GeneratedTokens``; the
multimodal trace of 2025 has more, which are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from mmpredict.workload.traces.entry import Entry, in_order, parsed
from mmpredict.workload.traces.fields import moment_s, whole
from mmpredict.workload.traces.table import rows

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")


def entries(path: Path) -> Iterator[Entry]:
    """Entries by time, in seconds since 1970.

    Raises:
        FileFormatError: a line is malformed; the message names it.
    """
    return in_order(path, parsed(path, rows(path, COLUMNS), _entry))


def _entry(fields: Mapping[str, str], line: int) -> Entry:
    return Entry(line, moment_s(fields, "TIMESTAMP"), whole(fields, "ContextTokens"), whole(fields, "GeneratedTokens"))
