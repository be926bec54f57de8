"""What stands behind a prediction, in words and numbers that are known."""

from __future__ import annotations

import math

from rich.console import Console

from mmpredict.report.details import details_table, usage_lines
from mmpredict.results.columns import ActivityRow, RequestRow, StateRow
from mmpredict.results.prediction import Prediction
from mmpredict.results.records import Records

RECORDS = Records(
    "simulated",
    [
        RequestRow("a", "m", "i", 0.0, 8, 5, 0.0, 1.0, 1.5, 2.0, 4.0),
        RequestRow("b", "m", "i", 0.0, 8, 1, 0.0, 1.0, 3.5, 4.0, 4.0),
    ],
    [ActivityRow("i", "decode", 2.0, 4.0, "a", 2.0), ActivityRow("i", "load", 0.0, 1.0, slowdown=1.0)],
    [StateRow(0.0, "memory", 1e9, 4e9), StateRow(2.0, "memory", 3e9, 4e9)],
)
PREDICTION = Prediction("parallel", RECORDS, {}, draws=1)


def test_a_line_per_time() -> None:
    console = Console(width=110)
    with console.capture() as capture:
        console.print(details_table([PREDICTION]))
    lines = {line.split("  ")[0].removeprefix("parallel").strip(): line for line in map(str.strip, capture.get().splitlines())}
    text = capture.get()
    assert "parallel" in text and "between tokens" in lines
    assert "500 ms" in lines["between tokens"], "of the one answer of several tokens: 2 s for 4 steps"
    assert "3.00 s" in lines["TTFT"] and "4.00 s" in lines["e2e"]


def test_company_and_use_are_told_where_they_are_known() -> None:
    company, memory = usage_lines(PREDICTION)
    assert company == "parallel: company made decode take 2.00 × its time alone"
    assert memory.startswith("parallel: memory 1.86 GiB in the mean (50.0 %), 2.79 GiB at most")
    RECORDS.activities[0].slowdown = math.nan
    assert len(usage_lines(PREDICTION)) == 1
