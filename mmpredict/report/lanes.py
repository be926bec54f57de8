"""The drawing behind ``timeline``: blocks of runs, laid out in inches so that nothing overlaps however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmpredict.report.memory_strip import STRIP_IN, draw_memory, memory_legend, strip_top
from mmpredict.report.rows import Lane, end_s, memory_steps
from mmpredict.report.style import DPI, FILLS, INK, OTHER_FILL, QUIET_INK, VERMILION, ink_on, new_figure, shorten
from mmpredict.results.columns import ActivityRow
from mmpredict.results.prediction import INTERVAL_LEVEL, Interval
from mmpredict.results.records import Records

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_END_DASHES = (0, (3, 2))
_WAIT_COLOR = VERMILION

# Lengths in inches; an average letter at the sizes used is _LETTER wide beside a lane and _BAR_LETTER wide in a bar.
_WIDTH = 11.0
_RIGHT = 1.05
_ROW, _PAD, _LANE_MIN, _LANE_MAX = 0.17, 0.1, 0.28, 1.2
_CAPTION, _HEADING, _TITLE, _LEGEND = 0.22, 0.26, 0.32, 0.32
_GAP, _RUN_GAP, _AXIS = 0.07, 0.14, 0.5
_LETTER, _BAR_LETTER, _SLOT_IN = 0.072, 0.058, 0.36
_WAIT_IN = 0.035
_LEAST_LABELLED_ROW = 0.11
_TIME_UNITS = ((36_000.0, 3600.0, "h"), (600.0, 60.0, "min"), (1.0, 1.0, "s"), (0.0, 1e-3, "ms"))


@dataclass(frozen=True, slots=True)
class Run:
    """One run: ``label`` stands bold above its lanes, ``note`` beside the label."""

    label: str
    note: str
    records: Records
    lanes: list[Lane]

    def lanes_in(self) -> float:
        """Height of the lanes [inches]."""
        return sum(_lane_in(lane) for lane in self.lanes) or _LANE_MIN

    def height_in(self) -> float:
        """Height of everything [inches]."""
        return _CAPTION + self.lanes_in() + (_GAP + STRIP_IN if memory_steps(self.records) else 0.0)


@dataclass(frozen=True, slots=True)
class Block:
    """Runs that share one time axis; ``expected_end`` is when they were predicted to end [s]."""

    heading: str
    runs: list[Run]
    expected_end: Interval | None = None

    def height_in(self) -> float:
        """Height of everything [inches]."""
        return (_HEADING if self.heading else 0.0) + sum(run.height_in() + _RUN_GAP for run in self.runs) + _AXIS

    def last_s(self) -> float:
        """End of the time axis [s]."""
        return max([end_s(run.records) for run in self.runs] + ([self.expected_end.high] if self.expected_end else []))


def draw_blocks(blocks: Sequence[Block], title: str) -> Figure:
    """Draw blocks one above the other; ``title`` stands above everything."""
    top = height = (_TITLE if title else 0.0) + _LEGEND + sum(block.height_in() for block in blocks)
    figure = new_figure(_WIDTH, height)
    lanes = [lane for block in blocks for run in block.runs for lane in run.lanes]
    left = 0.35 + _LETTER * max([*(len(shorten(lane.instance)) for lane in lanes), len("memory")])
    left += _SLOT_IN if any(_names_slots(lane) for lane in lanes) else 0.0
    if title:
        _write(figure, 0.12, top - 0.2, title, size=12, weight="bold")
        top -= _TITLE
    _draw_legend(figure, blocks, top - 0.12)
    top -= _LEGEND
    for block in blocks:
        _draw_block(figure, block, left, top)
        top -= block.height_in()
    return figure


def _draw_block(figure: Figure, block: Block, left: float, top: float) -> None:
    if block.heading:
        _write(figure, 0.12, top - 0.14, block.heading, size=10.5, weight="bold")
        top -= _HEADING
    last_s = block.last_s()
    unit_s, unit = next((size, name) for least, size, name in _TIME_UNITS if last_s >= least)
    strip_bytes = strip_top([run.records for run in block.runs])
    axes: Axes | None = None
    for run in block.runs:
        label = _write(figure, left, top - 0.12, run.label, weight="bold")
        label_in = label.get_window_extent().width / DPI
        _write(figure, left + label_in + 0.1, top - 0.12, run.note, color=QUIET_INK)
        top -= _CAPTION
        axes = _add_axes(figure, left, top, run.lanes_in(), last_s, unit_s)
        _draw_lanes(axes, run, (_WIDTH - left - _RIGHT) / axes.get_xlim()[1])
        _draw_end(axes, block.expected_end)
        top -= run.lanes_in()
        if memory_steps(run.records):
            axes = _add_axes(figure, left, top - _GAP, STRIP_IN, last_s, unit_s)
            draw_memory(axes, run.records, strip_bytes)
            _draw_end(axes, block.expected_end)
            top -= _GAP + STRIP_IN
        top -= _RUN_GAP
    if axes is not None:
        axes.tick_params(axis="x", labelbottom=True, length=2.5)
        axes.set_xlabel(f"time [{unit}]", color="#444444", labelpad=1.0)


def _add_axes(figure: Figure, left: float, top: float, height: float, last_s: float, unit_s: float) -> Axes:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    width_in, height_in = figure.get_size_inches()
    box = (left / width_in, (top - height) / height_in, (width_in - left - _RIGHT) / width_in, height / height_in)
    axes = figure.add_axes(box, xlim=(0.0, 1.01 * last_s or 1.0))
    if unit_s != 1.0:
        ticks = MaxNLocator(9, steps=[1, 2, 5, 10]).tick_values(0.0, axes.get_xlim()[1] / unit_s)
        axes.set_xticks([tick * unit_s for tick in ticks if tick * unit_s <= axes.get_xlim()[1]])
        axes.xaxis.set_major_formatter(FuncFormatter(lambda time_s, _: f"{time_s / unit_s:g}"))
    axes.grid(axis="x")
    axes.tick_params(axis="both", length=0, labelbottom=False)
    return axes


def _draw_lanes(axes: Axes, run: Run, inches_per_s: float) -> None:
    axes.set_ylim(run.lanes_in(), 0.0)
    labelled = _longest_of_each_request(run.lanes)
    top = 0.0
    for number, lane in enumerate(run.lanes):
        height = _lane_in(lane)
        if number:
            axes.axhline(top, color=axes.spines["left"].get_edgecolor(), linewidth=0.4, zorder=0)
        _draw_lane(axes, lane, top + _PAD / 2, inches_per_s, labelled)
        # The name beside its lane; beside its rows the slots, which is why these are text and the names are not tick labels.
        edge = -4.0 / 72
        for row, name in enumerate(lane.names if _names_slots(lane) else ()):
            _write_beside(axes, top + _PAD / 2 + (row + 0.44) * _row_in(lane), name, edge, size=6.0, color=QUIET_INK)
        name_edge = edge - (_SLOT_IN if any(_names_slots(one) for one in run.lanes) else 0.0)
        _write_beside(axes, top + height / 2, shorten(lane.instance), name_edge, color=INK)
        top += height
    axes.set_yticks([])


def _draw_lane(axes: Axes, lane: Lane, top: float, inches_per_s: float, labelled: dict[str, ActivityRow]) -> None:
    row_in = _row_in(lane)
    bars_in = (lane.depth - 0.12) * row_in
    _add_bars(axes, "idle", [(begin, end, top, top + bars_in) for begin, end in lane.resident], inches_per_s, zorder=0.6)
    by_kind: dict[str, list[tuple[float, float, float, float]]] = {}
    for bar, row in zip(lane.activities, lane.rows, strict=True):
        # What is done for no request (loads, unloads) concerns all slots.
        y, bottom = (top + row * row_in, top + (row + 0.88) * row_in) if bar.request else (top, top + bars_in)
        length_in = (bar.end_s - bar.start_s) * inches_per_s
        by_kind.setdefault(bar.kind, []).append((bar.start_s, bar.end_s, y, bottom))
        fits = len(bar.request) * _BAR_LETTER + 0.06 < length_in and row_in > _LEAST_LABELLED_ROW
        if labelled.get(bar.request) is bar and fits:
            ink = ink_on(FILLS.get(bar.kind, OTHER_FILL).color)
            axes.text((bar.start_s + bar.end_s) / 2, (y + bottom) / 2, bar.request, color=ink, size=6.5, ha="center", va="center")
    for kind, boxes in by_kind.items():
        _add_bars(axes, kind, boxes, inches_per_s, zorder=1.0)
    rail = top + bars_in + 0.012
    for begin, end in lane.waits:
        axes.fill_between([begin, end], rail, rail + _WAIT_IN, color=_WAIT_COLOR, linewidth=0, zorder=1.1)


def _add_bars(
    axes: Axes, kind: str, boxes: Sequence[tuple[float, float, float, float]], inches_per_s: float, zorder: float
) -> None:
    """Bars of one kind: (begin [s], end [s], upper and lower edge [inches])."""
    from matplotlib.collections import PolyCollection

    fill = FILLS.get(kind, OTHER_FILL)
    corners = [[(begin, top), (end, top), (end, bottom), (begin, bottom)] for begin, end, top, bottom in boxes]
    # A white edge around a bar of a few pixels would leave nothing of the bar.
    edges = ["white" if min((end - begin) * inches_per_s, bottom - top) > 0.06 else fill.color for begin, end, top, bottom in boxes]
    axes.add_collection(PolyCollection(corners, facecolors=fill.color, edgecolors=edges, linewidths=0.5, zorder=zorder), False)
    if fill.hatch:
        pattern = PolyCollection(corners, facecolors="none", edgecolors=fill.ink, linewidths=0.0, hatch=fill.hatch, zorder=zorder)
        axes.add_collection(pattern, False)


def _draw_end(axes: Axes, expected_end: Interval | None) -> None:
    if expected_end:
        axes.axvspan(expected_end.low, expected_end.high, color=VERMILION, alpha=0.12, linewidth=0, zorder=0.5)
        axes.axvline(expected_end.value, color=VERMILION, linewidth=0.8, linestyle=_END_DASHES, zorder=1.5)


def _draw_legend(figure: Figure, blocks: Sequence[Block], y_in: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    runs = [run for block in blocks for run in block.runs]
    lanes = [lane for run in runs for lane in run.lanes]
    kinds = {activity.kind for lane in lanes for activity in lane.activities} | {"idle" for lane in lanes if lane.resident}
    found: list[Artist] = []
    for kind, fill in FILLS.items():
        if kind in kinds:
            label = "loaded, idle" if kind == "idle" else kind
            found.append(Patch(facecolor=fill.color, edgecolor=fill.ink or fill.color, hatch=fill.hatch, linewidth=0, label=label))
    if others := sorted(kinds - FILLS.keys()):
        fill = OTHER_FILL
        found.append(Patch(facecolor=fill.color, edgecolor=fill.ink, hatch=fill.hatch, linewidth=0, label=", ".join(others)))
    if any(lane.waits for lane in lanes):
        found.append(Line2D([], [], color=_WAIT_COLOR, linewidth=2.2, label="a request waits"))
    found += memory_legend([run.records for run in runs])
    if any(block.expected_end for block in blocks):
        found.append(Line2D([], [], color=VERMILION, linewidth=0.8, linestyle=_END_DASHES, label="predicted end"))
        found.append(Patch(color=VERMILION, alpha=0.12, linewidth=0, label=f"its {INTERVAL_LEVEL * 100:.0f} % interval"))
    if found:
        anchor = (0.08 / _WIDTH, y_in / figure.get_size_inches()[1])
        options: dict[str, Any] = {
            "ncols": len(found),
            "handlelength": 1.6,
            "handleheight": 0.9,
            "columnspacing": 1.4,
            "handletextpad": 0.5,
        }
        figure.legend(handles=found, loc="center left", bbox_to_anchor=anchor, **options)


def _write(figure: Figure, x_in: float, y_in: float, text: str, **options: Any) -> Any:
    width, height = figure.get_size_inches()
    return figure.text(x_in / width, y_in / height, text, va="center", **options)


def _write_beside(axes: Axes, y: float, text: str, edge_in: float, **options: Any) -> None:
    """Right-aligned text so far from the left edge of the axes [inches], at a height in its data."""
    axes.annotate(text, (0.0, y), (edge_in * 72, 0), ("axes fraction", "data"), "offset points", ha="right", va="center", **options)


def _longest_of_each_request(lanes: Sequence[Lane]) -> dict[str, ActivityRow]:
    bars = [bar for lane in lanes for bar in lane.activities if bar.request]
    return {bar.request: bar for bar in sorted(bars, key=lambda bar: bar.end_s - bar.start_s)}


def _names_slots(lane: Lane) -> bool:
    return lane.depth > 1 and _row_in(lane) > _LEAST_LABELLED_ROW


def _lane_in(lane: Lane) -> float:
    return min(max(_LANE_MIN, lane.depth * _ROW + _PAD), _LANE_MAX)


def _row_in(lane: Lane) -> float:
    return (_lane_in(lane) - _PAD) / lane.depth
