"""Whatever a profile holds, the file written from it reads back as the same profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.hardware.library import find_profile, profile_names
from mmpredict.hardware.profile import HardwareProfile, parse_profile
from mmpredict.hardware.profile_text import profile_text

WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)
NUMBERS = st.one_of(st.integers(0, 2**60).map(float), st.floats(min_value=0, max_value=1e24))


@st.composite
def figures(draw: st.DrawFn) -> dict[str, Any]:
    """A quantity."""
    low, value, high = sorted(draw(st.lists(NUMBERS, min_size=3, max_size=3)))
    whole = {"value": value, "low": low, "high": high, "source": draw(WORDS), "date": "2026-01"}
    return {name: whole[name] for name in whole if name == "value" or draw(st.booleans())}


@st.composite
def profiles(draw: st.DrawFn) -> HardwareProfile:
    """A profile with parts of every kind."""
    pool = {"capacity_bytes": 8e9, "usable_bytes": 6e9, "kind": draw(WORDS), "swap_bytes": draw(figures())}
    cpu = {"kind": "cpu", "model": draw(WORDS), "cores": draw(st.integers(1, 999)), "features": draw(st.lists(WORDS, max_size=3))}
    card = {
        "kind": "gpu",
        "model": draw(WORDS),
        "pool": "vram",
        "flop_per_s": {kind: draw(figures()) for kind in draw(st.sets(st.sampled_from(["f32", "f16", "int8"])))},
        "thermal": draw(st.none() | st.just({"throttle_c": 90.0})),
    }
    modes = draw(st.dictionaries(st.sampled_from(["7w", "max.n", "a-b"]), st.just({}) | st.just({"cpu": {"cores": 1}}), max_size=3))
    data = {
        "name": "box",
        "description": draw(WORDS),
        "aliases": draw(st.dictionaries(WORDS, WORDS, max_size=3)),
        "pools": {"ram": pool, "vram": pool},
        "processors": [cpu, card],
        "links": [{"kind": draw(WORDS), "pools": ["ram", "vram"], "bandwidth_bytes_per_s": draw(figures())}],
        "storage": [{"kind": "nvme", "read_bytes_per_s": draw(figures())}],
        "modes": modes,
        "default_mode": min(modes, default=None),
    }
    return HardwareProfile.model_validate(data)


@given(profiles())
def test_a_profile_reads_back_as_it_was(profile: HardwareProfile) -> None:
    assert parse_profile(profile_text(profile), "here") == profile


@pytest.mark.parametrize("name", profile_names()[1:])
def test_shipped_profiles_read_back_too(name: str) -> None:
    profile = find_profile(name)
    text = profile_text(profile, ("one remark", "another\nwith = a line\x0bbreak"))
    assert parse_profile(text, "here") == profile.unlimited, "a mode's limits are not written; the mode is"
    assert parse_profile(text, "here").in_mode(profile.mode) == profile


def test_numbers_are_written_as_people_write_them(tmp_path: Path) -> None:
    text = profile_text(find_profile("jetson-orin-nano"))
    assert 'capacity_bytes = { value = 8589934592, source = "' in text
    assert "\n[modes.7w.pools.ram]\n" in text
    assert "\n[modes]\n" not in text
