"""What the command line shows: tables on standard output, progress and remarks on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from mmpredict.results.plain import json_text
from mmpredict.saving import make_directory, save

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType
    from rich.progress import Progress, TaskID

WIDE_COLUMNS = 110  # where there is no terminal whose width counts

# Names come from the user's files: what stands in brackets in them is no markup.
OUTPUT = Console(width=None if sys.stdout.isatty() else WIDE_COLUMNS, markup=False)
REMARKS = Console(stderr=True, markup=False)


class Bars:
    """A progress bar per phase; where there is no terminal, one line when a phase begins."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, phase: str, label: str, fraction: float) -> None:
        """Show that ``phase`` is at ``fraction``, doing ``label``."""
        if phase not in self._tasks:
            self._tasks[phase] = self._bars.add_task(phase, total=1.0, label="")
            if not REMARKS.is_terminal:
                REMARKS.print(f"{phase} …", highlight=False)
        self._bars.update(self._tasks[phase], completed=fraction, label=label)


@contextmanager
def progress_bars() -> Iterator[Bars]:
    """Progress bars on standard error with what is being done and how long is left."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[label]}"),
    )
    with Progress(*columns, console=REMARKS, disable=not REMARKS.is_terminal) as bars:
        yield Bars(bars)


def show_check(
    as_json: bool, document: dict[str, Any], table: RenderableType, raw_path: Path, good: bool, out_of_tolerance: int
) -> None:
    """Show what ``mmpredict validate`` found, and leave with ``out_of_tolerance`` where it is not good."""
    if as_json:
        print_json({"schema_version": 1, **document, "within_tolerance": good})
    else:
        OUTPUT.print(table)
    remark(f"raw rows: {raw_path}")
    if not good:
        raise typer.Exit(out_of_tolerance)


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on standard output, keys in order."""
    sys.stdout.write(json_text(document))


def write_json(document: dict[str, Any], path: Path) -> None:
    """The same document as a file, in a directory that is made if needed.

    Raises:
        StorageError: it cannot be written.
    """
    make_directory(path.parent)
    save(json_text(document).encode(), path)


IDLE_CORES = 0.25
"""Busy cores up to which a machine counts as idle: what a desktop does by itself."""


def warn_if_busy() -> None:
    """Say so when other programs use the machine that is about to be measured."""
    from mmpredict.hardware.telemetry import busy_cores

    busy = busy_cores()
    if busy > IDLE_CORES:
        remark(f"warning: other programs keep {busy:.1f} cores busy; what is measured now will be off, and differ from run to run")


def remark(text: str) -> None:
    """A line for people on standard error."""
    REMARKS.print(text, highlight=False, soft_wrap=True)


def warn(text: str) -> None:
    """A remark that begins with the word."""
    remark(f"warning: {text}")
