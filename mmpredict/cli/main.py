"""The command ``mmpredict``: its verbs, and how errors become one line and an exit code."""

from __future__ import annotations

import signal
import sys
from types import FrameType

import click
import typer

from mmpredict.cli import calibrate, demo, doctor, hardware, models, scenario
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
app.command("predict")(scenario.predict)
app.command("execute")(scenario.execute)
app.command("validate")(scenario.validate)
app.add_typer(calibrate.app, name="calibrate")
app.add_typer(hardware.app, name="hardware")
app.add_typer(models.app, name="models")
app.command("doctor")(doctor.doctor)


def run() -> None:
    """Entry point: 0 ok · 1 error · 2 usage · 3 does not fit · 4 out of tolerance · 130 interrupted."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = app(standalone_mode=False)
    except MmpredictError as error:
        remark(f"mmpredict: {error}")
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        sys.exit(_interrupted())
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(_interrupted())
    except BrokenPipeError:
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _interrupted() -> int:
    from mmpredict.live.embedded import stop_all

    stop_all()
    remark("mmpredict: interrupted; every server is stopped, raw measurements made so far are on disk")
    return INTERRUPTED
