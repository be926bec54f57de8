"""``mmpredict fit``: the best mixes as a table and as JSON, and what to do when nothing fits."""

from __future__ import annotations

import json

import pytest
from commands import Call, assert_one_line

FOUR = "qwen2.5:0.5b,qwen2.5:1.5b,qwen2.5:3b,qwen2.5:7b"
JETSON = ("--hardware", "jetson-orin-nano", "--budget", "5GB")


def test_the_best_mix_and_alternatives(call: Call) -> None:
    outcome = call("fit", "--models", FOUR, *JETSON, "--top", "3")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert [line.split()[0] for line in lines if line.split()[:1] in (["1"], ["2"], ["3"])] == ["1", "2", "3"]
    for word in (
        "goal: most parameters",
        "5.00 GB of unified memory",
        "one more qwen2.5:3b needs",
        "taken for granted: all layers",
    ):
        assert word in outcome.out


def test_json_is_one_document(call: Call) -> None:
    outcome = call(
        "fit", "--models", FOUR, *JETSON, "--value", "count", "--at-least", "qwen2.5:3b=1", "--at-most", "qwen2.5:0.5b=1", "--json"
    )
    document = json.loads(outcome.out)
    assert document["schema_version"] == 1
    for row in document["mixes"]:
        assert row["counts"]["qwen2.5:3b"] >= 1
        assert row["counts"].get("qwen2.5:0.5b", 0) <= 1
        assert all(size >= 0 for size in row["remains_bytes"])


def test_one_of_each(call: Call) -> None:
    document = json.loads(call("fit", "--models", FOUR, "--hardware", "rtx-4090", "--distinct", "--json").out)
    assert set(document["mixes"][0]["counts"].values()) == {1}


def test_nothing_fits(call: Call) -> None:
    assert_one_line(
        call("fit", "--models", FOUR, "--hardware", "jetson-orin-nano", "--budget", "300MB"), 3, "qwen2.5:0.5b", "needs", "--ctx"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--models", "qwen2.5:8b"], ["qwen2.5:7b"]),
        (["--models", " , "], ["0 models"]),
        (["--models", FOUR, "--value", "speed"], ["NAME=NUMBER"]),
        (["--models", FOUR, "--at-least", "qwen2.5:0.6b=1"], ["qwen2.5:0.5b"]),
        (["--models", FOUR, "--at-least", "qwen2.5:7b=2", "--at-most", "qwen2.5:7b=1"], ["contradict"]),
        (["--models", FOUR, "--top", "0"], ["0 mixes"]),
        (["--models", FOUR, "--budget", "many"], ["is no size"]),
    ],
)
def test_what_cannot_be_answered_is_one_line(call: Call, arguments: list[str], words: list[str]) -> None:
    assert_one_line(call("fit", "--hardware", "rtx-4090", *arguments), 2, *words)
