"""Quantities are read and printed as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.units import format_bytes, format_percent, format_seconds


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1.5 * 1024**2, "2 MiB"),
        (1.47 * 1024**3, "1.47 GiB"),
        (-(1024**3), "-1.00 GiB"),
    ],
)
def test_printed_bytes(size_bytes: float, text: str) -> None:
    assert format_bytes(size_bytes) == text


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [
        (0.0, "0 ms"),
        (0.412, "412 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (8.41, "8.41 s"),
        (99.4, "99.40 s"),
        (99.6, "1 min 40 s"),
        (119.6, "2 min 00 s"),
        (200, "3 min 20 s"),
    ],
)
def test_printed_durations(duration_s: float, text: str) -> None:
    assert format_seconds(duration_s) == text


@given(st.floats(0.001, 1e5))
def test_a_printed_duration_is_within_a_hundredth_or_half_a_unit(duration_s: float) -> None:
    words = format_seconds(duration_s).split()
    unit_s = {"ms": 1e-3, "s": 1.0, "min": 60.0}
    read_s = sum(float(number) * unit_s[unit] for number, unit in zip(words[::2], words[1::2], strict=True))
    assert abs(read_s - duration_s) <= max({"ms": 5.1e-4, "s": 5.1e-3, "min": 0.51}[words[1]], 0.0)


@pytest.mark.parametrize(
    ("fraction", "signed", "text"),
    [(0.123, False, "12.3 %"), (0.123, True, "+12.3 %"), (-0.5, True, "-50.0 %"), (2, False, "200.0 %")],
)
def test_printed_fractions(fraction: float, signed: bool, text: str) -> None:
    assert format_percent(fraction, signed) == text
