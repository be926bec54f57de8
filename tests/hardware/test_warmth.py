"""Memory is touched as far as asked, and never so far that it pushes out what it is meant to help."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace

import pytest

from mmpredict.hardware import warmth

MIB = 1024**2


@pytest.mark.parametrize(("asked_bytes", "touched_bytes"), [(8 * MIB, 8 * MIB), (1e15, 16 * MIB), (0, 0)])
def test_touched_memory_is_bounded_and_given_back(asked_bytes: float, touched_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warmth.psutil, "virtual_memory", lambda: SimpleNamespace(available=32 * MIB))
    tracemalloc.start()
    try:
        warmth.touch_memory(asked_bytes)
        now_bytes, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert touched_bytes <= peak_bytes < touched_bytes + MIB
    assert now_bytes < MIB
