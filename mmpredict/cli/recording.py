"""Keeping real runs while a command makes them: a file of raw runs, and the history."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from mmpredict.cli.console import remark

if TYPE_CHECKING:
    from mmpredict.results.history import Check, Figure
    from mmpredict.results.prediction import Prediction
    from mmpredict.scenario.engine_section import EngineSection
    from mmpredict.validation.executed import Executed
    from mmpredict.validation.recorder import Recorder


def new_recorder(check: Check, raw_path: Path) -> Recorder:
    """A recorder that complains on standard error."""
    from mmpredict.validation.history import History
    from mmpredict.validation.recorder import Recorder

    return Recorder(check, raw_path, History(), lambda sentence: remark(f"warning: {sentence}"))


def check_now(kind: str, name: str = "", digest: str = "", served_by: str = "") -> Check:
    """A check of this machine that begins now.

    Args:
        kind, name, digest: of the check.
        served_by: the engine, where it is not the embedded one, whose build is known.
    """
    from mmpredict.calibrated import own_coefficients
    from mmpredict.cost.library import machine_key
    from mmpredict.errors import EngineMissingError, NotCalibratedError
    from mmpredict.hardware.library import find_profile
    from mmpredict.live.choice import EMBEDDED
    from mmpredict.live.embedded import engine_build
    from mmpredict.results.history import Check

    profile, engine = find_profile(gpus=bool(served_by)), served_by or engine_build()
    calibrated_on = ""
    if profile.gpu is None:  # what a GPU serves is predicted by rates
        with suppress(NotCalibratedError, EngineMissingError):
            calibrated_on = own_coefficients(profile, served_by.partition(" ")[0] or EMBEDDED).measured_on
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Check(at, kind, name or kind, digest, machine_key(profile), engine, calibrated_on, version("mmpredict"))


def served_by(engine: EngineSection) -> str:
    """What other servers than the embedded ones are called in the history: kind, build as far as they tell it, and where they are.

    Only the embedded engine's calibration learns from its own runs. Empty for the embedded engine.
    """
    from mmpredict.live.survey import build_of

    if engine.kind == "embedded":
        return ""
    where = engine.url or (engine.binary if engine.kind == "llama-server" else "")
    return " ".join(filter(None, (engine.kind, build_of(engine.kind, engine.url, engine.binary), where)))


def keeper(
    kind: str, name: str, digest: str, directory: Path | None, served_by: str = ""
) -> Callable[[Executed, Prediction], None]:
    """Keeps runs; the first one says where.

    Args:
        kind, name, digest, served_by: see ``check_now``.
        directory: where the file of raw runs goes; the user's data directory when not given.
    """

    @cache
    def recorder() -> Recorder:
        from mmpredict.saving import data_directory

        check = check_now(kind, name, digest, served_by)
        stamp = check.at[:19].replace(":", "")
        raw_path = directory / "runs.jsonl" if directory is not None else data_directory() / "validation" / f"{name}-{stamp}.jsonl"
        remark(f"raw runs: {raw_path}")
        return new_recorder(check, raw_path)

    return lambda run, prediction: recorder().keep(run, prediction)


def remember(kind: str, raw_path: Path, found: Iterable[tuple[list[Figure], Executed | None]]) -> None:
    """Keep what one of our own checks found, and whose raw rows are on disk, in the history."""
    recorder = new_recorder(check_now(kind), raw_path)
    for figures, run in found:
        recorder.remember(figures, run)
