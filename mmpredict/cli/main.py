"""The command ``mmpredict``: its verbs, and how errors become one line and an exit code."""

from __future__ import annotations

import signal
import sys
from types import FrameType

import typer

from mmpredict.cli import (
    calibrate,
    demo,
    doctor,
    documents,
    estimate,
    fit,
    hardware,
    history,
    models,
    recommend,
    scenario,
    suite,
    sweep,
    timeline,
    validate,
)
from mmpredict.cli.console import remark
from mmpredict.errors import MmpredictError

INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Predict how several local language models run on this machine, and check the prediction on real servers.",
    epilog="Begin with: mmpredict demo",
)
app.command("demo")(demo.demo)
app.command("estimate")(estimate.estimate)
app.command("fit")(fit.fit)
app.command("documents")(documents.documents)
app.command("predict")(scenario.predict)
app.command("recommend")(recommend.recommend)
app.command("sweep")(sweep.sweep)
app.command("execute")(scenario.execute)
app.command("validate")(validate.validate)
app.command("timeline")(timeline.timeline)
app.command("suite")(suite.suite)
app.command("history")(history.show_history)
app.add_typer(calibrate.app, name="calibrate")
app.add_typer(hardware.app, name="hardware")
app.add_typer(models.app, name="models")
app.command("doctor")(doctor.doctor)


def run() -> None:
    """Entry point: 0 ok · 1 error · 2 usage · 3 does not fit · 4 out of tolerance · 130 interrupted."""
    interruption = _Interruption()
    for number in interruption.SIGNALS:
        signal.signal(number, interruption.arrive)
    try:
        app()
    except MmpredictError as error:
        remark(f"mmpredict: {error}")
        sys.exit(error.exit_code)
    except (SystemExit, KeyboardInterrupt):
        if not interruption.arrived:
            raise
        for number in interruption.SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # at its end the interpreter would let a further one kill the process
        remark("mmpredict: interrupted; every server is stopped, raw measurements made so far are on disk")
        sys.exit(INTERRUPTED)


class _Interruption:
    """Remembers that Ctrl-C or a request to end came: the command-line library has exit codes of its own for it."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.arrived = False

    def arrive(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: the first signal interrupts; further ones do not disturb the cleaning up."""
        if not self.arrived:
            self.arrived = True
            raise KeyboardInterrupt
