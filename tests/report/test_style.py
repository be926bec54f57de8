"""Colours are told apart by people with any colour vision, and in grey."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from mmpredict.report.style import CYCLE, FILLS, MARKERS, OTHER_FILL, ink_on, lightness, shorten

# G. M. Machado, M. M. Oliveira and L. A. F. Fernandes, A physiologically-based model for simulation of color vision deficiency
# (2009), doi:10.1109/TVCG.2009.113: the matrices for complete deficiency, on linear RGB.
VISIONS = {
    "usual": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
STATES = {**{name: fill.color for name, fill in FILLS.items()}, "other": OTHER_FILL.color, "not loaded": "#ffffff"}
NOTICEABLE = 9.0  # about four times the difference that is just noticed
CLEARLY = 8.0  # in lightness, of a scale of 100


def lab(color: str, vision: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIE L*a*b* of a colour as somebody sees it."""
    srgb = np.array([int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(vision @ linear, 0.0, 1.0)
    relative = TO_XYZ @ seen / (TO_XYZ @ np.ones(3))
    f = np.where(relative > 216 / 24389, np.cbrt(relative), (24389 / 27 * relative + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISIONS)
def test_states_are_told_apart_by_everybody(vision: str) -> None:
    for (name, one), (other_name, other) in combinations(STATES.items(), 2):
        if {name, other_name} != {"idle", "not loaded"}:  # these are told apart by the pattern
            assert np.linalg.norm(lab(one, VISIONS[vision]) - lab(other, VISIONS[vision])) > NOTICEABLE, (name, other_name)


def test_states_are_told_apart_in_grey() -> None:
    for (name, one), (other_name, other) in combinations(STATES.items(), 2):
        if {name, other_name} != {"idle", "not loaded"}:
            assert abs(lightness(one) - lightness(other)) > CLEARLY, (name, other_name)


def test_what_is_light_has_a_pattern_that_shows_on_it() -> None:
    for name, fill in {**FILLS, "other": OTHER_FILL}.items():
        if fill.hatch:
            assert abs(lightness(fill.ink) - lightness(fill.color)) > CLEARLY, name
    assert FILLS["idle"].hatch and FILLS["load"].hatch and FILLS["idle"].hatch != FILLS["load"].hatch


@pytest.mark.parametrize("vision", VISIONS)
def test_curves_that_share_a_panel_are_told_apart(vision: str) -> None:
    for one, other in combinations(CYCLE, 2):
        assert np.linalg.norm(lab(one, VISIONS[vision]) - lab(other, VISIONS[vision])) > NOTICEABLE
    assert len(MARKERS) == len(set(MARKERS)) >= len(CYCLE)


def test_lightness_is_the_standards() -> None:
    assert lightness("#000000") == 0.0
    assert lightness("#ffffff") == pytest.approx(100.0)
    assert lightness("#777777") == pytest.approx(50.0, abs=0.1)  # published: sRGB 119 is L* 50.03
    for color in STATES.values():
        assert lightness(color) == pytest.approx(lab(color, VISIONS["usual"])[0], abs=0.01)
    assert [ink_on(color) for color in ("#000000", "#0072b2", "#e69f00", "#ffffff")] == ["#ffffff", "#ffffff", "#222222", "#222222"]


def test_long_names_lose_their_middle_only() -> None:
    assert shorten("short") == "short"
    long = "beginning-" + "x" * 50 + "-end"
    assert len(shorten(long)) <= 30 and shorten(long).startswith("beginning-") and shorten(long).endswith("-end")
