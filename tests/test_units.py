"""Quantities are read and printed as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.errors import InputError
from mmpredict.units import (
    MAX_BYTES,
    MAX_TOKENS,
    format_bytes,
    format_percent,
    format_seconds,
    parse_bytes,
    parse_duration,
    parse_tokens,
)


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


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("5GB", 5 * 10**9),
        ("1.5GiB", 3 * 2**29),
        (" 800 mb ", 800 * 10**6),
        ("64 KiB", 65536),
        ("1kB", 1000),
        ("0.5TB", 5 * 10**11),
        ("12", 12),
        ("12B", 12),
        ("0", 0),
        ("1024TiB", 2**50),
    ],
)
def test_sizes_are_read_with_their_unit(text: str, size_bytes: int) -> None:
    assert parse_bytes(text) == size_bytes


def test_a_percentage_is_of_a_whole() -> None:
    assert parse_bytes("10%", 8e9) == 800_000_000
    assert parse_bytes("2.5 %", 1000) == 25
    with pytest.raises(InputError, match="nothing to take a percentage of"):
        parse_bytes("10%")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5G", "write GB for the first or GiB for the second"),
        ("5k", "kB|KB"),
        ("5XB", "unknown unit"),
        ("-5GB", "is no size"),
        ("5e9", "unknown unit|is no size"),
        ("", "is no size"),
        ("1,5GB", "is no size"),
        ("٥GB", "is no size"),
        ("9999999TB", "at most 1024 PiB"),
        ("1" * 500, "is no size"),
    ],
)
def test_sizes_that_are_none(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as raised:
        parse_bytes(text)
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    ("text", "tokens"), [("1", 1), ("8192", 8192), ("64k", 65536), ("1.5K", 1536), ("1M", 2**20), (f"{MAX_TOKENS}", MAX_TOKENS)]
)
def test_tokens_are_read(text: str, tokens: int) -> None:
    assert parse_tokens(text) == tokens


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0", "between 1 and"),
        ("-1", "is no number of tokens"),
        ("17M", "between 1 and"),
        ("0.3k", "not whole"),
        ("1.5", "not whole"),
        ("4GB", "unknown unit"),
        ("many", "is no number of tokens"),
    ],
)
def test_tokens_that_are_none(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_tokens(text)


@given(st.integers(0, MAX_BYTES), st.sampled_from(["B", "kB", "MB", "GB", "KiB", "MiB", "GiB"]))
def test_a_whole_number_of_any_unit_is_read_exactly(count: int, unit: str) -> None:
    factor = (1024 if "i" in unit else 1000) ** " kMGT".index(unit[0] if unit[0] != "K" else "k") if unit != "B" else 1
    count %= MAX_BYTES // factor + 1
    assert parse_bytes(f"{count}{unit}") == count * factor


@pytest.mark.parametrize(
    ("text", "duration_s"),
    [("5m", 300), ("1h30m", 5400), ("90s", 90), ("1.5h", 5400), ("1m500ms", 60.5), (" -1s ", -1), ("0s", 0)],
)
def test_durations_are_read_as_go_writes_them(text: str, duration_s: float) -> None:
    assert parse_duration(text) == duration_s


@pytest.mark.parametrize("text", ["", "-", "5", "5 m", "m", "5d", "1m-3s", "5m" * 40 + "x"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no duration; write 5m"):
        parse_duration(text)
