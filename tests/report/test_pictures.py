"""Pictures say what the results say, are the same each time, and refuse what they cannot draw."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from outcomes import outcome, prediction, run, texts

from mmpredict.errors import InputError
from mmpredict.report.front import Axis, Candidate, front_picture, pareto_front
from mmpredict.report.load_curve import Curve, Point, curve_picture
from mmpredict.report.memory_picture import memory_picture
from mmpredict.report.picture import Picture
from mmpredict.report.scatter import Pair, scatter_picture, time_pairs
from mmpredict.report.strategies import outcome_strategies, strategy_picture
from mmpredict.report.timeline import outcome_timeline, timeline_picture
from mmpredict.results.columns import StateRow
from mmpredict.results.estimate import NOTHING, Estimate, InstanceEstimate, Parts, PoolEstimate, Span
from mmpredict.results.metrics import METRICS
from mmpredict.results.prediction import Interval, Prediction
from mmpredict.units import GIB

UNKNOWN = Interval(math.nan, math.nan, math.nan)


def curve(name: str = "parallel", factor: float = 1.0, knee: float | None = 0.5) -> Curve:
    def point(rate: float) -> Point:
        ttft_s = factor * 0.1 / (1.01 - rate)
        metrics = {
            "ttft_p95_s": Interval(ttft_s, 0.8 * ttft_s, 1.3 * ttft_s),
            "itl_p50_s": Interval(0.02 + rate / 100, math.nan, math.nan),
        }
        return Point(rate, metrics, overloaded=rate > 0.8)

    return Curve(name, tuple(point(rate) for rate in (0.9, 0.1, 0.5)), knee)


def candidates() -> list[Candidate]:
    return [Candidate("a", 1.0, 9.0), Candidate("b", 2.0, 4.0), Candidate("beaten", 3.0, 5.0), Candidate("c", 4.0, 1.0)]


def room(size_bytes: float) -> Estimate:
    """Two instances of half the size each, in a memory of 20 GB."""
    parts, half = Parts(weights=size_bytes / 2), Span(size_bytes / 2, 0.45 * size_bytes, 0.6 * size_bytes)
    layers = (0, 0, None, 0)
    instances = tuple(
        InstanceEstimate(
            name, name, 1, 1, 4096, 4096, 1, True, 512, "f16", "f16", True, *layers, parts, Parts(), 0.0, half, NOTHING, ""
        )
        for name in ("one", "two")
    )
    pool = PoolEstimate("RAM", half + half, 0.0, 0.0, Span.exact(20e9), 24e9, "a test")
    return Estimate("bench", "llama-server", instances, (pool,))


PICTURES: dict[str, Callable[[], Picture]] = {
    "strategies": lambda: strategy_picture(outcome().predictions, {}, "quick"),
    "strategies measured": lambda: outcome_strategies(outcome(1.1)),
    "timeline": lambda: outcome_timeline(outcome()),
    "timelines measured": lambda: outcome_timeline(outcome(1.1)),
    "scatter": lambda: scatter_picture(time_pairs(outcome(1.4).comparisons)),
    "load curve": lambda: curve_picture([curve()], "requests/s", "Load curve"),
    "load curves": lambda: curve_picture([curve(), curve("sequential", 3.0)], "requests/s", "Load curves"),
    "room": lambda: memory_picture([("small", room(4e9)), ("large", room(40e9))]),
    "front": lambda: front_picture(candidates(), Axis("makespan [s]"), Axis("memory [GiB]"), "b"),
}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG\r\n\x1a\n"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_pictures_are_whole_and_the_same_each_time(name: str, suffix: str, magic: bytes) -> None:
    first, second = (PICTURES[name]().render(suffix) for _ in range(2))
    assert first == second
    assert first.startswith(magic)


@pytest.mark.parametrize("name", PICTURES)
def test_no_text_is_cut_off(name: str) -> None:
    """Every text lies within the figure."""
    from matplotlib.text import Text

    from mmpredict.report.style import house_style

    with house_style():
        figure = PICTURES[name]().draw()
        figure.canvas.draw()
        renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
        width, height = figure.get_size_inches() * figure.dpi
        beyond = set()  # labels of ticks that matplotlib keeps but does not draw
        for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
            low, high = sorted(axis.get_view_interval())
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            beyond |= {tick.label1 for tick in ticks if not low <= tick.get_loc() <= high}
        shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text() and text not in beyond]
        assert len(shown) > 5
        for text in shown:
            box = text.get_window_extent(renderer)
            inside = box.x0 >= -1 and box.x1 <= width + 1 and box.y0 >= -1 and box.y1 <= height + 1
            assert inside, text.get_text()


def test_a_picture_knows_its_formats(tmp_path: Path) -> None:
    picture = PICTURES["front"]()
    assert picture.save(str(tmp_path / "a.svg")).read_bytes() == picture.render("svg")
    assert picture._repr_png_() == picture.render("png")
    with pytest.raises(InputError, match=r"\.png, \.svg, \.pdf"):
        picture.save(tmp_path / "a.jpg")


def test_strategies_tell_predicted_and_measured() -> None:
    found = texts(PICTURES["strategies measured"]())
    assert "▸ quick" in found and "slow" in found
    assert found.count("5.00 s, ◆ 5.50 s") == 1, "makespan of the quick one"
    assert "2.00 GiB, ◆ 2.00 GiB" in found
    assert {"predicted", "its 80 % interval", "measured", "recommended"} <= set(found)
    assert "measured" not in texts(PICTURES["strategies"]())
    often = {"quick": tuple(run(factor, "measured") for factor in (1.0, 1.5, 1.3, 1.2))}
    found = texts(outcome_strategies(replace(outcome(), measured=often)))
    assert "5.00 s, ◆ 6.25 s" in found, "the median of all runs"
    unfinished = Prediction("stuck", run(), dict.fromkeys(METRICS, UNKNOWN), 1)
    assert "does not finish" in texts(strategy_picture([prediction("quick"), unfinished]))
    with pytest.raises(InputError, match="no strategy"):
        strategy_picture([])
    with pytest.raises(InputError, match="makespan_s"):
        strategy_picture([prediction("quick")], metrics=["speed"])


def test_an_interval_that_reaches_far_leaves_the_rest_readable() -> None:
    """The axis ends at a few times the longest bar, not at the far end of one interval."""
    from mmpredict.report.style import house_style

    wide = prediction("wide")
    wide = Prediction("wide", wide.records, {**wide.metrics, "makespan_s": Interval(5.0, 4.0, 5000.0)}, 1)
    with house_style():
        axes = strategy_picture([prediction("quick"), wide], metrics=["makespan_s"]).draw().axes[0]
    assert 15.0 < axes.get_xlim()[1] < 30.0
    assert [line.get_marker() for line in axes.lines].count(">") == 1, "and says that it reaches further"


def test_scatter_counts_what_is_near_and_names_what_is_far() -> None:
    pairs = [
        Pair("TTFT", "near", Interval(1.0, 0.9, 1.2), 1.05),
        Pair("TTFT", "far", Interval(1.0, 0.9, 1.2), 4.0),
        Pair("makespan", "unknown", UNKNOWN, 4.0),
        Pair("makespan", "unmeasured", Interval(1.0, 1.0, 1.0), math.nan),
        Pair("makespan", "nothing", Interval(1.0, 1.0, 1.0), 0.0),
        Pair("makespan", "unbounded", Interval(2.0, math.nan, math.nan), 2.0),
    ]
    found = texts(scatter_picture(pairs))
    assert "3 values: median error 4.8 %, 2 within ± 10 %, 1 of 2 inside their interval" in found
    assert "far: 1.00 s, came 4.00 s" in found
    assert not any(text.startswith(("near:", "unbounded:")) for text in found)
    with pytest.raises(InputError, match="nothing to compare"):
        scatter_picture(pairs[2:5])


def test_time_pairs_are_those_of_the_comparison() -> None:
    pairs = time_pairs(outcome(1.2).comparisons)
    makespans = {pair.name: (pair.predicted.value, pair.measured) for pair in pairs if pair.group == "makespan"}
    assert makespans == {"quick": (5.0, pytest.approx(6.0)), "slow": (10.0, pytest.approx(12.0))}
    assert {pair.group for pair in pairs} == {"makespan", "TTFT p50", "TTFT p95", "ITL p50", "e2e p50", "e2e p95"}


def test_curves_have_a_panel_per_metric_that_is_known_and_mark_the_knee() -> None:
    found = texts(curve_picture([curve()], "users", "Load"))
    assert {
        "time to first token",
        "p95",
        "time between tokens",
        "users; bands: 80 % interval; hollow: requests pile up",
        "knee: 0.5",
    } <= set(found)
    assert "throughput" not in found
    assert not any(text.startswith("knee") for text in texts(curve_picture([curve(knee=None)], "users", "Load")))
    both = texts(curve_picture([curve(), curve("sequential", 3.0)], "users", "Load"))
    assert {"time to first token, p95", "parallel, knee 0.5", "sequential, knee 0.5"} <= set(both)
    assert "time to first token" in texts(curve_picture([Curve("one", curve().points[:1])], "users", "Load"))
    named = texts(
        curve_picture(
            [Curve("one", (Point(0, curve().points[0].metrics), Point(1, curve().points[1].metrics)))],
            "type",
            "Load",
            words=["q4_0", "q8_0"],
        )
    )
    assert {"q4_0", "q8_0"} <= set(named)
    with pytest.raises(InputError, match="no curve"):
        curve_picture([Curve("one", (Point(1.0, {}),))], "users", "Load")
    with pytest.raises(InputError, match="ttft_p50_s"):
        curve_picture([curve()], "users", "Load", ["speed"])


def test_a_curve_is_drawn_in_order_of_the_quantity_and_leaves_unknown_values_out() -> None:
    from mmpredict.report.style import house_style

    gap = Point(0.7, {"ttft_p95_s": UNKNOWN, "itl_p50_s": Interval(0.025, 0.02, 0.03)})
    with house_style():
        first, second = curve_picture([Curve("one", (*curve().points, gap))], "users", "Load").draw().axes
    assert list(first.lines[0].get_xdata()) == [0.1, 0.5, 0.9]
    assert list(first.lines[1].get_xdata()) == [0.9], "overloaded: hollow"
    assert list(second.lines[0].get_xdata()) == [0.1, 0.5, 0.7, 0.9]
    assert list(second.lines[0].get_ydata()) == pytest.approx([21.0, 25.0, 25.0, 29.0]), "milliseconds"


def test_the_front_is_what_nothing_beats() -> None:
    less, more = Axis("x"), Axis("y", more_is_better=True)
    assert [one.name for one in pareto_front(candidates(), less, less)] == ["a", "b", "c"]
    assert [one.name for one in pareto_front(candidates(), less, more)] == ["a"]
    assert [one.name for one in pareto_front(candidates(), Axis("x", more_is_better=True), less)] == ["c"]
    twins = [Candidate("one", 1.0, 1.0), Candidate("two", 1.0, 1.0), Candidate("as quick, larger", 1.0, 2.0)]
    assert [one.name for one in pareto_front(twins, less, less)] == ["one", "two"]
    assert pareto_front([Candidate("unknown", math.nan, 1.0)], less, less) == []
    found = texts(front_picture(candidates(), Axis("makespan [s]"), Axis("throughput [t/s]", True), "beaten"))
    assert {"beaten", "a", "← better   makespan [s]", "throughput [t/s]   better →", "recommended"} <= set(found)
    with pytest.raises(InputError, match="no front"):
        front_picture([], less, less)


def test_a_timeline_shows_who_waits_and_what_is_idle() -> None:
    found = texts(timeline_picture([("run", run())]))
    assert {"loaded, idle", "a request waits", "memory there is", "peak 2.00 GiB", "of 8.00 GiB"} <= set(found)
    assert "swapped out" not in found
    swapping = run()
    swapping.states.append(StateRow(1.0, "swapped", 0.5 * GIB, 90.0 * GIB))
    found = texts(timeline_picture([("run", swapping)]))
    assert "swapped out" in found and "512 MiB swapped" in found


@pytest.mark.parametrize(
    ("factor", "label"), [(0.1, "time [ms]"), (1.0, "time [s]"), (200.0, "time [min]"), (20_000.0, "time [h]")]
)
def test_time_is_in_a_unit_that_people_use(factor: float, label: str) -> None:
    assert label in texts(timeline_picture([("run", run(factor))]))


def test_what_takes_the_room_is_told_with_its_verdict() -> None:
    from mmpredict.report.style import house_style

    found = texts(PICTURES["room"]())
    assert {"small", "large", "one", "two", "what models may take"} <= set(found)
    assert "3.73 GiB of 18.63 GiB" in found and "37.25 GiB of 18.63 GiB" in found
    assert found.count("fits") == 1 and found.count("does not fit") == 1
    with house_style():
        axes = PICTURES["room"]().draw().axes[0]
    widths = [bar.get_width() * GIB for bar in axes.patches]
    assert widths == pytest.approx([2e9, 2e9, 20e9, 20e9])
    assert [bar.get_x() * GIB for bar in axes.patches] == pytest.approx([0.0, 2e9, 0.0, 20e9])
    with pytest.raises(InputError, match="no estimate"):
        memory_picture([])
