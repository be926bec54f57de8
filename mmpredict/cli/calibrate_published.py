"""``mmpredict calibrate fit`` for tables of measured speeds, and ``calibrate show`` of what is fitted to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmpredict.cli.console import OUTPUT, print_json, progress_bars, remark
from mmpredict.units import format_percent

if TYPE_CHECKING:
    from mmpredict.cost.rates.rates import Rates

_SHOWN_REJECTED = 8


def fit_published(files: Sequence[Path], output: Path | None, as_json: bool) -> None:
    """Fit tables of measured speeds, family by family, and write the coefficients.

    Raises:
        InputError, NotCalibratedError, StorageError: see ``calibrate.published``.
    """
    from mmpredict.calibrate.published import fit_tables, read_tables, save_families
    from mmpredict.cost.library import own_rates_directory

    rows = read_tables(files)
    with progress_bars() as bars:
        done: list[str] = []

        def progress(name: str) -> None:
            bars("fitting", name, len(done) / (len(done) + 1))
            done.append(name)

        families = fit_tables(rows, progress)
    paths = save_families(families, output or own_rates_directory())
    every = [rates for family in families for rates in (*family.rates.members, family.rates.common)]
    if as_json:
        print_json({"schema_version": 1, "files": [str(path) for path in paths], "errors": [summary(rates) for rates in every]})
    else:
        show_errors(every)
        for reason, count in sorted({item for family in families for item in family.rates.common.rejected.items()}):
            remark(f"{count} rows left out: {reason}")
    remark(f"coefficients: {len(paths)} files in {output or own_rates_directory()}")


def show_rates(rates: Rates, sentence: str, as_json: bool) -> None:
    """One set of rates: what it was fitted to, its errors, its parameters."""
    if as_json:
        OUTPUT.print_json(rates.to_json())
        return
    from rich.table import Table

    show_errors([rates])
    table = Table(
        title=f"{rates.machine or 'family'}{f':{rates.mode}' if rates.mode else ''} · {rates.backend} · {rates.processor}"
    )
    for name in ("parameter", "value", "80 % interval"):
        table.add_column(name, justify="left" if name == "parameter" else "right")
    for name, rate in rates.rates.items():
        half = 1.2816 * rate.spread
        bounds = f"{math.exp(rate.log - half):.3g} – {math.exp(rate.log + half):.3g}"
        table.add_row(name, f"{math.exp(rate.log):.3g}", bounds)
    OUTPUT.print(table)
    OUTPUT.print(f"source: {sentence}", highlight=False, soft_wrap=True)
    OUTPUT.print(f"models: {', '.join(rates.models)}", highlight=False, soft_wrap=True)
    dates = f"measured {rates.first_date} to {rates.last_date}" if rates.last_date else "date not stated"
    OUTPUT.print(f"{dates}; {rates.builds or 'build not stated'}", highlight=False)
    for reason, count in list(rates.rejected.items())[:_SHOWN_REJECTED]:
        OUTPUT.print(f"left out: {count} × {reason}", highlight=False, soft_wrap=True)
    OUTPUT.print(f"published by: {'; '.join(rates.sources)}", style="dim", highlight=False, soft_wrap=True)


def show_errors(every: Sequence[Rates]) -> None:
    """Errors on models left out of the fit, a row per machine."""
    from rich.table import Table

    table = Table(caption="error on models left out: median, 90th percentile; how many of them lie inside their 80 % interval")
    for name in ("machine", "backend", "rows", "models", "tg", "tg p90", "inside", "pp", "pp p90", "inside"):
        table.add_column(name, justify="left" if name in ("machine", "backend") else "right")
    for rates in every:
        cells = []
        for error in (rates.errors["decode"], rates.errors["prompt"]):
            cells += [format_percent(one) if error.rows else "–" for one in (error.median, error.p90, error.covered)]
        table.add_row(_name(rates), f"{rates.backend} {rates.processor}", str(rates.rows), str(len(rates.models)), *cells)
    OUTPUT.print(table)


def _name(rates: Rates) -> str:
    mode = f":{rates.mode}" if rates.mode else ""
    return f"{rates.machine}{mode}" if rates.machine else f"all with {rates.backend}"


def summary(rates: Rates) -> dict[str, object]:
    """What ``show_errors`` shows, for JSON."""
    from dataclasses import asdict

    errors = {phase: asdict(error) for phase, error in rates.errors.items()}
    return {"machine": rates.machine, "mode": rates.mode, "backend": rates.backend, "rows": rates.rows, "errors": errors}
