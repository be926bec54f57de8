"""The example of docs/guide_interface.md prints what stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "guide_interface.md"
NUMBER = re.compile(r"\d+(?:\.\d+)?")


def test_the_example_prints_what_the_page_says(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for module in ("performance_predictor", "multi_model_predictor"):
        monkeypatch.setattr(f"mmpredict.compat.{module}.DRAWS", 100)
    code, shown = re.findall(r"^```(?:python)?\n(.*?)^```$", PAGE.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)[:2]
    exec(compile(code, PAGE.name, "exec"), {})
    printed = capsys.readouterr().out
    assert NUMBER.sub("#", printed).split() == NUMBER.sub("#", shown).split()
    ours, theirs = ([float(number) for number in NUMBER.findall(text)] for text in (printed, shown))
    assert ours == pytest.approx(theirs, rel=0.05, abs=1.0)
