"""The guide's schedule of a run that is known."""

from __future__ import annotations

from mmpredict.results.columns import ActivityRow, RequestRow
from mmpredict.results.records import Records
from mmpredict.results.schedule import schedule


def request(name: str, model: str, start_s: float, finish_s: float, status: str = "ok") -> RequestRow:
    return RequestRow(name, model, f"server of {model}", 0.0, 8, 4, prefill_start_s=start_s, finish_s=finish_s, status=status)


def test_events_order_and_batches() -> None:
    records = Records(
        "simulated",
        [
            request("r1", "b", 1.0, 3.0),
            request("r2", "a", 2.0, 4.0),
            request("r3", "b", 5.0, 6.0),
            request("r4", "c", 7.0, 8.0, "timeout"),
        ],
        [
            ActivityRow("server of b", "prefill", 1.0, 2.5, "r1"),
            ActivityRow("server of b", "load", 0.0, 1.0),
            ActivityRow("server of a", "queue", 0.0, 2.0, "r2"),
            ActivityRow("server of a", "decode", 2.0, float("nan"), "r2"),
        ],
    )
    found = schedule(records)
    assert found["total_execution_time"] == 2500.0
    assert found["execution_order"] == ["b", "a"]
    assert [(e["model"], e["kind"], e["start_time"], e["end_time"]) for e in found["timeline"]] == [
        ("b", "load", 0.0, 1000.0),
        ("b", "prefill", 1000.0, 2500.0),
    ]
    assert found["batches"] == [
        {"requests": ["r1", "r2"], "start_time": 1000.0, "end_time": 4000.0},
        {"requests": ["r3"], "start_time": 5000.0, "end_time": 6000.0},
    ]


def test_an_empty_run_has_an_empty_schedule() -> None:
    assert schedule(Records("")) == {"total_execution_time": 0.0, "execution_order": [], "timeline": [], "batches": []}
