"""The table of who waited for what, from records alone."""

from __future__ import annotations

from rich.console import Console

from mmpredict.report.rows import finished
from mmpredict.report.waits import waits, waits_table
from mmpredict.results.columns import ActivityRow, RequestRow
from mmpredict.results.records import Records

NAN = float("nan")
RUN = Records(
    "simulated",
    [
        RequestRow("r1", "a", "a", 0.0, 10, 10, dispatched_s=2.0, finish_s=8.0),
        RequestRow("r2", "b", "b", 3.0, 10, 10, dispatched_s=10.5, finish_s=11.0),
        RequestRow("r3", "b", "b", 11.0, 10, 10, dispatched_s=11.0, finish_s=12.0),
        RequestRow("r4", "c", "c", 12.0, 10, 10, status="queue full"),
    ],
    [
        ActivityRow("a", "load", 0.0, 2.0, cause="r1"),
        ActivityRow("a", "queue", 0.0, 2.0, "r1", cause="load of a"),
        ActivityRow("a", "prefill", 2.0, 3.0, "r1"),
        ActivityRow("b", "queue", 8.5, 10.5, "r2", cause="load of b"),
        ActivityRow("b", "queue", 3.0, 8.0, "r2", cause="a in use"),
        ActivityRow("b", "queue", 8.0, 8.5, "r2", cause="unload of a"),
        ActivityRow("a", "unload", 8.0, 8.5, cause="room for r2"),
        ActivityRow("b", "load", 8.5, 10.5, cause="r2"),
        ActivityRow("b", "unload", 20.0, 20.0, cause="keep-alive"),
    ],
)


def test_waits_are_in_order_with_their_causes() -> None:
    first, second, refused = waits(RUN)
    assert (first.request.request, first.causes, first.evicted) == ("r1", (("load of a", 2.0),), ())
    assert second.causes == (("a in use", 5.0), ("unload of a", 0.5), ("load of b", 2.0))
    assert (second.wait_s, second.evicted) == (7.5, ("a",))
    assert (refused.request.status, refused.causes) == ("queue full", ())


def test_the_table_says_it_in_words() -> None:
    console = Console(width=140, record=True, file=None, color_system=None)
    with console.capture() as captured:
        console.print(waits_table(RUN))
    text = captured.get()
    assert "a in use (5.00 s), unload of a (500 ms), load of b (2.00 s)" in text
    assert "queue full" in text
    assert "2 of 4 requests waited, 1 were refused; 2 loads, 1 evictions" in text
    assert "r3" not in text


def test_waiting_is_not_drawn_as_work() -> None:
    assert {row.kind for row in finished(RUN)} == {"load", "prefill", "unload"}
