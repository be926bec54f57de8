"""Load curves: what a plan comes to while one thing changes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmpredict.errors import InputError
from mmpredict.results.sweep import Knee, SweepPoint
from mmpredict.saving import make_directory, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = ("png", "svg", "pdf")
_PANELS = (
    ("ttft_p95_s", "TTFT p95 (s)"),
    ("itl_p50_s", "time between tokens, median (s)"),
    ("throughput_tokens_per_s", "output tokens/s"),
)
# Okabe and Ito's colours, which people with any colour vision tell apart; markers for those who see none.
_COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#000000")
_MARKERS = "osD^vP*"
_STYLE: dict[str, Any] = {"svg.hashsalt": "mmpredict", "text.parse_math": False, "font.family": "DejaVu Sans", "font.size": 8.0}
_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
_WIDTH, _PANEL, _DPI = 7.0, 2.1, 150


def draw_sweep(points: Sequence[SweepPoint], path: Path, knees: Sequence[Knee] = ()) -> Path:
    """Draw latency, time between tokens and throughput against what is swept, a line per strategy with its bounds.

    Saturated points are hollow; a dotted line marks a knee. The same points give the same bytes.

    Args:
        points: of one sweep.
        path: ends in ``.png``, ``.svg`` or ``.pdf``.
        knees: of its curves.

    Raises:
        InputError: another ending, or nothing that could be drawn.
        StorageError: the file could not be written.
    """
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise InputError(f"cannot draw {path.name}: a picture's name ends in .png, .svg or .pdf")
    drawn = [point for point in points if point.metrics]
    if not drawn:
        raise InputError("there is nothing to draw: no plan can be run at any value")
    words = list(dict.fromkeys(point.value for point in drawn if isinstance(point.value, str)))
    with style.context(["default", _STYLE], after_reset=True):
        figure = Figure(figsize=(_WIDTH, _PANEL * len(_PANELS) + 0.6), dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(len(_PANELS), 1, sharex=True)
        for axes, (metric, label) in zip(panels, _PANELS, strict=True):
            _panel(axes, drawn, metric, words)
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
            axes.grid(True, color="#e5e5e5", linewidth=0.6)
            for knee in knees:
                axes.axvline(knee.value, color="#777777", linestyle=":", linewidth=1)
        panels[-1].set_xlabel(drawn[0].key)
        if words:
            panels[-1].set_xticks(range(len(words)), words)
        panels[0].legend(frameon=False, loc="upper left")
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix, metadata=_METADATA[suffix])
    make_directory(path.parent)
    return save(buffer.getvalue(), path)


def _panel(axes: Axes, points: Sequence[SweepPoint], metric: str, words: Sequence[str]) -> None:
    for number, strategy in enumerate(dict.fromkeys(point.strategy for point in points)):
        color, marker = _COLORS[number % len(_COLORS)], _MARKERS[number % len(_MARKERS)]
        mine = [point for point in points if point.strategy == strategy]
        loads = [words.index(point.value) if isinstance(point.value, str) else point.value for point in mine]
        values = [point.metrics[metric] for point in mine]
        axes.plot(loads, [value.value for value in values], color=color, label=strategy, linewidth=1.2)
        axes.fill_between(loads, [value.low for value in values], [value.high for value in values], color=color, alpha=0.15, lw=0)
        for load, value, point in zip(loads, values, mine, strict=True):
            axes.plot(load, value.value, marker, color=color, markersize=4, markerfacecolor="white" if point.saturated else color)
