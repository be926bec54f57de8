"""Running a calibration: every measurement of the protocol, raw figures on disk as they are made.

Figures are written to ``NAME.partial`` until the last one is there; what an interruption leaves there can be continued.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from mmpredict.calibrate.measurement import ROUND, Measurement, MeasurementLog, made_now, read_measurements
from mmpredict.calibrate.measuring import Measuring
from mmpredict.calibrate.protocol import Protocol
from mmpredict.calibrate.repeats import unsettled
from mmpredict.calibrate.store import measurements_path
from mmpredict.calibrate.tasks import Task, round_tasks
from mmpredict.cost.library import machine_key
from mmpredict.errors import InputError
from mmpredict.hardware.profile import HardwareProfile
from mmpredict.live.build import Build, build_of_kind
from mmpredict.live.choice import EMBEDDED
from mmpredict.models.resolve import materialize, resolve
from mmpredict.models.spec import ModelSpec

Progress = Callable[[str, float], None]
"""(what is being done, fraction done)."""

_WRITING_FRAC = 0.04  # of the progress bar


class Calibration:
    """One calibration of this machine with one build of llama.cpp.

    Args:
        profile: this machine.
        measured_on: today's date (ISO), for the record.
        protocol: what to measure.
        seed: of the order of the measurements.
        build: that is measured; the embedded engine when not given.
    """

    def __init__(
        self,
        profile: HardwareProfile,
        measured_on: str,
        protocol: Protocol | None = None,
        seed: int = 0,
        build: Build | None = None,
    ) -> None:
        self.build = build or build_of_kind(EMBEDDED)
        self.protocol = protocol or Protocol()
        self.cores = profile.cpu.cores
        self.header: dict[str, Any] = {
            "machine": machine_key(profile),
            "engine": self.build.name,
            "cores": self.cores,
            "measured_on": measured_on,
            "description": profile.description,
            "protocol": self.protocol.name,
            "types": ",".join(self.protocol.weight_types),
        }
        self._seed = seed
        self.specs: dict[str, ModelSpec] = {name: resolve(name) for name in self.protocol.models}

    def run(
        self, progress: Progress | None = None, path: Path | None = None, resume: bool = False, add: bool = False
    ) -> tuple[Path, list[Measurement]]:
        """Measure everything.

        Args:
            progress: told what is being measured and the fraction done.
            path: measurement file; the store's by default. What only company is measured for must be there.
            resume: whether to continue what an interruption left, instead of beginning again.
            add: whether to keep the file's measurements and add further rounds to them.

        Returns:
            The measurement file and its rows.

        Raises:
            EngineError: a server could not be started or did not answer; what was measured so far is on disk.
            InputError: there is nothing to continue, or it is of another machine, engine or protocol.
            StorageError: a file could not be written.
        """
        report = progress or (lambda label, fraction: None)
        path = path or measurements_path(self.header["machine"], self.header["engine"])
        partial = path.with_name(f"{path.name}.partial")
        earlier = self._earlier(path) if self.protocol.company_only or add else []
        with (
            tempfile.TemporaryDirectory(prefix="mmpredict-") as logs,
            MeasurementLog.resumed(partial, self.header) if resume else MeasurementLog(partial, self.header) as log,
        ):
            if not log.rows:
                for row in earlier:
                    log.add(row)
                log.finish("earlier measurements")
            paths = {}
            for number, name in enumerate(self.protocol.models):
                report(f"writing {name}", _WRITING_FRAC * number / len(self.protocol.models))
                paths[name] = materialize(self.specs[name])
            first = 1 + max((int(row.number(ROUND)) for row in earlier if ROUND in row.values), default=-1)
            tasks = round_tasks(Measuring(self.protocol, self.cores, paths, Path(logs), self.build.start), self.specs)
            self._rounds(tasks, log, first, report)
            report("done", 1.0)
        partial.replace(path)
        return path, log.rows

    def _earlier(self, path: Path) -> list[Measurement]:
        if not path.exists():
            raise InputError(f"there are no measurements to add to ({path}); run: mmpredict calibrate run")
        header, rows = read_measurements(path)
        for key in ("machine", "engine"):
            if header[key] != self.header[key]:
                raise InputError(f"{path} is of {key} {header[key]!r}, this is {self.header[key]!r}; run: mmpredict calibrate run")
        self.specs |= {name: resolve(name) for name in {row.model for row in rows} - self.specs.keys()}
        return rows

    def _rounds(self, tasks: list[Task], log: MeasurementLog, first: int, report: Progress) -> None:
        """Rounds, numbered from ``first`` on, until all repeats agree or the time is up."""
        begin_s = perf_counter()
        usual_s = sum(task.guess_s * (1 if task.once else self.protocol.rounds) for task in tasks)
        done_s = 0.0
        wanted = None  # servers whose repeats are still too far apart
        for number in range(self.protocol.most_rounds):
            if number >= self.protocol.rounds:
                wanted = unsettled(log.rows, self.protocol.narrow_frac)
            due = [task for task in tasks if not (number and task.once) and (wanted is None or task.server in wanted)]
            random.Random(f"{self._seed} {number}").shuffle(due)
            for task in due:
                if number and perf_counter() - begin_s > self.protocol.limit_s:
                    return
                key = f"round {first + number + 1}: {task.label}"
                report(key, _WRITING_FRAC + (1 - _WRITING_FRAC) * min(1.0, done_s / usual_s))
                if key not in log.done:
                    for row in task.measure():
                        log.add(made_now(row, **{ROUND: first + number}))
                    log.finish(key)
                done_s += task.guess_s
