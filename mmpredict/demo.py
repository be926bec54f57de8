"""The whole loop on this machine: calibrate, predict, execute, compare, report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mmpredict.answers import Validation
from mmpredict.api import Keep, validate
from mmpredict.calibrate.fit import fit
from mmpredict.calibrate.protocol import Protocol
from mmpredict.calibrate.run import Calibration
from mmpredict.calibrate.store import save_coefficients
from mmpredict.calibrated import own_coefficients
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.library import coefficients_path
from mmpredict.errors import NotCalibratedError
from mmpredict.hardware.library import find_profile
from mmpredict.models.resolve import materialize
from mmpredict.report.perfetto import write_trace
from mmpredict.report.timeline import draw_comparison
from mmpredict.results.plain import json_text
from mmpredict.saving import make_directory, save
from mmpredict.scenario import RequestSection, Scenario

Progress = Callable[[str, str, float], None]
"""(phase, what is happening, fraction of the phase done)."""

MODELS = ("synthetic:qwen2.5-0.5b@q8_0", "synthetic:smollm2-360m@q4_0", "synthetic:gemma3-270m@q4_k")
"""Three families, none of whose shapes is measured by the calibration."""

_REQUESTS = ((0, 96, 24), (1, 160, 24), (2, 192, 32), (0, 128, 16), (1, 96, 32), (2, 128, 24))  # model, prompt, output tokens
_TYPES = ("q8_0", "q4_0", "q4_k", "q5_0")  # those that the three models hold
_STRATEGIES = ("sequential", "parallel-divided", "parallel-yielding", "batched", "parallel")
_CALIBRATION_S = 180.0  # after the first round, which takes some two minutes on two cores
_LIMIT_S = 150.0  # an oversubscribed run may take a minute; past this it is cut off, and the table says so


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What a demo came to, and the files it wrote."""

    validation: Validation
    coefficients: Coefficients
    report_path: Path
    timeline_path: Path
    trace_path: Path


def demo_scenario() -> Scenario:
    """Six requests over three models, five ways of running them."""
    requests = tuple(
        RequestSection(model=MODELS[model], prompt_tokens=prompt, output_tokens=output) for model, prompt, output in _REQUESTS
    )
    return Scenario(strategies=_STRATEGIES, requests=requests)


def run_demo(
    output: Path, measured_on: str, reuse_calibration: bool = False, progress: Progress | None = None, keep: Keep | None = None
) -> DemoResult:
    """Run the demo and write its report.

    Args:
        output: directory for the report; created if needed.
        measured_on: today's date (ISO), for the record.
        reuse_calibration: use stored coefficients of this machine when there are any.
        progress: told the phase, what happens, and the fraction of the phase done.
        keep: given each real run as soon as it is done.

    Raises:
        EngineError: a server could not be started.
        StorageError: a file could not be written.
    """
    report = progress or (lambda phase, label, fraction: None)
    make_directory(output)
    scenario = demo_scenario()
    for number, spec in enumerate(scenario.specs().values()):
        report("writing models", spec.name, number / len(MODELS))
        materialize(spec)
    report("writing models", "done", 1.0)
    coefficients = _calibrated(output, measured_on, reuse_calibration, report)
    validation = validate(
        scenario,
        output / "logs",
        limit_s=_LIMIT_S,
        progress=lambda label, fraction: report("running the real thing", label, fraction),
        coefficients=coefficients,
        keep=keep,
    )
    report("running the real thing", "done", 1.0)
    return _write(validation, coefficients, output)


def _calibrated(output: Path, measured_on: str, reuse: bool, report: Callable[[str, str, float], None]) -> Coefficients:
    profile = find_profile()
    if reuse:
        try:
            return own_coefficients(profile)
        except NotCalibratedError:
            pass
    calibration = Calibration(profile, measured_on, replace(Protocol.named("quick", _TYPES), limit_s=_CALIBRATION_S))
    _, rows = calibration.run(
        lambda label, fraction: report("calibrating this machine", label, fraction), output / "measurements.jsonl"
    )
    coefficients = fit(calibration.header, rows, calibration.specs)
    if not coefficients_path(coefficients.machine, coefficients.engine).exists():
        save_coefficients(coefficients)  # never in the place of a calibration that measured more
    return coefficients


def _write(validation: Validation, coefficients: Coefficients, output: Path) -> DemoResult:
    document = {**validation.to_dict(), "coefficients": coefficients.model_dump(mode="json")}
    report_path = save(json_text(document).encode(), output / "report.json")
    timeline_path = draw_comparison(validation.comparisons, output / "timeline.png")
    runs = [
        (f"{label} {comparison.strategy}", records)
        for comparison in validation.comparisons
        for label, records in (("predicted", comparison.prediction.records), ("measured", comparison.measured_records))
    ]
    trace_path = write_trace(runs, output / "trace.json")
    return DemoResult(validation, coefficients, report_path, timeline_path, trace_path)
