"""A trace says what the records say, in the form that trace viewers read."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.errors import StorageError
from mmpredict.report.perfetto import perfetto_trace, write_trace
from mmpredict.results.columns import ActivityRow, StateRow
from mmpredict.results.records import Records

TIMES = st.floats(0, 1000, allow_nan=False)
ACTIVITIES = st.builds(
    lambda instance, kind, start_s, length_s, request: ActivityRow(instance, kind, start_s, start_s + length_s, request),
    st.sampled_from(["one", "two"]),
    st.sampled_from(["load", "prefill", "decode", "unload"]),
    TIMES,
    TIMES,
    st.sampled_from(["", "a", "b"]),
)


def run() -> Records:
    return Records(
        "measured",
        activities=[
            ActivityRow("qwen", "load", 0.0, 0.25),
            ActivityRow("qwen", "prefill", 0.25, 0.5, "a", 1.5),
            ActivityRow("qwen", "decode", 0.3, 2.0, "b"),
            ActivityRow("llama", "load", 0.0, math.nan),
        ],
        states=[
            StateRow(0.0, "memory", 1024.0, 4096.0),
            StateRow(0.5, "cores", 1.5, 2.0),
            StateRow(1.0, "memory", math.nan, 4096.0),
        ],
    )


def events(trace: dict[str, Any], phase: str) -> list[dict[str, Any]]:
    return [event for event in trace["traceEvents"] if event["ph"] == phase]


def process_names(trace: dict[str, Any]) -> dict[int, str]:
    return {event["pid"]: event["args"]["name"] for event in events(trace, "M") if event["name"] == "process_name"}


def test_complete_events_reproduce_the_activities() -> None:
    trace = perfetto_trace([("predicted · parallel", run())])
    found = {event["name"]: event for event in events(trace, "X")}
    assert {name: (event["ts"], event["dur"]) for name, event in found.items()} == {
        "load": (0, 250_000),
        "prefill a": (250_000, 250_000),
        "decode b": (300_000, 1_700_000),
    }
    assert found["prefill a"]["args"] == {"request": "a", "slowdown": 1.5}
    assert found["decode b"]["args"] == {"request": "b"}, "a slowdown that is not known is left out"
    assert found["load"]["args"] == {}
    assert found["prefill a"]["tid"] == found["load"]["tid"] != found["decode b"]["tid"]
    assert all(type(event[key]) is int for event in found.values() for key in ("ts", "dur", "pid", "tid"))


def test_every_run_and_instance_is_a_process_of_its_own() -> None:
    trace = perfetto_trace([("predicted · parallel", run()), ("measured · parallel", run())])
    names = process_names(trace)
    assert sorted(names.values()) == [
        "measured · parallel · machine",
        "measured · parallel · qwen",
        "predicted · parallel · machine",
        "predicted · parallel · qwen",
    ]
    assert {names[event["pid"]] for event in events(trace, "X")} == {"predicted · parallel · qwen", "measured · parallel · qwen"}


def test_every_thread_is_named() -> None:
    trace = perfetto_trace([("run", run())])
    named = {(event["pid"], event["tid"]) for event in events(trace, "M") if event["name"] == "thread_name"}
    assert named == {(event["pid"], event["tid"]) for event in events(trace, "X")}


def test_counters_reproduce_the_known_states() -> None:
    trace = perfetto_trace([("run", run())])
    found = [(event["name"], event["ts"], event["args"]) for event in events(trace, "C")]
    assert found == [("memory", 0, {"bytes": 1024.0}), ("cores", 500_000, {"cores": 1.5})]
    assert {process_names(trace)[event["pid"]] for event in events(trace, "C")} == {"run · machine"}


@given(st.lists(ACTIVITIES, max_size=30))
def test_events_of_a_thread_never_overlap_and_none_is_lost(activities: list[ActivityRow]) -> None:
    trace = perfetto_trace([("run", Records("simulated", activities=activities))])
    found = events(trace, "X")
    names = process_names(trace)
    told = sorted((names[e["pid"]], e["cat"], e["ts"], e["ts"] + e["dur"]) for e in found)
    assert told == sorted((f"run · {a.instance}", a.kind, round(a.start_s * 1e6), round(a.end_s * 1e6)) for a in activities)
    threads: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for event in found:
        threads.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["ts"] + event["dur"]))
    for spans in threads.values():
        spans.sort()
        assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))


def test_the_file_is_json_with_sorted_keys_and_the_same_each_time(tmp_path: Path) -> None:
    first = write_trace([("one", run()), ("two", run())], tmp_path / "a.json").read_bytes()
    second = write_trace([("one", run()), ("two", run())], tmp_path / "b.json").read_bytes()
    assert first == second
    assert json.loads(first, parse_constant=pytest.fail) == perfetto_trace([("one", run()), ("two", run())])
    objects: list[list[str]] = []
    json.loads(first, object_pairs_hook=lambda pairs: objects.append([key for key, _ in pairs]))
    assert len(objects) > 10 and all(keys == sorted(keys) for keys in objects)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]


def test_writing_replaces_an_older_trace(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("x" * 100_000)
    write_trace([], path)
    assert json.loads(path.read_bytes()) == {"displayTimeUnit": "ms", "traceEvents": []}


def test_an_unwritable_place_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "missing" / "a.json", tmp_path / "file" / "a.json"):
        with pytest.raises(StorageError, match="cannot write"):
            write_trace([("run", run())], path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
