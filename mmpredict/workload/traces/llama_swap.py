"""llama-swap's activity (github.com/mostlygeek/llama-swap): what was asked of which model on one's own machine.

As saved from ``/api/metrics/activity`` (pages, ``{"data": […]}``) or, from older versions, ``/api/metrics`` (an array); one page or
one request per line will do. The time is that of the end, and ``duration_ms`` reaches back to the arrival. Prompt tokens are the
evaluated ones and those from the cache; which request had left these there is not said, so nothing is taken for shared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmpredict.errors import FileFormatError
from mmpredict.workload.request import MAX_TOKENS
from mmpredict.workload.traces.entry import Entry, parsed
from mmpredict.workload.traces.fields import moment_s, real, text, whole
from mmpredict.workload.traces.lines import LineError, whole_text

MAX_FILE_BYTES = 256_000_000
_SUCCESS = 200


def entries(path: Path) -> Iterator[Entry]:
    """Entries by time, in seconds since 1970; requests that were not answered have no output.

    Raises:
        FileFormatError: the file is too large or no JSON, or a request is malformed; the message names the number of
            the request.
    """
    return iter(sorted(parsed(path, _requests(path), _entry), key=lambda entry: entry.time_s))


def _requests(path: Path) -> Iterator[tuple[int, Any]]:
    whole_file = whole_text(path, MAX_FILE_BYTES)
    try:
        pages = [json.loads(whole_file)]
    except (ValueError, RecursionError):
        pages = []
        for number, line in enumerate(whole_file.splitlines(), start=1):
            try:
                pages.extend([json.loads(line)] if line.strip() else [])
            except (ValueError, RecursionError) as error:
                raise FileFormatError(f"{path}, line {number}: it is no JSON") from error
    number = 0
    for page in pages:
        found = page.get("data", [page]) if isinstance(page, dict) else page
        for request in found if isinstance(found, list) else [found]:
            number += 1
            yield number, request


def _entry(found: Any, line: int) -> Entry:
    if not isinstance(found, dict):
        raise LineError("the request is no JSON object")
    tokens = found.get("tokens")
    fields = {**found, **tokens} if isinstance(tokens, dict) else found
    ended_s = real(fields, "ts_created") if fields.get("ts_created") else moment_s(fields, "timestamp")
    answered = fields.get("resp_status_code", _SUCCESS) in (0, _SUCCESS)
    cached = max(0, whole(fields, "cache_tokens", low=-1)) if "cache_tokens" in fields else 0
    return Entry(
        line,
        ended_s - real(fields, "duration_ms") / 1e3,
        min(whole(fields, "input_tokens") + cached, MAX_TOKENS),
        whole(fields, "output_tokens") if answered else 0,
        text(fields, "model" if "model" in fields else "model_id"),
    )
