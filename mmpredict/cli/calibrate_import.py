"""``mmpredict calibrate import``: benchmark files of others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmpredict.cli.console import OUTPUT, print_json, remark
from mmpredict.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from mmpredict.calibrate.importers.files import Imported

SHOWN_REJECTED = 20
NOTHING_READ = 2


def import_files(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Benchmark files; each may be of another format.")],
    format_name: Annotated[str | None, typer.Option("--format", help="Format of the files; otherwise their content tells.")] = None,
    output: Annotated[Path | None, typer.Option("--output", help="File for the rows (JSON Lines).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")] = False,
) -> None:
    """Read benchmark files of llama-bench, llama-batched-bench, llama-server, Ollama, llama-swap or mmpredict as rows of one kind.

    A malformed line is reported and skipped. Ends with 0 if any row was read, and 2 if none. Predictions use the rows after
    mmpredict calibrate fit rows.jsonl --hardware MACHINE, which takes the files themselves as well.

    Example: mmpredict calibrate import bench.md server.log --output rows.jsonl
    """
    from mmpredict.calibrate.importers.files import import_file, save_rows

    imported: list[Imported] = []
    problems: list[InputError] = []
    for path in files:
        try:
            imported.append(import_file(path, format_name))
        except UnknownNameError:  # the format: wrong for every file
            raise
        except InputError as error:
            problems.append(error)
    rows = [row for one in imported for row in one.rows]
    if rows and output is not None:
        save_rows(rows, output)
    if as_json:
        print_json(_document(imported, problems))
    elif imported:
        _show(imported)
    for problem in problems:
        remark(f"mmpredict: {problem}")
    if not rows:
        if imported:
            remark("mmpredict: no row was read")
        raise typer.Exit(NOTHING_READ)
    if output is not None:
        remark(f"rows: {output}")


def _document(imported: list[Imported], problems: list[InputError]) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "files": [
            {
                "file": str(one.path),
                "format": one.format,
                "read": len(one.rows),
                "skipped": [{"line": bad.line, "reason": bad.reason} for bad in one.rejected],
            }
            for one in imported
        ],
        "unreadable": [str(error) for error in problems],
        "rows": [row.to_dict() for one in imported for row in one.rows],
    }


def _show(imported: list[Imported]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for name in ("file", "format", "read", "skipped", "doubtful"):
        table.add_column(name, justify="left" if name in ("file", "format") else "right")
    for one in imported:
        doubtful = sum(row.doubt is not None for row in one.rows)
        table.add_row(escape(str(one.path)), one.format, str(len(one.rows)), str(len(one.rejected)), str(doubtful))
    OUTPUT.print(table)
    for one in imported:
        for bad in one.rejected[:SHOWN_REJECTED]:
            remark(f"{one.path}, line {bad.line}: skipped, {bad.reason}")
        if len(one.rejected) > SHOWN_REJECTED:
            remark(f"{one.path}: and {len(one.rejected) - SHOWN_REJECTED} more (--json tells all)")
