"""Generation speeds of published runs, as whichllm estimates them and as this project does for a model that it has not seen.

Usage: pip install whichllm; python benchmarks/beside_whichllm.py

whichllm (https://github.com/Andyyyy64/whichllm) divides a GPU's bandwidth by the bytes of a model, times a factor of the type of
weights and one of the vendor; it has no figure for prompts. This asks the function that its command line asks; no network is used.

- Rows: generation of one sequence from an empty cache, on the machines of ``calibration/published`` that have a profile and that
  whichllm knows; of several runs of a model and type of file with one backend, the medians. Machines with power modes: those of
  the mode without limits, as whichllm knows no modes. Rows that our own fit refuses are left out, and counted.
- whichllm is given its own entry of the GPU, the whole model on it, the true number of weights, of experts the share that a token
  passes, the size of the file as published (or as the catalog has it), and the type of its table that is nearest.
- Ours is a fit to all rows but those of the model in question, on every machine. So it has seen other models on that machine,
  and fine-tunes or other generations of the same size; whichllm's factors are the same for all machines of a vendor. The last
  columns say what remains of its error once it, too, knows the machine: its figures times one factor per machine and backend,
  the median of measured ÷ estimated over all other models.

Errors are |predicted ÷ measured − 1| of tokens/s: median and 90th percentile; the bias is the median with its sign.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

import numpy as np

from mmpredict.calibrate.published import fit_tables, read_tables
from mmpredict.calibrate.rates_fit import LeftOut, measured_spec
from mmpredict.calibrate.speed_row import SpeedRow
from mmpredict.models.quantization.resized import base_type
from mmpredict.models.spec import ModelSpec

TABLES = Path(__file__).parents[1] / "calibration" / "published"
NEEDED = "whichllm is not installed in this environment; run: pip install whichllm (0.5.21 is what this was written for)"
# Profile → name that whichllm's own ``--gpu`` takes, memory where its tables have none [GiB], power mode without limits.
MACHINES = {
    "ms-s1-max": ("Radeon 8060S", 128.0, "performance"),
    "rtx-3090": ("RTX 3090", None, ""),
    "rtx-4090": ("RTX 4090", None, ""),
    "apple-m1": ("M1", None, ""),
    "apple-m1-max": ("M1 Max", None, ""),
    "apple-m3-max": ("M3 Max", None, ""),
    "apple-m4": ("M4", None, ""),
    "apple-m4-max": ("M4 Max", None, ""),
    "jetson-orin-nano": ("Jetson Orin Nano 8 GB", None, "15w"),
    "jetson-orin-nano-super": ("Jetson Orin Nano Super", None, "maxn_super"),
    "jetson-orin-nx-16gb": ("Jetson Orin NX 16 GB", None, "maxn_super"),
    "jetson-agx-orin-64gb": ("Jetson AGX Orin 64 GB", None, "maxn"),
}
# Types of files that its table has under another name, or that are nearest to one of it.
NEAREST = {"MXFP4_MOE": "MXFP4", "Q2_K_S": "Q2_K", "IQ2_XS": "IQ2_S"}

Estimator = Callable[[str, str, ModelSpec, int], float]
"""Tokens/s of a machine, for a type of file, a model and the size of its file [bytes]."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One model in one type of file on one machine with one backend; speeds in tokens/s.

    Attributes:
        machine, backend, model: what ran where.
        experts: whether the model is a mixture of experts.
        measured: median of the published runs.
        theirs, ours: estimate of whichllm, prediction of a fit without the model.
        scaled: estimate of whichllm times what it is off by on the other models of this machine; 0 where there are none.
    """

    machine: str
    backend: str
    model: str
    experts: bool
    measured: float
    theirs: float
    ours: float
    scaled: float = 0.0


def whichllm_estimator() -> Estimator:
    """whichllm's figure, from its own functions, without network.

    Raises:
        SystemExit: it is not installed.
    """
    try:
        from whichllm.engine.performance import estimate_tok_per_sec
        from whichllm.hardware.gpu_simulator import create_synthetic_gpu
        from whichllm.models.types import GGUFVariant, ModelInfo
    except ImportError as error:
        raise SystemExit(f"{NEEDED} ({error})") from error

    gpus = {machine: create_synthetic_gpu(name, memory_gib) for machine, (name, memory_gib, _) in MACHINES.items()}

    def tokens_per_s(machine: str, file_type: str, spec: ModelSpec, file_bytes: int) -> float:
        experts = spec.shape.experts is not None
        active = round(spec.active_parameters) if experts else None
        model = ModelInfo(spec.name, spec.name, spec.name, spec.parameters, active, spec.shape.architecture, experts)
        kind = base_type(file_type)
        variant = GGUFVariant(f"{spec.name}-{file_type}.gguf", NEAREST.get(kind, kind), file_bytes)
        return float(estimate_tok_per_sec(model, variant, gpus[machine], "full_gpu"))

    return tokens_per_s


def compared(left_out: LeftOut, estimate: Estimator) -> list[Compared]:
    """The rows of a family that are wanted, and what both say of them."""
    groups: dict[tuple[str, str, str, str], list[tuple[SpeedRow, float]]] = {}
    for row, error in zip(left_out.rows, left_out.error, strict=True):
        if _wanted(row):
            key = (row.machine, row.backend, row.model, row.file_type)
            groups.setdefault(key, []).append((row, row.tokens_per_s / (1.0 + float(error))))
    found = []
    for (machine, backend, model, file_type), runs in sorted(groups.items()):
        sizes = [row.size_bytes for row, _ in runs if row.size_bytes]
        spec = measured_spec(model, file_type, 0)
        theirs = estimate(machine, file_type, spec, round(median(sizes)) if sizes else spec.file_bytes)
        measured, ours = median(row.tokens_per_s for row, _ in runs), median(predicted for _, predicted in runs)
        found.append(Compared(machine, backend, model, spec.shape.experts is not None, measured, theirs, ours))
    return found


def _wanted(row: SpeedRow) -> bool:
    known = row.processor == "gpu" and row.machine in MACHINES and row.mode == MACHINES[row.machine][2]
    return known and row.phase == "decode" and row.parallel == 1 and row.depth == 0


def with_scaled(rows: Sequence[Compared]) -> list[Compared]:
    """The rows of one machine and backend, with whichllm's estimates scaled by the other models of them."""
    found = []
    for row in rows:
        others = [other.measured / other.theirs for other in rows if other.model != row.model]
        found.append(replace(row, scaled=row.theirs * median(others) if others else 0.0))
    return found


def _errors(pairs: Iterable[tuple[float, float]]) -> str:
    """Median, 90th percentile and bias of (predicted, measured), as cells."""
    signed = np.array([predicted / measured - 1.0 for predicted, measured in pairs if predicted])
    if not len(signed):
        return f"{'–':>9}{'–':>9}{'–':>9}"
    size = np.abs(signed)
    return f"{100 * np.median(size):7.1f} %{100 * np.quantile(size, 0.9):7.1f} %{100 * np.median(signed):+7.1f} %"


def _line(name: str, rows: Sequence[Compared]) -> str:
    columns = [[(getattr(row, which), row.measured) for row in rows] for which in ("theirs", "ours", "scaled")]
    return f"{name:32}{len(rows):5}{len({row.model for row in rows}):8} " + "  ".join(map(_errors, columns))


def main() -> None:
    """Print the comparison, machine by machine."""
    estimate = whichllm_estimator()
    families = fit_tables(read_tables(sorted(TABLES.glob("*.csv"))), lambda name: print(f"fitting {name} …", file=sys.stderr))
    machines: dict[tuple[str, str], list[Compared]] = {}
    for family in families:
        for row in compared(family.rates.left_out, estimate):
            machines.setdefault((row.machine, row.backend), []).append(row)
    groups = {f"{machine} {backend}": with_scaled(rows) for (machine, backend), rows in sorted(machines.items())}
    every = [row for rows in groups.values() for row in rows]
    refused = sum(sum(family.rates.common.rejected.values()) for family in families)

    print(f"whichllm {_version('whichllm')} beside mmpredict {_version('mmpredict')}, {date.today()}")
    columns = f"{'median':>9}{'p90':>9}{'bias':>9}"
    print(f"{'':46}{'whichllm':27}  {'ours, model left out':27}  whichllm, scaled per machine")
    print(f"{'machine, backend':32}{'rows':>5}{'models':>8} {columns}  {columns}  {columns}")
    for name, rows in groups.items():
        print(_line(name, rows))
    print(_line("all", every))
    print(_line("all, dense", [row for row in every if not row.experts]))
    print(_line("all, mixtures of experts", [row for row in every if row.experts]))
    wins = sum(abs(row.ours / row.measured - 1) < abs(row.theirs / row.measured - 1) for row in every)
    print(f"ours is nearer in {wins} of {len(every)} rows; whichllm has no estimate of prompts")
    print(f"measurements of all kinds that our fit refuses, left out for both: {refused}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    main()
