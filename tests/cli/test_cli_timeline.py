"""``mmpredict timeline``: what was written with --output, as picture, page and trace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Call, assert_one_line


@pytest.fixture
def result(call: Call) -> str:
    assert call("predict", "scenario.toml", "--draws", "5", "--output", "out").code == 0
    return "out/prediction.json"


@pytest.mark.parametrize(
    ("name", "begin"),
    [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF"), ("a.html", b"<!DOCTYPE html>"), ("a.json", b"{")],
)
def test_the_suffix_decides(name: str, begin: bytes, result: str, call: Call) -> None:
    outcome = call("timeline", result, "-o", name)
    assert (outcome.code, outcome.out, outcome.err) == (0, "", f"written: {name}\n")
    assert Path(name).read_bytes().startswith(begin)


def test_what_predict_wrote_is_what_its_document_gives(result: str, call: Call) -> None:
    assert call("timeline", result, "-o", "again.html").code == 0
    assert call("timeline", result, "-o", "again.json").code == 0
    # The document does not know in which order strategies were asked for; it lists the best first.
    events = [json.loads(Path(path).read_text())["traceEvents"] for path in ("again.json", "out/trace.json")]
    assert len(events[0]) == len(events[1]) > 10
    assert "mmpredict" in Path("out/report.html").read_text()


def test_one_strategy_and_json(result: str, call: Call) -> None:
    outcome = call("timeline", result, "-o", "a.svg", "--strategy", "parallel", "--json")
    assert json.loads(outcome.out) == {"schema_version": 1, "written": "a.svg", "format": "svg", "runs": ["parallel"]}
    assert outcome.err == ""
    assert_one_line(call("timeline", result, "-o", "a.svg", "--strategy", "paralel"), 2, "did you mean parallel?")


def test_mistakes_are_one_line(result: str, call: Call) -> None:
    assert_one_line(call("timeline", result, "-o", "a.gif"), 2, ".png, .svg, .pdf, .html, .json")
    assert_one_line(call("timeline", "missing.json", "-o", "a.png"), 2, "missing.json", "--output")
    assert_one_line(call("timeline", "scenario.toml", "-o", "a.png"), 2, "no JSON document")
    assert_one_line(call("timeline", "out/trace.json", "-o", "a.png"), 2, "is no result")
    assert_one_line(call("timeline", result, "-o", result), 2, "is the result itself")
    assert_one_line(call("timeline", result, "-o", "nowhere/a.png"), 1, "cannot write")
    assert json.loads(Path(result).read_text())["schema_version"] == 1, "it is still there"
