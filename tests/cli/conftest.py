"""Fixtures of the command line's tests."""

from __future__ import annotations

from commands import bench, call, own_signals, place  # noqa: F401
