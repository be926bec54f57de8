"""``mmpredict history``: what past validations found."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from mmpredict.cli.console import OUTPUT, print_json, remark

Period = Literal["run", "day"]


def show_history(
    machine: Annotated[str, typer.Option("--machine", help="Part of the machine's name.")] = "",
    metric: Annotated[str, typer.Option("--metric", help="Part of the metric's name: makespan, ttft, load, bytes, …")] = "",
    since: Annotated[str, typer.Option("--since", metavar="DATE", help="First day (2026-11-20), or date and time, in UTC.")] = "",
    by: Annotated[Period, typer.Option("--by", help="What is put together: each validation, or each day.")] = "run",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document, every figure in it.")] = False,
) -> None:
    """How predictions did over time, and whether the machine is still what was calibrated.

    Every `mmpredict validate` and `mmpredict demo` adds to it. The newest measurements are held against older ones of the same
    scenarios; what differs by more than noise is said on standard error.

    Example: mmpredict history --metric makespan --since 2026-11-20
    """
    from mmpredict.report.history import change_sentences, history_table
    from mmpredict.results.history import changes, past_errors
    from mmpredict.validation.history import History

    history = History()
    checks = history.checks(machine, metric, iso_date(since))
    rows, changed = past_errors(checks, by), changes(checks)
    if as_json:
        document = {"checks": [one.to_dict() for one in checks], "errors": [one.to_dict() for one in rows]}
        print_json({"schema_version": 1, "file": str(history.path), **document, "changes": [one.to_dict() for one in changed]})
    elif rows:
        OUTPUT.print(history_table(rows))
    else:
        remark(f"no validation of that kind is in {history.path}; run: mmpredict validate SCENARIO")
    for sentence in change_sentences(changed):
        remark(sentence)


def iso_date(text: str) -> str:
    """A date, or a date and time, of the option ``--since`` in the form in which times are kept: UTC, unless it names its offset.

    Raises:
        InputError: it is none.
    """
    from mmpredict.errors import InputError

    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise InputError(f"--since is {text!r}; it must be a date as 2026-11-20, or a date and time as 2026-11-20T08:00") from None
    if moment is None:
        return ""
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return moment.date().isoformat() if len(text) <= len("2026-11-20") else moment.isoformat()
