"""Lanes never show two things in one place; pictures are whole, reproducible files."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.errors import InputError, StorageError
from mmpredict.report.rows import end_s, first_fit, instance_names, lanes
from mmpredict.report.timeline import draw_comparison, draw_timeline
from mmpredict.results.columns import ActivityRow, RequestRow, StateRow
from mmpredict.results.compare import PlanComparison, compare
from mmpredict.results.metrics import summarize
from mmpredict.results.prediction import Prediction, intervals
from mmpredict.results.records import Records
from mmpredict.units import GIB

# Eighths are exact in binary: touching spans really touch.
SPANS = st.lists(
    st.tuples(st.integers(0, 80), st.integers(0, 24)).map(lambda pair: (pair[0] / 8, (pair[0] + pair[1]) / 8)), max_size=40
)
LONG_SPANS = SPANS.map(lambda spans: [(begin, end + 0.125) for begin, end in spans])


def run(factor: float = 1.0, origin: str = "simulated", instances: int = 3) -> Records:
    """Two requests at a time on every instance; lasts ``6.5 × factor`` seconds."""
    records = Records(origin)
    for number in range(instances):
        name = f"model-{number}"
        records.activities.append(ActivityRow(name, "load", 0.0, 0.5 * factor))
        for slot in range(2):
            request, begin = f"{name}/{slot}", (0.5 + 0.5 * slot) * factor
            times = begin, begin + 0.5 * factor, begin + 5.5 * factor
            records.activities.append(ActivityRow(name, "prefill", times[0], times[1], request, 1.5))
            records.activities.append(ActivityRow(name, "decode", times[1], times[2], request))
            records.requests.append(RequestRow(request, name, name, 0.0, 8, 8, first_token_s=times[1], finish_s=times[2]))
        records.states.append(StateRow(0.1 * number, "memory", (number + 1.0) * GIB, 8.0 * GIB))
    return records.sort()


def pair(strategy: str, factor: float) -> PlanComparison:
    records = run()
    return compare(Prediction(strategy, records, intervals([summarize(records)]), draws=1), run(factor, "measured"))


def overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return max(one[0], other[0]) < min(one[1], other[1])


def svg_texts(path: Path) -> str:
    """Matplotlib writes every text as a comment before its outlines."""
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    root = ElementTree.parse(path, parser).getroot()
    return "\n".join(str(node.text).strip() for node in root.iter(ElementTree.Comment))


@given(SPANS)
def test_spans_of_a_row_never_overlap(spans: list[tuple[float, float]]) -> None:
    rows = first_fit(spans)
    assert len(rows) == len(spans)
    for i, one in enumerate(spans):
        assert not any(rows[i] == rows[j] and overlap(one, spans[j]) for j in range(i))


@given(LONG_SPANS, st.booleans())
def test_rows_are_as_few_as_the_most_spans_at_one_moment(spans: list[tuple[float, float]], keyed: bool) -> None:
    rows = first_fit(spans, [str(i % 3) for i in range(len(spans))] if keyed else None)
    moments = [begin + 0.0625 for begin, _ in spans]
    assert len(set(rows)) == max((sum(b < moment < e for b, e in spans) for moment in moments), default=0)
    assert set(rows) == set(range(len(set(rows))))


def test_a_request_stays_in_its_row() -> None:
    spans = [(0.0, 1.0), (0.0, 2.0), (1.0, 2.0), (2.0, 3.0), (2.0, 3.0)]
    assert first_fit(spans, ["a", "b", "a", "b", "a"]) == [0, 1, 0, 1, 0]


def test_lanes_hold_every_finished_activity_once() -> None:
    records = run()
    records.activities.append(ActivityRow("model-0", "load", 1.0, math.nan))
    found = lanes(records)
    assert [lane.instance for lane in found] == ["model-0", "model-1", "model-2"]
    assert [lane.depth for lane in found] == [2, 2, 2]
    assert sorted(id(row) for lane in found for row in lane.activities) == sorted(id(row) for row in records.activities[:-1])


def test_an_instance_that_only_failed_still_has_a_lane() -> None:
    records = Records("measured", [RequestRow("a", "m", "idle", 0.0, 1, 1, status="timeout")])
    assert instance_names(run(), records) == ["model-0", "model-1", "model-2", "idle"]
    assert [(lane.instance, lane.depth, lane.rows) for lane in lanes(records)] == [("idle", 1, ())]


def test_a_run_ends_with_whatever_came_last() -> None:
    assert end_s(Records("")) == 0.0
    assert end_s(run(2.0)) == 13.0
    late = run()
    late.states.append(StateRow(9.0, "memory", 1.0, 2.0))
    assert end_s(late) == 9.0


@pytest.mark.parametrize(
    ("suffix", "magic"), [(".png", b"\x89PNG\r\n\x1a\n"), (".svg", b"<?xml"), (".pdf", b"%PDF"), (".PNG", b"\x89PNG")]
)
def test_pictures_are_whole_and_the_same_each_time(tmp_path: Path, suffix: str, magic: bytes) -> None:
    first = draw_comparison([pair("parallel", 8.0)], tmp_path / f"a{suffix}")
    second = draw_comparison([pair("parallel", 8.0)], tmp_path / f"b{suffix}")
    assert first.read_bytes().startswith(magic)
    assert first.read_bytes() == second.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a{suffix}", f"b{suffix}"]


def test_the_users_matplotlib_settings_change_nothing(tmp_path: Path) -> None:
    import matplotlib

    plain = draw_timeline([("run", run())], tmp_path / "plain.png").read_bytes()
    with matplotlib.rc_context({"font.size": 20.0, "axes.facecolor": "red", "savefig.dpi": 30.0}):
        assert draw_timeline([("run", run())], tmp_path / "styled.png").read_bytes() == plain
        assert matplotlib.rcParams["font.size"] == 20.0


def test_comparison_names_strategies_makespans_and_error(tmp_path: Path) -> None:
    texts = svg_texts(draw_comparison([pair("parallel", 8.0), pair("sequential", 1.0)], tmp_path / "a.svg"))
    lines = texts.splitlines()
    assert lines.count("parallel") == lines.count("sequential") == 1
    assert lines.count("predicted") == lines.count("measured") == 2
    assert "makespan 6.50 s, 80 % interval 6.50 s – 6.50 s" in texts
    assert "makespan 52.00 s, error of the prediction -87.5 %" in texts
    assert "makespan 6.50 s, error of the prediction +0.0 %" in texts
    assert all(lines.count(kind) == 1 for kind in ("load", "prefill", "decode")), "the legend stands once"
    assert "unload" not in lines
    assert lines.count("model-1") == 4
    assert "peak 3.00 GiB" in texts and "of 8.00 GiB" in texts


def test_a_pair_shares_its_time_axis_and_two_pairs_do_not(tmp_path: Path) -> None:
    lines = svg_texts(draw_comparison([pair("parallel", 8.0), pair("sequential", 1.0)], tmp_path / "a.svg")).splitlines()
    assert lines.count("time [s]") == 2
    assert lines.count("40") == 1, "only the long pair reaches 40 s, and only its lowest axis has numbers"
    assert lines.count("4") == 1


def test_a_bar_is_where_its_activity_is(tmp_path: Path) -> None:
    import matplotlib.image

    records = Records("measured", activities=[ActivityRow("m", "decode", 1.0, 2.0), ActivityRow("m", "decode", 4.0, 5.0)])
    pixels = matplotlib.image.imread(draw_timeline([("run", records)], tmp_path / "a.png"))
    blue = (abs(pixels[..., :3] - (0.0, 0x72 / 255, 0xB2 / 255)) < 0.01).all(axis=2)
    rows = blue.any(axis=1).nonzero()[0]
    middle = blue[int(rows[-1]) - 5]  # within the lane, far below the legend's patch
    edges = (middle[1:] != middle[:-1]).nonzero()[0]
    assert len(edges) == 4
    first, gap, second = edges[1:] - edges[:-1]
    assert first == pytest.approx(second, abs=2)
    assert gap == pytest.approx(2 * first, abs=10)  # the white edges take pixels from the bars


def test_odd_records_are_drawn(tmp_path: Path) -> None:
    odd = Records(
        "measured",
        [RequestRow("a", "m", "gone $x_1$", 0.0, 1, 1, status="timeout")],
        [ActivityRow("m", "swap", 1.0, 1.0), ActivityRow("m", "load", 2.0, math.nan)],
        [StateRow(0.0, "memory", math.nan, math.nan), StateRow(1.0, "memory", 5.0, math.nan)],
    )
    texts = svg_texts(draw_timeline([("none", Records("simulated")), ("odd", odd)], tmp_path / "a.svg", "Title"))
    assert "gone $x_1$" in texts and "swap" in texts and "Title" in texts and "peak 5 B" in texts
    assert "makespan –, 1 of 1 requests failed" in texts


@pytest.mark.parametrize("name", ["a.gif", "a"])
def test_an_unknown_suffix_is_refused_with_the_allowed_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"\.png, \.svg, \.pdf"):
        draw_timeline([("run", run())], tmp_path / name)
    with pytest.raises(InputError, match="allowed"):
        draw_comparison([pair("parallel", 1.0)], tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_nothing_to_draw_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run"):
        draw_timeline([], tmp_path / "a.png")
    with pytest.raises(InputError, match="no run"):
        draw_comparison([], tmp_path / "a.png")


def test_an_unwritable_place_is_a_storage_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.png").mkdir()
    for path in (tmp_path / "missing" / "a.png", tmp_path / "file" / "a.png", tmp_path / "folder.png"):
        with pytest.raises(StorageError, match="cannot write"):
            draw_timeline([("run", run())], path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]


def test_importing_the_room_does_not_import_matplotlib() -> None:
    code = "import sys, mmpredict.report.timeline, mmpredict.report.perfetto; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_rows_are_the_slots_where_these_are_known() -> None:
    rows = [RequestRow(name, "m", "server", 0.0, 1, 2, slot=slot) for name, slot in (("a", 3), ("b", 2), ("c", 3))]
    activities = [
        ActivityRow("server", "load", 0.0, 1.0),
        ActivityRow("server", "decode", 1.0, 4.0, "a"),
        ActivityRow("server", "decode", 1.0, 9.0, "b"),
        ActivityRow("server", "decode", 4.0, 6.0, "c"),
    ]
    (lane,) = lanes(Records("simulated", rows, activities))
    assert lane.names == ("slot 2", "slot 3")
    assert [lane.rows[lane.activities.index(one)] for one in activities] == [0, 1, 0, 1]
    for row in rows:
        row.slot = -1
    (lane,) = lanes(Records("measured", rows, activities))
    assert lane.names == ("row 1", "row 2")


def test_a_slot_keeps_its_row_when_another_begins_as_it_goes_on() -> None:
    rows = [RequestRow(name, "m", "server", 0.0, 1, 2, slot=slot) for name, slot in (("a", 1), ("b", 0))]
    activities = [
        ActivityRow("server", "prefill", 0.0, 1.0, "a"),
        ActivityRow("server", "prefill", 1.0, 2.0, "b"),
        ActivityRow("server", "decode", 1.0, 5.0, "a"),
        ActivityRow("server", "decode", 2.0, 4.0, "b"),
    ]
    (lane,) = lanes(Records("simulated", rows, activities))
    assert lane.names == ("slot 0", "slot 1")
    assert [lane.rows[lane.activities.index(one)] for one in activities] == [1, 0, 1, 0]
    activities.append(ActivityRow("server", "decode", 3.0, 6.0, "a"))  # two things in one slot: a row more instead of an overlap
    (lane,) = lanes(Records("measured", rows, activities))
    assert lane.depth == 3
