"""``mmpredict calibrate run | pace | import | fit | show``."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmpredict.cli.calibrate_import import import_files
from mmpredict.cli.calibrate_pace import pace
from mmpredict.cli.console import OUTPUT, print_json, progress_bars, remark, warn_if_busy
from mmpredict.cli.engine_options import Binary, Engine
from mmpredict.units import format_percent, format_seconds

if TYPE_CHECKING:  # their imports take longer than most commands
    from mmpredict.cost.coefficients import Coefficients, Kernel

app = typer.Typer(no_args_is_help=True, help="Measure this machine, and fit the cost model to what was measured.")
app.command("import")(import_files)
app.command("pace")(pace)

UNSTEADY_FRAC = 0.05

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]


@app.command("run")
def run(
    servers: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SERVER]...", help="Running servers to measure: http://127.0.0.1:PORT (llama-server), ollama://TAG."
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            "--protocol",
            help="quick: at most ten minutes; full: all types, until repeats agree; contention: adds servers in company only.",
        ),
    ] = "quick",
    types: Annotated[str, typer.Option("--types", help="Weight types to measure, separated by commas.")] = "",
    minutes: Annotated[
        float | None, typer.Option("--minutes", min=0.0, help="Time after which no further round of measurements begins.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a calibration that was interrupted.")] = False,
    add: Annotated[
        bool,
        typer.Option(
            "--add", help="Add rounds to the measurements that there are, instead of replacing them: another hour counts."
        ),
    ] = False,
    engine: Engine = "embedded",
    binary: Binary = "",
    measurements: Annotated[Path | None, typer.Option("--output", help="File for the raw measurements (JSON Lines).")] = None,
    hardware: Annotated[
        str | None, typer.Option("--hardware", help="Machine that this is (mmpredict hardware list), for servers on its GPU.")
    ] = None,
    backend: Annotated[str | None, typer.Option("--backend", help="Programming interface of the servers: vulkan, cuda, …")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Model of the server, whatever it says: NAME@TYPE.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure this machine and fit the cost model: with a build of llama.cpp, or with servers that run already.

    A build takes up to ten minutes and tells all that predictions of several models at once need. Nothing else should
    run meanwhile. The embedded one answers for every engine that has no calibration of its own; give --engine llama-server or
    --engine ollama if that is what will serve. Machines are quicker in one hour than in another: calibrate again later, with
    --add. A running server tells the speed of its model, in a minute or some; models measured before are fitted with it.

    Example: mmpredict calibrate run --protocol quick
    Example: mmpredict calibrate run --engine ollama
    Example: mmpredict calibrate run ollama://qwen2.5:7b http://127.0.0.1:8080 --hardware rtx-4090 --backend cuda
    """
    from dataclasses import replace

    from mmpredict.calibrate.fit import fit
    from mmpredict.calibrate.protocol import Protocol
    from mmpredict.calibrate.repeats import slowing_frac
    from mmpredict.calibrate.run import Calibration
    from mmpredict.calibrate.store import save_coefficients
    from mmpredict.errors import InputError
    from mmpredict.hardware.library import find_profile
    from mmpredict.live.build import build_of_kind
    from mmpredict.live.choice import EMBEDDED

    if servers:
        from mmpredict.cli.calibrate_served import run_served

        if types or minutes is not None or resume or add or protocol != "quick" or engine != EMBEDDED or binary:
            raise InputError(
                "--engine, --binary, --protocol, --types, --minutes, --resume and --add are for builds that are started; "
                "a running server serves what it serves"
            )
        run_served(servers, hardware or "this-machine", model, backend, measurements, as_json)
        return
    if hardware or backend or model:
        raise InputError("--hardware, --backend and --model are for running servers: http://127.0.0.1:PORT or ollama://TAG")
    wanted = tuple(dict.fromkeys(name.strip().lower() for name in types.split(",") if name.strip()))
    chosen = Protocol.named(protocol, wanted)
    if minutes is not None:
        chosen = replace(chosen, limit_s=60.0 * minutes)
    if engine != EMBEDDED and (gpu := find_profile(gpus=True).gpu) is not None:
        raise InputError(
            f"{engine} would use this machine's {gpu.model}, and a calibration is of processors; measure it while it runs: "
            "mmpredict calibrate run http://127.0.0.1:8080 (or ollama://TAG)"
        )
    calibration = Calibration(find_profile(), date.today().isoformat(), chosen, build=build_of_kind(engine, binary))
    warn_if_busy()
    with progress_bars() as bars:
        path, rows = calibration.run(
            lambda label, fraction: bars("calibrating this machine", label, fraction), measurements, resume, add
        )
    coefficients = fit(calibration.header, rows, calibration.specs)
    stored = save_coefficients(coefficients)
    _show(coefficients, as_json)
    if abs(slower := slowing_frac(rows)) > UNSTEADY_FRAC:
        remark(
            f"warning: the last round was {format_percent(abs(slower))} {'slower' if slower > 0 else 'quicker'} than the first: "
            "heat, or other programs; predictions are as uncertain"
        )
    remark(f"raw measurements: {path}; coefficients: {stored}")


@app.command("fit")
def fit_files(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="Benchmark files or imported rows of one machine, raw measurements of this one, or tables of speeds (CSV).",
        ),
    ] = None,
    from_validation: Annotated[
        bool, typer.Option("--from-validation", help="Correct this machine's calibration by the runs of past validations.")
    ] = False,
    since: Annotated[
        str, typer.Option("--since", metavar="DATE", help="First day of these runs; the day of the calibration by default.")
    ] = "",
    hardware: Annotated[
        str | None, typer.Option("--hardware", help="Machine that was measured (mmpredict hardware list); this one by default.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Model of all runs, whatever files say: NAME, NAME@TYPE.")] = None,
    backend: Annotated[str | None, typer.Option("--backend", help="Programming interface where the files do not say it.")] = None,
    output: Annotated[Path | None, typer.Option("--output", help="Directory for the rates of tables and benchmarks.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fit the cost model: to your own benchmarks, raw measurements, tables of speeds of anyone, or runs of past validations.

    The content of the files decides. Benchmarks are of llama-bench and all that calibrate import reads; give those of a machine
    together, as a fit replaces the one before.

    Example: mmpredict calibrate fit bench.json rows.jsonl --hardware rtx-4090
    """
    from mmpredict.cli.calibrate_own import fit_benchmarks, held_by
    from mmpredict.cli.calibrate_published import fit_published
    from mmpredict.errors import InputError

    if from_validation:
        from mmpredict.cli.history import iso_date
        from mmpredict.cli.live_fit import fit_from_validation

        if files or hardware or model or backend or output:
            raise InputError("--from-validation takes runs of this machine from the history, with --since and --json alone")
        fit_from_validation(iso_date(since), as_json)
        return
    if not files or since:
        raise InputError("give files to fit, or --from-validation (with --since DATE) for the runs of past validations")
    kinds = {held_by(path) for path in files}
    if kinds == {"benchmark"}:
        fit_benchmarks(files, hardware or "this-machine", model, backend, output, as_json)
        return
    if len(kinds) > 1 or (kinds == {"measurements"} and len(files) > 1):
        raise InputError("give benchmark files alone, tables of speeds (.csv) alone, or one file of raw measurements")
    if hardware or model or backend:
        raise InputError("--hardware, --model and --backend are for benchmark files; tables and raw measurements say them")
    if kinds == {"table"}:
        fit_published(files, output, as_json)
        return
    if output is not None:
        raise InputError("--output is for tables and benchmarks; coefficients of this machine go where predictions look for them")
    _fit_measurements(files[0], as_json)


def _fit_measurements(path: Path, as_json: bool) -> None:
    from mmpredict.calibrate.fit import fit
    from mmpredict.calibrate.measurement import read_measurements
    from mmpredict.calibrate.store import save_coefficients
    from mmpredict.models.resolve import resolve

    header, rows = read_measurements(path)
    coefficients = fit(header, rows, {name: resolve(name) for name in sorted({row.model for row in rows})})
    stored = save_coefficients(coefficients)
    _show(coefficients, as_json)
    remark(f"coefficients: {stored}")


@app.command("show")
def show(
    hardware: Annotated[str, typer.Option("--hardware", help="Machine (mmpredict hardware list); this one by default.")] = "",
    backend: Annotated[str | None, typer.Option("--backend", help="Programming interface of its GPU.")] = None,
    engine: Annotated[
        str, typer.Option("--engine", help="Kind that serves: embedded, llama-server, ollama, openai; this machine's only.")
    ] = "embedded",
    as_json: AsJson = False,
) -> None:
    """Show the coefficients that this machine's predictions use for an engine, or those of another machine with their errors.

    Example: mmpredict calibrate show --hardware ms-s1-max
    """
    if hardware:
        from mmpredict.cli.calibrate_published import show_rates
        from mmpredict.sizing.find_machine import find_machine
        from mmpredict.sizing.speed import choice_of

        choice = choice_of(find_machine(hardware), hardware, backend)
        show_rates(choice.rates, choice.sentence, as_json)
        return
    from mmpredict.calibrated import own_coefficients
    from mmpredict.errors import UnknownNameError
    from mmpredict.hardware.library import find_profile
    from mmpredict.live.choice import KINDS

    if engine not in KINDS:
        raise UnknownNameError("engine", engine, KINDS)
    _show(own_coefficients(find_profile(), engine), as_json)


def _show(coefficients: Coefficients, as_json: bool) -> None:
    if as_json:
        print_json(coefficients.model_dump(mode="json"))
        return
    from rich.table import Table

    table = Table(
        title=f"{coefficients.machine} · {coefficients.engine} · {coefficients.measured_on}",
        caption="speed of one billion weights: 1 token per step (decode), 128 tokens per step (prefill); 80 % bounds",
    )
    for name in ("threads", "weights", "decode", "prefill"):
        table.add_column(name, justify="left" if name == "weights" else "right")
    for threads, steps in sorted(coefficients.steps.items()):
        for weight_type, kernel in steps.kernels.items():
            table.add_row(str(threads), weight_type, _rate(kernel, 1), _rate(kernel, 128))
    OUTPUT.print(table)
    company = coefficients.contention
    lines = [
        f"{coefficients.measurements} measurements of {len(coefficients.models)} models",
        f"error on a model left out (median): prefill {_error(coefficients, 'prefill')}, decode {_error(coefficients, 'decode')}",
        f"waiting rule GOMP_SPINCOUNT alone: time × {coefficients.yielding_price['prefill']:.2f} prefill, "
        f"× {coefficients.yielding_price['decode']:.2f} decode",
        f"two servers, a core per thread: {format_percent(company.within_efficiency.value)} of their speed alone, less where both "
        f"read much of the {company.memory_bytes_per_s / 1e9:.1f} GB/s that memory gives (crowding {company.crowding:.2g})",
        f"two servers, threads beyond the cores: {format_percent(company.yielding_efficiency.value)} of a fair share yielding, "
        f"{format_percent(company.spinning_efficiency['prefill'].value)} prefill and "
        f"{format_percent(company.spinning_efficiency['decode'].value)} decode spinning",
        f"threads of one server stacked on one core: {format_seconds(company.stacked_layer_s.value)} per layer and step, "
        f"chance {format_percent(company.stacked_probability)}",
    ]
    if coefficients.rests:
        pauses = ", ".join(
            f"{format_seconds(longer_s)} after {format_seconds(pause_s)}" for pause_s, longer_s in coefficients.rests
        )
        lines.append(f"a first token after a pause takes longer by {pauses}")
    if coefficients.correction is not None:
        from mmpredict.cost.correction import correction_sentence

        lines.append(correction_sentence(coefficients.correction))
    if coefficients.pace is not None:
        from mmpredict.cost.pace import pace_sentence

        lines.append(pace_sentence(coefficients.pace))
    for line in lines:
        OUTPUT.print(line, highlight=False)


def _rate(kernel: Kernel, tokens: int) -> str:
    if tokens not in kernel.batch_tokens:
        return "–"
    index = kernel.batch_tokens.index(tokens)
    value, low, high = (seconds[index] for seconds in (kernel.weight_s, kernel.weight_low_s, kernel.weight_high_s))
    return " … ".join(f"{tokens / (seconds * 1e9):.1f}" if seconds else "–" for seconds in (high, value, low)) + " t/s"


def _error(coefficients: Coefficients, phase: str) -> str:
    return format_percent(coefficients.errors.get(f"unseen_model_{phase}_median_absolute", 0.0))
