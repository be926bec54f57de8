"""The formats that can be read, and how each is known by its content."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from mmpredict.calibrate.importers import batched_bench, llama_bench_csv, llama_bench_markdown, llama_swap_database, ollama_bench
from mmpredict.calibrate.importers.imported import read_imported
from mmpredict.calibrate.importers.llama_bench import read_json
from mmpredict.calibrate.importers.llama_bench_sql import read_sql
from mmpredict.calibrate.importers.llama_swap_json import read_json as read_activity
from mmpredict.calibrate.importers.objects import objects
from mmpredict.calibrate.importers.ollama_api import read_answers
from mmpredict.calibrate.importers.ollama_text import read_verbose
from mmpredict.calibrate.importers.own import read_own
from mmpredict.calibrate.importers.row import Found, Rejected
from mmpredict.calibrate.importers.server_log import read_log
from mmpredict.calibrate.importers.server_timings import read_timings
from mmpredict.errors import UnknownNameError

Reader = Callable[[str, str], Iterator[Found]]
DatabaseReader = Callable[[Path], Iterator[Found]]

READERS: dict[str, Reader] = {
    "llama-bench-json": read_json,
    "llama-bench-jsonl": read_json,
    "llama-bench-csv": llama_bench_csv.read_csv,
    "llama-bench-sql": read_sql,
    "llama-bench-md": llama_bench_markdown.read_markdown,
    "batched-bench-jsonl": batched_bench.read_jsonl,
    "batched-bench-table": batched_bench.read_table,
    "llama-server-timings": read_timings,
    "llama-server-log": read_log,
    "ollama-api": read_answers,
    "ollama-verbose": read_verbose,
    "ollama-bench": ollama_bench.read_benchstat,
    "ollama-bench-csv": ollama_bench.read_csv,
    "ollama-bench-md": ollama_bench.read_table,
    "llama-swap-json": read_activity,
    "measurements": read_own,
    "rows": read_imported,
}
"""A reader per format of texts: the text and its file's name → rows and refused lines."""

DATABASE_READERS: dict[str, DatabaseReader] = {"llama-swap-db": llama_swap_database.read_database}
"""A reader per format of databases: the file → rows and refused lines."""

NAMES = (*READERS, *DATABASE_READERS)

LOOKED_AT_OBJECTS = 50

_ANY_OF = (
    ({"header"}, "measurements"),
    ({"file", "line", "test", "tokens_per_s"}, "rows"),
    ({"avg_ts", "n_prompt"}, "llama-bench-jsonl"),
    ({"pl", "speed_tg"}, "batched-bench-jsonl"),
    ({"timings"}, "llama-server-timings"),
    ({"prompt_n", "prompt_ms"}, "llama-server-timings"),
    ({"predicted_n", "predicted_ms"}, "llama-server-timings"),
    ({"total_duration"}, "ollama-api"),
    ({"eval_count", "eval_duration"}, "ollama-api"),
    ({"tokens", "duration_ms"}, "llama-swap-json"),
    ({"data", "total_pages"}, "llama-swap-json"),
    ({"input_tokens", "tokens_per_second"}, "llama-swap-json"),
)
_INSERT = re.compile(r"^\s*INSERT\s+INTO\s+(?:llama_bench|test)\b", re.IGNORECASE | re.MULTILINE)
_VERBOSE = re.compile(r"^\s*(?:total duration|eval rate):\s", re.MULTILINE)
_LOG = re.compile(r"\beval time =")


def require_name(name: str) -> str:
    """The same name of a format.

    Raises:
        UnknownNameError: there is no such format.
    """
    if name not in NAMES:
        raise UnknownNameError("format", name, NAMES)
    return name


def detect_database(content: bytes) -> str | None:
    """The format of a file that is no text; only one program's databases are read."""
    return "llama-swap-db" if content.startswith(llama_swap_database.MAGIC) else None


def detect(text: str) -> str | None:
    """The format of a text, by what only that format has; ``None`` if there is nothing of the kind."""
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith(("{", "[", "data:")):
        found = _detect_objects(text)
        if found is not None:
            return "llama-bench-json" if found == "llama-bench-jsonl" and start.startswith("[") else found
    if _INSERT.search(text):
        return "llama-bench-sql"
    if ollama_bench.BENCHSTAT.search(text):
        return "ollama-bench"
    for line in text.splitlines():
        names = {name.strip().strip('"') for name in line.split(",")}
        if names >= llama_bench_csv.NAMES:
            return "llama-bench-csv"
        if names >= ollama_bench.CSV_NAMES:
            return "ollama-bench-csv"
        cells = set(llama_bench_markdown.table_cells(line)) if "|" in line else set()
        if cells >= {"PP", "TG", "B"}:
            return "batched-bench-table"
        if cells >= llama_bench_markdown.COLUMNS:
            return "llama-bench-md"
        if cells >= ollama_bench.TABLE_COLUMNS:
            return "ollama-bench-md"
    if _VERBOSE.search(text):
        return "ollama-verbose"
    return "llama-server-log" if _LOG.search(text) else _detect_objects(text)


def _detect_objects(text: str) -> str | None:
    for item in islice(objects(text), LOOKED_AT_OBJECTS):
        if not isinstance(item, Rejected):
            for names, found in _ANY_OF:
                if names <= set(item[1]):
                    return found
    return None
