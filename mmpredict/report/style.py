"""How all pictures look: colours that survive colour blindness and grey, one font, and files without dates in them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")
DPI = 150

# What would be different tomorrow, or with another release of matplotlib, is left out of the files.
METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
_RC: dict[str, Any] = {
    "svg.hashsalt": "mmpredict",
    "text.parse_math": False,  # the name of a model may contain a dollar sign
    "font.family": "DejaVu Sans",  # comes with matplotlib, so the picture is the same everywhere
    "font.size": 8.0,
    "axes.edgecolor": "#bbbbbb",
    "axes.linewidth": 0.6,
    "axes.titlesize": 9.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "legend.borderaxespad": 0.0,
    "xtick.labelcolor": "#444444",
    "xtick.color": "#bbbbbb",
    "ytick.color": "#bbbbbb",
    "ytick.labelcolor": "#222222",
}

# M. Okabe and K. Ito's colours, which people with any colour vision tell apart.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"
INK, QUIET_INK, PALE = "#222222", "#555555", "#dddddd"
CYCLE = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P")
"""One per colour of ``CYCLE``: who sees no colours reads the shapes."""


@dataclass(frozen=True, slots=True)
class Fill:
    """How one state of an instance is filled.

    Attributes:
        color: of the area.
        hatch: pattern over it, in matplotlib's notation; empty for none.
        ink: colour of the pattern.
    """

    color: str
    hatch: str = ""
    ink: str = ""


FILLS = {
    "idle": Fill("#f5f5f5", "...", "#d2d2d2"),
    "load": Fill("#d2d2d2", "////", "#8a8a8a"),
    "prefill": Fill(ORANGE),
    "decode": Fill(BLUE),
    "unload": Fill("#333333"),
}
OTHER_FILL = Fill(PURPLE, "xxxx", "#ffffff")
"""For kinds of activities that have no fill of their own."""


@contextmanager
def house_style() -> Iterator[None]:
    """Matplotlib's defaults with ours on top; a matplotlibrc of the user must not change a picture."""
    from matplotlib import style

    with style.context(["default", _RC], after_reset=True):
        yield


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty figure that no window and no notebook knows of [inches]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def plain_axes(axes: Axes, grid: str = "both") -> Axes:
    """Take away what carries no information: upper and right edges, and the marks of ticks."""
    axes.grid(axis=grid)  # type: ignore[arg-type]
    axes.tick_params(axis="both", which="both", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def lightness(color: str) -> float:
    """CIE 1976 lightness L* of a colour ``#rrggbb``, 0 (black) to 100 (white) [1]; what is left of it in grey.

    Equation: L* = 116 · f(Y) − 16 with the relative luminance Y of IEC 61966-2-1 (sRGB).
    """
    red, green, blue = (_linear(int(color[at : at + 2], 16) / 255) for at in (1, 3, 5))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return 116.0 * math.cbrt(luminance) - 16.0 if luminance > 216 / 24389 else luminance * 24389 / 27


def ink_on(color: str) -> str:
    """Black or white, whichever is read better on a colour."""
    return "#ffffff" if lightness(color) < 60 else INK


def shorten(name: str, letters: int = 30) -> str:
    """A long name without its middle."""
    half = (letters - 1) // 2
    return name if len(name) <= letters else f"{name[:half]}…{name[-half:]}"


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
