"""``mmpredict validate scenarios``: random scenarios, every strategy, against predictions."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

from mmpredict.cli.console import progress_bars, remark, show_check, warn_if_busy
from mmpredict.cli.recording import remember
from mmpredict.errors import InputError

if TYPE_CHECKING:
    from mmpredict.cost.coefficients import Coefficients
    from mmpredict.validation.raw_runs import RawRuns

MAX_COUNT = 1000
SCENARIOS = "scenarios"


@dataclass(frozen=True, slots=True)
class ScenariosOptions:
    """What to run, or which runs to go on with or to read; at most one of the files.

    Attributes:
        count: random scenarios; None for the usual number [1].
        seed: of the scenarios.
        quick: a few scenarios, once.
        resume: raw file that is gone on with.
        runs: raw file that is read only.
        draws: simulations behind the intervals; None for the usual number [1].
    """

    count: int | None = None
    seed: int = 0
    quick: bool = False
    resume: Path | None = None
    runs: Path | None = None
    draws: int | None = None

    def __post_init__(self) -> None:
        given = [name for name, path in (("--resume", self.resume), ("--from", self.runs)) if path is not None]
        sizes = (("--count", self.count is not None), ("--quick", self.quick), ("--seed", self.seed != 0))
        sized = [name for name, said in sizes if said]
        if len(given) > 1 or (given and sized):
            raise InputError(f"{' and '.join([*given, *sized])} exclude each other: a raw file says what is run")


def validate_scenarios(as_json: bool, output: Path | None, options: ScenariosOptions, out_of_tolerance: int) -> None:
    """Run, predict, print, and leave with ``out_of_tolerance`` when something is beyond its target.

    Raises:
        InputError: a raw file cannot be used, or is of another machine.
        NotCalibratedError: the machine has not been calibrated.
        EngineError: a server could not be started.
        StorageError: a file could not be written.
    """
    from mmpredict.report.scenarios_check import scenarios_check_tables
    from mmpredict.results.scenarios_check import choices, misses, summaries
    from mmpredict.validation.check_figures import scenario_runs
    from mmpredict.validation.raw_runs import read_raw
    from mmpredict.validation.scenario_cases import BEYOND, JUDGED, RANDOM
    from mmpredict.validation.scenarios import DRAWS, run_cases, scenario_rows

    if options.runs is not None:
        path, raw = options.runs, read_raw(options.runs)
        own = _coefficients_of(raw)
    else:
        path, raw, own = _resumed(options.resume) if options.resume else _begun(output, options)
    before = set(raw.runs)
    if options.runs is None:
        warn_if_busy()
        remark(f"raw runs, to be gone on with by --resume: {path}")
        with progress_bars() as bars, tempfile.TemporaryDirectory(prefix="mmpredict-") as logs:
            run_cases(raw, path, Path(logs), lambda label, part: bars("running the real thing", label, part))
    with progress_bars() as bars:
        rows = scenario_rows(raw, own, lambda label, part: bars("predicting", label, part), options.draws or DRAWS)
    remember(SCENARIOS, path, scenario_runs(raw, rows, raw.runs.keys() - before))
    judged = [row for row in rows if row.group in JUDGED]
    shown = [row for row in rows if row.group == BEYOND]
    found = choices([row for row in rows if row.group in (RANDOM, BEYOND)])
    said = misses(judged, found)
    document: dict[str, Any] = {
        "engine": own.engine,
        "calibrated_on": own.measured_on,
        "runs": len(raw.runs),
        "rows": [row.to_dict() for row in rows],
        "metrics": {metric: summary.to_dict() for metric, summary in summaries(judged).items()},
        "beyond_the_cores": {metric: summary.to_dict() for metric, summary in summaries(shown).items()},
        "recommendations": [choice.to_dict() for choice in found],
        "misses": said,
    }
    for miss in said:
        remark(f"beyond its target: {miss}")
    show_check(as_json, document, scenarios_check_tables(judged, shown, found), path, not said, out_of_tolerance)


def _begun(output: Path | None, options: ScenariosOptions) -> tuple[Path, RawRuns, Coefficients]:
    """A new raw file: what is to be run on this machine."""
    from mmpredict.calibrated import own_coefficients
    from mmpredict.cost.drift import at_time
    from mmpredict.cost.library import machine_key
    from mmpredict.hardware.library import find_profile
    from mmpredict.live.embedded import require_engine
    from mmpredict.saving import data_directory
    from mmpredict.validation import scenario_cases
    from mmpredict.validation.raw_runs import Header, begin, free_path

    require_engine()
    profile = find_profile()
    now_s = time()
    own = at_time(own_coefficients(profile), now_s)
    count = options.count or (scenario_cases.QUICK_COUNT if options.quick else scenario_cases.COUNT)
    cases = scenario_cases.scenario_cases(own, options.seed, count)
    if not options.quick:
        cases += scenario_cases.known_cases(own)
    memory_bytes = profile.cpu_memory.usable_bytes.value
    scenario_cases.check_cases(cases, memory_bytes)
    repeats = scenario_cases.QUICK_REPEATS if options.quick else scenario_cases.REPEATS
    header = Header(machine_key(profile), own.engine, memory_bytes, options.seed, repeats, own.pace, now_s)
    path = free_path(output or data_directory() / "validation", f"scenarios-{date.today().isoformat()}")
    return path, begin(path, header, cases), own


def _resumed(path: Path) -> tuple[Path, RawRuns, Coefficients]:
    """A raw file of this machine that is gone on with."""
    from mmpredict.cost.library import load_coefficients, machine_key
    from mmpredict.hardware.library import find_profile
    from mmpredict.live.embedded import engine_build, require_engine
    from mmpredict.validation.raw_runs import cut_off, read_raw

    require_engine()
    profile, engine = find_profile(), engine_build()
    raw = read_raw(path)
    here, there = (machine_key(profile), engine), (raw.header.machine, raw.header.engine)
    if here != there:
        raise InputError(f"{path} was begun on {' with '.join(there)}, this is {' with '.join(here)}; read it with --from")
    own = raw.header.known(load_coefficients(profile, engine))
    cut_off(path, raw)
    return path, raw, own


def _coefficients_of(raw: RawRuns) -> Coefficients:
    """The calibration of the machine that a raw file was made on, at the pace that it had.

    Raises:
        NotCalibratedError: there is none here.
    """
    from mmpredict.cost.coefficients import read_coefficients
    from mmpredict.cost.library import coefficients_path
    from mmpredict.errors import NotCalibratedError

    path = coefficients_path(raw.header.machine, raw.header.engine)
    if not path.exists():
        raise NotCalibratedError(f"no calibration of {raw.header.machine} with {raw.header.engine}; copy it to {path}")
    return raw.header.known(read_coefficients(path))
