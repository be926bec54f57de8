"""``mmpredict calibrate fit`` for benchmark files and imported rows: somebody's own runs on one machine."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mmpredict.cli.console import OUTPUT, print_json, progress_bars, remark
from mmpredict.units import format_percent

if TYPE_CHECKING:
    from mmpredict.calibrate.own_fit import OwnFit, OwnFits
    from mmpredict.cost.rates.rates import Phase

SHOWN_REASONS = 12
_HEAD_CHARACTERS = 100_000
_PHASES: tuple[tuple[Phase, str], ...] = (("decode", "tg"), ("prompt", "pp"))

Holds = Literal["table", "measurements", "benchmark"]


def held_by(path: Path) -> Holds:
    """What a file to be fitted holds, by its first line; what is neither of ours is somebody's benchmark.

    Raises:
        InputError: it cannot be read.
    """
    from mmpredict.calibrate.speed_row import COLUMNS
    from mmpredict.errors import InputError

    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            first = file.readline(_HEAD_CHARACTERS).strip()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if first == ",".join(COLUMNS):
        return "table"
    try:
        data = json.loads(first)
    except (ValueError, RecursionError):
        return "benchmark"
    return "measurements" if isinstance(data, dict) and "header" in data else "benchmark"


def fit_benchmarks(
    files: Sequence[Path], hardware: str, model: str | None, backend: str | None, output: Path | None, as_json: bool
) -> None:
    """Fit benchmark files of one machine, and write its rates to where estimates look for them.

    Raises:
        InputError, NotCalibratedError, StorageError: see ``calibrate.importers.files``, ``bench_rows``, ``own_fit`` and ``store``.
    """
    from mmpredict.calibrate.bench_rows import speed_rows
    from mmpredict.calibrate.importers.files import import_file
    from mmpredict.calibrate.own_fit import fit_own
    from mmpredict.calibrate.store import save_rates
    from mmpredict.cost.library import own_rates_directory, shipped_rates_directory
    from mmpredict.hardware.library import find_profile

    profile = find_profile(hardware, gpus=True)
    imported = [import_file(path) for path in files]
    skipped = Counter(bad.reason for one in imported for bad in one.rejected)
    found = speed_rows((row for one in imported for row in one.rows), profile, model, backend)
    with progress_bars() as bars:
        bars("fitting", profile.full_name, 0.0)
        replaces_shipped = output is not None and output.resolve() == shipped_rates_directory()
        fitted = fit_own(found, profile, replaces_shipped)
    paths = [save_rates(fit.rates, output or own_rates_directory()) for fit in fitted.fits]
    if as_json:
        print_json(_document(fitted, skipped, paths))
    else:
        _show(fitted, skipped)
    for path in paths:
        remark(f"rates: {path}")
    if output is None:
        _say_what_uses_them(fitted, hardware)


def _show(fitted: OwnFits, skipped: Counter[str]) -> None:
    from rich.table import Table

    table = Table(caption="median error of the time: before, with what was known; after, on models (of one: tests) left out")
    for name in ("machine", "backend", "rows", "models", "tg before", "after", "pp before", "after"):
        table.add_column(name, justify="left" if name in ("machine", "backend") else "right")
    for fit in fitted.fits:
        rates = fit.rates
        cells = []
        for phase, _ in _PHASES:
            cells += [format_percent(one[phase].median) if one[phase].rows else "–" for one in (fit.before, rates.errors)]
        name = f"{rates.machine}{f':{rates.mode}' if rates.mode else ''}"
        table.add_row(name, f"{rates.backend} {rates.processor}", str(rates.rows), str(len(rates.models)), *cells)
    OUTPUT.print(table)
    for fit in fitted.fits:
        used = Counter((row.model, row.file_type) for row in fit.rows)
        models = ", ".join(f"{count} × {model} {kind}".rstrip() for (model, kind), count in sorted(used.items()))
        OUTPUT.print(f"{fit.rates.backend}: fitted {models}", highlight=False, markup=False, soft_wrap=True)
        OUTPUT.print(f"{fit.rates.backend}: known before: {fit.known.sentence}", highlight=False, markup=False, soft_wrap=True)
        if worse := _worse(fit):
            remark(f"mmpredict: on runs that were left out, the fit is worse than what was known before: {worse}")
    for word, reasons in (("left out", Counter(fitted.left_out)), ("skipped when read", skipped)):
        for reason, count in reasons.most_common(SHOWN_REASONS):
            remark(f"{word}: {count} × {reason}")
        if len(reasons) > SHOWN_REASONS:
            remark(f"{word}: and {len(reasons) - SHOWN_REASONS} more reasons (--json tells all)")


def _worse(fit: OwnFit) -> str:
    """In which phases runs that were left out are predicted worse than before."""
    pairs = [(name, fit.before[phase], fit.rates.errors[phase]) for phase, name in _PHASES]
    return ", ".join(
        f"{name} {format_percent(before.median)} before, {format_percent(after.median)} after"
        for name, before, after in pairs
        if after.rows and after.median > before.median
    )


def _say_what_uses_them(fitted: OwnFits, hardware: str) -> None:
    from mmpredict.cost.library import THIS_MACHINE, newest_coefficients

    cpu = next((fit.rates for fit in fitted.fits if fit.rates.processor == "cpu"), None)
    if cpu is not None and hardware == THIS_MACHINE and newest_coefficients(cpu.machine) is not None:
        remark("the CPU of this machine is predicted from mmpredict calibrate run, which measures more than these runs")
    remark(f"use them: mmpredict estimate MODEL --hardware {hardware}")


def _document(fitted: OwnFits, skipped: Counter[str], paths: Sequence[Path]) -> dict[str, Any]:
    from dataclasses import asdict

    def errors(fit: OwnFit) -> dict[str, Any]:
        return {
            phase: {"before": asdict(fit.before[phase]), "after": asdict(fit.rates.errors[phase])}
            for phase, _ in _PHASES
            if fit.before[phase].rows
        }

    return {
        "schema_version": 1,
        "fits": [
            {
                "file": str(path),
                "machine": fit.rates.machine,
                "mode": fit.rates.mode,
                "processor": fit.rates.processor,
                "backend": fit.rates.backend,
                "rows": fit.rates.rows,
                "models": list(fit.rates.models),
                "known_before": fit.known.sentence,
                "errors": errors(fit),
            }
            for fit, path in zip(fitted.fits, paths, strict=True)
        ],
        "left_out": dict(fitted.left_out),
        "skipped": dict(sorted(skipped.items())),
    }
