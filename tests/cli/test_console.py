"""Names from a user's files are shown as they are."""

from __future__ import annotations

import pytest
from rich.table import Table

from mmpredict.cli.console import OUTPUT, REMARKS


@pytest.mark.parametrize("console", [OUTPUT, REMARKS], ids=["output", "remarks"])
def test_brackets_in_names_are_no_markup(console: object) -> None:
    table = Table("request")
    for name in ("[bold]a", "b[/x]"):
        table.add_row(name)
    with console.capture() as shown:  # type: ignore[attr-defined]
        console.print(table)  # type: ignore[attr-defined]
    assert "[bold]a" in shown.get() and "b[/x]" in shown.get()
