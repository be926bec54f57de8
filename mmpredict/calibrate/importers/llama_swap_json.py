"""llama-swap's requests as JSON: an array (``/api/metrics``, until July 2026) or pages (``/api/metrics/activity``, since then)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmpredict.calibrate.importers.llama_swap import COUNTS_AND_RATES, Request, request_of
from mmpredict.calibrate.importers.llama_swap_rows import rows_of
from mmpredict.calibrate.importers.objects import objects
from mmpredict.calibrate.importers.row import Found, Rejected, RowError


def read_json(text: str, file: str) -> Iterator[Found]:
    """Rows of requests; those of a page stand on the page's line."""
    yield from rows_of(_requests(text), file)


def _requests(text: str) -> Iterator[Request | Rejected]:
    for item in objects(text):
        if isinstance(item, Rejected):
            yield item
            continue
        line, found = item
        page = found.get("data", [found])
        for entry in page if isinstance(page, list) else [page]:
            try:
                yield request_of(_flat(entry), line)
            except RowError as error:
                yield Rejected(line, str(error))


def _flat(entry: Any) -> dict[str, Any]:
    """A request with its counts and rates beside the rest, as older versions wrote it."""
    if not isinstance(entry, dict):
        raise RowError("the request is no object")
    tokens = entry.get("tokens")
    if not isinstance(tokens, dict):
        return entry
    return entry | {name: tokens[name] for name in COUNTS_AND_RATES if name in tokens}
