"""Load curves: what plans come to while one thing of the question changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmpredict.errors import InputError
from mmpredict.report.load_curve import Curve, Point, curve_picture
from mmpredict.report.picture import Picture, picture_format
from mmpredict.results.sweep import Knee, SweepPoint
from mmpredict.saving import make_directory


def sweep_picture(points: Sequence[SweepPoint], knees: Sequence[Knee] = ()) -> Picture:
    """Latency, time between tokens and throughput over what is swept, a line per strategy with its bounds.

    Points at which requests pile up are hollow; a dashed line marks a knee.

    Args:
        points: of one sweep.
        knees: of its curves.

    Raises:
        InputError: nothing that could be drawn.
    """
    drawn = [point for point in points if point.metrics]
    if not drawn:
        raise InputError("there is nothing to draw: no plan can be run at any value")
    words = list(dict.fromkeys(point.value for point in drawn if isinstance(point.value, str)))
    bends = {knee.strategy: knee.value for knee in knees}
    curves = []
    for strategy in dict.fromkeys(point.strategy for point in drawn):
        mine = [point for point in drawn if point.strategy == strategy]
        places = [float(words.index(point.value) if isinstance(point.value, str) else point.value) for point in mine]
        along = [Point(place, point.metrics, point.saturated) for place, point in zip(places, mine, strict=True)]
        curves.append(Curve(strategy, tuple(along), bends.get(strategy)))
    title = f"{curves[0].name} over {drawn[0].key}" if len(curves) == 1 else f"Strategies over {drawn[0].key}"
    return curve_picture(curves, drawn[0].key, title, words=words)


def draw_sweep(points: Sequence[SweepPoint], path: Path, knees: Sequence[Knee] = ()) -> Path:
    """Write ``sweep_picture`` to a file; the same points give the same bytes.

    Args:
        points: of one sweep.
        path: ends in ``.png``, ``.svg`` or ``.pdf``; its directory is made if needed.
        knees: of its curves.

    Raises:
        InputError: another ending, or nothing that could be drawn.
        StorageError: the file could not be written.
    """
    picture_format(path)
    picture = sweep_picture(points, knees)
    make_directory(path.parent)
    return picture.save(path)
