"""The drawing behind ``timeline``: blocks of runs, laid out in inches so that nothing overlaps however many there are."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmpredict.report.rows import Lane, end_s, memory_steps
from mmpredict.results.columns import ActivityRow
from mmpredict.results.prediction import INTERVAL_LEVEL, Interval
from mmpredict.results.records import Records
from mmpredict.units import GIB, format_bytes

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")

_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
_STYLE: dict[str, Any] = {
    "svg.hashsalt": "mmpredict",
    "text.parse_math": False,  # the name of a model may contain a dollar sign
    "font.family": "DejaVu Sans",  # comes with matplotlib, so the picture is the same everywhere
    "font.size": 8.0,
    "axes.edgecolor": "#bbbbbb",
    "axes.linewidth": 0.6,
    "xtick.labelcolor": "#444444",
    "xtick.color": "#bbbbbb",
    "ytick.color": "#bbbbbb",
    "ytick.labelcolor": "#222222",
}
# Okabe and Ito's colours, which people with any colour vision tell apart; the coming and going of models in greys.
_COLORS = {"load": "#a3a3a3", "prefill": "#e69f00", "decode": "#0072b2", "unload": "#4d4d4d"}
_OTHER_COLOR = "#cc79a7"
_MEMORY_COLOR = "#009e73"
_END_COLOR, _END_DASHES = "#d55e00", (0, (3, 2))
_DPI = 150

# Lengths in inches; an average letter at the sizes used is _LETTER wide beside a lane and _BAR_LETTER wide in a bar.
_WIDTH = 11.0
_RIGHT = 1.0
_ROW, _PAD, _LANE_MIN, _LANE_MAX = 0.17, 0.08, 0.26, 1.2
_STRIP = 0.36
_CAPTION, _HEADING, _TITLE, _LEGEND = 0.22, 0.26, 0.32, 0.32
_GAP, _RUN_GAP, _AXIS = 0.07, 0.14, 0.5
_LETTER, _BAR_LETTER = 0.072, 0.058
_NAME_LETTERS = 30


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
        return _CAPTION + self.lanes_in() + (_GAP + _STRIP if memory_steps(self.records) else 0.0)


@dataclass(frozen=True, slots=True)
class Block:
    """Runs that share one time axis; ``expected_end`` is when they were predicted to end [s]."""

    heading: str
    runs: list[Run]
    expected_end: Interval | None = None

    def height_in(self) -> float:
        """Height of everything [inches]."""
        return (_HEADING if self.heading else 0.0) + sum(run.height_in() + _RUN_GAP for run in self.runs) + _AXIS


def render(blocks: Sequence[Block], title: str, suffix: str) -> bytes:
    """Draw blocks one above the other; the same blocks give the same bytes.

    Args:
        blocks: at least one.
        title: stands above everything.
        suffix: one of ``FORMATS``.
    """
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Reset first: a matplotlibrc of the user must not change the picture.
    with style.context(["default", _STYLE], after_reset=True):
        top = height = (_TITLE if title else 0.0) + _LEGEND + sum(block.height_in() for block in blocks)
        figure = Figure(figsize=(_WIDTH, height), dpi=_DPI)
        FigureCanvasAgg(figure)
        letters = [len(_shorten(lane.instance)) for block in blocks for run in block.runs for lane in run.lanes]
        left = 0.35 + _LETTER * max([*letters, len("memory")])
        if title:
            _write(figure, 0.12, top - 0.2, title, size=12, weight="bold")
            top -= _TITLE
        _draw_legend(figure, blocks, top - 0.12)
        top -= _LEGEND
        for block in blocks:
            _draw_block(figure, block, left, top)
            top -= block.height_in()
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix, metadata=_METADATA[suffix])
    return buffer.getvalue()


def _draw_block(figure: Figure, block: Block, left: float, top: float) -> None:
    if block.heading:
        _write(figure, 0.12, top - 0.14, block.heading, size=10.5, weight="bold")
        top -= _HEADING
    last_s = max([end_s(run.records) for run in block.runs] + ([block.expected_end.high] if block.expected_end else []))
    most_bytes = max((step.used for run in block.runs for step in memory_steps(run.records)), default=0.0)
    axes: Axes | None = None
    for run in block.runs:
        label = _write(figure, left, top - 0.12, run.label, weight="bold")
        label_in = label.get_window_extent().width / _DPI
        _write(figure, left + label_in + 0.1, top - 0.12, run.note, color="#444444")
        top -= _CAPTION
        axes = _add_axes(figure, left, top, run.lanes_in(), last_s)
        _draw_lanes(axes, run, (_WIDTH - left - _RIGHT) / axes.get_xlim()[1])
        _draw_end(axes, block.expected_end)
        top -= run.lanes_in()
        if memory_steps(run.records):
            axes = _add_axes(figure, left, top - _GAP, _STRIP, last_s)
            _draw_memory(axes, run, most_bytes)
            _draw_end(axes, block.expected_end)
            top -= _GAP + _STRIP
        top -= _RUN_GAP
    if axes is not None:
        axes.tick_params(axis="x", labelbottom=True, length=2.5)
        axes.set_xlabel("time [s]", color="#444444", labelpad=1.0)


def _add_axes(figure: Figure, left: float, top: float, height: float, last_s: float) -> Axes:
    width_in, height_in = figure.get_size_inches()
    box = (left / width_in, (top - height) / height_in, (width_in - left - _RIGHT) / width_in, height / height_in)
    axes = figure.add_axes(box, xlim=(0.0, 1.01 * last_s or 1.0))
    axes.set_axisbelow(True)
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.6)
    axes.tick_params(axis="both", length=0, labelbottom=False)
    return axes


def _draw_lanes(axes: Axes, run: Run, inches_per_s: float) -> None:
    axes.set_ylim(run.lanes_in(), 0.0)
    ticks: list[float] = []
    labelled = _longest_of_each_request(run.lanes)
    top = 0.0
    for number, lane in enumerate(run.lanes):
        height = _lane_in(lane)
        if number % 2:
            axes.axhspan(top, top + height, color="#f6f6f6", linewidth=0, zorder=0)
        _draw_lane(axes, lane, top + _PAD / 2, inches_per_s, labelled)
        ticks.append(top + height / 2)
        top += height
    axes.set_yticks(ticks, [_shorten(lane.instance) for lane in run.lanes])


def _draw_lane(axes: Axes, lane: Lane, top: float, inches_per_s: float, labelled: dict[str, ActivityRow]) -> None:
    from matplotlib.collections import PolyCollection

    row_in = (_lane_in(lane) - _PAD) / lane.depth
    corners, colors, edges = [], [], []
    for bar, row in zip(lane.activities, lane.rows, strict=True):
        y, bottom, length_in = top + row * row_in, top + (row + 0.88) * row_in, (bar.end_s - bar.start_s) * inches_per_s
        corners.append([(bar.start_s, y), (bar.end_s, y), (bar.end_s, bottom), (bar.start_s, bottom)])
        colors.append(_COLORS.get(bar.kind, _OTHER_COLOR))
        # A white edge around a bar of a few pixels would leave nothing of the bar.
        edges.append("white" if min(length_in, row_in) > 0.06 else colors[-1])
        if labelled.get(bar.request) is bar and len(bar.request) * _BAR_LETTER + 0.06 < length_in and row_in > 0.12:
            middle = (bar.start_s + bar.end_s) / 2, (y + bottom) / 2
            axes.text(*middle, bar.request, color="white", size=6.5, ha="center", va="center_baseline")
    axes.add_collection(PolyCollection(corners, facecolors=colors, edgecolors=edges, linewidths=0.5), autolim=False)


def _draw_memory(axes: Axes, run: Run, most_bytes: float) -> None:
    steps = memory_steps(run.records)
    times = [*(step.time_s for step in steps), end_s(run.records)]
    levels = [*(step.used / GIB for step in steps), steps[-1].used / GIB]
    axes.fill_between(times, levels, step="post", color=_MEMORY_COLOR, alpha=0.3, linewidth=0)
    axes.step(times, levels, where="post", color=_MEMORY_COLOR, linewidth=0.9)
    axes.set_ylim(0.0, 1.15 * most_bytes / GIB or 1.0)
    axes.set_yticks([axes.get_ylim()[1] / 2], ["memory"])
    capacity = max((step.capacity for step in steps if not math.isnan(step.capacity)), default=math.nan)
    note = f"peak {format_bytes(max(step.used for step in steps))}" + (
        "" if math.isnan(capacity) else f"\nof {format_bytes(capacity)}"
    )
    axes.text(1.008, 0.5, note, transform=axes.transAxes, size=6.5, color="#444444", va="center")


def _draw_end(axes: Axes, expected_end: Interval | None) -> None:
    if expected_end:
        axes.axvspan(expected_end.low, expected_end.high, color=_END_COLOR, alpha=0.12, linewidth=0, zorder=0.5)
        axes.axvline(expected_end.value, color=_END_COLOR, linewidth=0.8, linestyle=_END_DASHES, zorder=1.5)


def _draw_legend(figure: Figure, blocks: Sequence[Block], y_in: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    kinds = {activity.kind for block in blocks for run in block.runs for lane in run.lanes for activity in lane.activities}
    found: list[Artist] = [Patch(color=color, linewidth=0, label=kind) for kind, color in _COLORS.items() if kind in kinds]
    if others := sorted(kinds - _COLORS.keys()):
        found.append(Patch(color=_OTHER_COLOR, linewidth=0, label=", ".join(others)))
    if any(memory_steps(run.records) for block in blocks for run in block.runs):
        found.append(Patch(facecolor=_MEMORY_COLOR, alpha=0.3, edgecolor=_MEMORY_COLOR, label="memory of all instances"))
    if any(block.expected_end for block in blocks):
        found.append(Line2D([], [], color=_END_COLOR, linewidth=0.8, linestyle=_END_DASHES, label="predicted end"))
        found.append(Patch(color=_END_COLOR, alpha=0.12, linewidth=0, label=f"its {INTERVAL_LEVEL * 100:.0f} % interval"))
    if found:
        anchor = (0.08 / _WIDTH, y_in / figure.get_size_inches()[1])
        options: dict[str, Any] = {"ncols": len(found), "frameon": False, "handlelength": 1.4, "borderaxespad": 0.0}
        figure.legend(handles=found, loc="center left", bbox_to_anchor=anchor, **options)


def _write(figure: Figure, x_in: float, y_in: float, text: str, **options: Any) -> Any:
    width, height = figure.get_size_inches()
    return figure.text(x_in / width, y_in / height, text, va="center", **options)


def _longest_of_each_request(lanes: Sequence[Lane]) -> dict[str, ActivityRow]:
    bars = [bar for lane in lanes for bar in lane.activities if bar.request]
    return {bar.request: bar for bar in sorted(bars, key=lambda bar: bar.end_s - bar.start_s)}


def _lane_in(lane: Lane) -> float:
    return min(max(_LANE_MIN, lane.depth * _ROW + _PAD), _LANE_MAX)


def _shorten(name: str) -> str:
    half = (_NAME_LETTERS - 1) // 2
    return name if len(name) <= _NAME_LETTERS else f"{name[:half]}…{name[-half:]}"
