"""Errors on models that a fit had not seen, of every machine with published runs: the tables of docs/accuracy.md.

Run with ``python benchmarks/published_accuracy.py`` to print them, and with ``--write`` to put them into docs/accuracy.md between
its two marks. Each model is left out in turn on all machines of a family; the errors are |predicted ÷ measured − 1| of durations.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mmpredict.calibrate.published import FittedFamily, fit_tables, read_tables
from mmpredict.calibrate.rates_fit import measured_spec
from mmpredict.calibrate.speed_row import SpeedRow

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "accuracy.md"
BEGIN, END = "<!-- published runs: written by benchmarks/published_accuracy.py -->", "<!-- end of published runs -->"
DEEPEST = 32_768  # tokens
DEEP_FROM = 2048

PART = "– "

Chosen = Callable[[SpeedRow], bool]


def _single(row: SpeedRow) -> bool:
    return row.parallel == 1 and not row.key_type and max(row.depth, row.n_prompt) <= DEEPEST


def _experts(row: SpeedRow) -> bool:
    return any(group.experts for group in measured_spec(row.model, row.file_type, row.size_bytes).body_groups)


POPULATIONS: tuple[tuple[str, Chosen], ...] = (
    ("generation, up to 32k deep", lambda row: row.phase == "decode" and _single(row)),
    ("– without BF16 files", lambda row: row.phase == "decode" and _single(row) and row.file_type != "BF16"),
    ("– deeper than 2k", lambda row: row.phase == "decode" and _single(row) and row.depth > DEEP_FROM),
    ("– mixtures of experts", lambda row: row.phase == "decode" and _single(row) and _experts(row)),
    ("prompts, up to 32k deep", lambda row: row.phase == "prompt" and _single(row)),
    ("– deeper or longer than 2k", lambda row: row.phase == "prompt" and _single(row) and row.depth + row.n_prompt > DEEP_FROM),
    ("generation, 2 to 64 sequences", lambda row: row.parallel > 1),
    ("quantized cache", lambda row: row.parallel == 1 and bool(row.key_type)),
    ("beyond 32k", lambda row: row.parallel == 1 and max(row.depth, row.n_prompt) > DEEPEST),
)


def tables() -> Iterator[str]:
    """Markdown, a table per family."""
    rows = read_tables(sorted((ROOT / "calibration" / "published").glob("*.csv")))
    for family in fit_tables(rows):
        yield from _table(family)
        yield ""


def _table(family: FittedFamily) -> Iterator[str]:
    common, left_out = family.rates.common, family.rates.left_out
    machines = ", ".join(f"{one.machine}{f':{one.mode}' if one.mode else ''} ({one.rows})" for one in family.rates.members)
    yield f"**{common.backend}, {common.processor}**: {common.rows} runs of {len(common.models)} models on {machines}"
    yield ""
    yield "| measured | runs | median | 90th percentile | bias | configurations | median | 90th percentile |"
    yield "|---|---|---|---|---|---|---|---|"
    before = 0
    for name, chosen in POPULATIONS:
        errors = np.array([error for row, error in zip(left_out.rows, left_out.error, strict=True) if chosen(row)])
        if not len(errors) or (name.startswith(PART) and len(errors) == before):
            continue  # nothing, or a part that is the whole
        before = len(errors)
        grouped: dict[tuple[object, ...], list[float]] = {}
        for row, error in zip(left_out.rows, left_out.error, strict=True):
            if chosen(row):
                grouped.setdefault((row.machine, row.mode, *row.configuration), []).append(float(error))
        merged = np.array([np.median(group) for group in grouped.values()])
        cells = [str(len(errors)), *_spread(errors), f"{100 * np.median(errors):+.1f} %", str(len(merged)), *_spread(merged)]
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""
    inside = "; ".join(
        f"{word} {100 * common.errors[phase].covered:.0f} %"
        for word, phase in (("generation", "decode"), ("prompts", "prompt"))
        if common.errors[phase].rows  # type: ignore[index]
    )
    yield f"80 % intervals, their width learnt from the other models, hold of the runs left out: {inside}."


def _spread(errors: np.ndarray) -> list[str]:
    size = np.abs(errors)
    return [f"{100 * np.median(size):.1f} %", f"{100 * np.quantile(size, 0.9):.1f} %"]


def main() -> None:
    """Print the tables, or put them into the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace the tables of docs/accuracy.md")
    text = "\n".join(tables())
    if not parser.parse_args().write:
        print(text)
        return
    before, _, rest = DOCUMENT.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
