"""The page on workloads says what is so: its examples can be read, and its tables name what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mmpredict.scenario import Scenario, read_scenario
from mmpredict.scenario.read import _KEYS, _TAGS
from mmpredict.workload.request import Workload
from mmpredict.workload.traces.own import read_requests
from mmpredict.workload.traces.read import FORMATS

PAGE = (Path(__file__).parents[2] / "docs" / "workloads.md").read_text("utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
BURSTGPT = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,472,18,490,Conversation log\n"


def read(folder: Path, text: str) -> Scenario:
    (folder / "BurstGPT_1.csv").write_text(BURSTGPT, "utf-8")
    (folder / "question.toml").write_text(text, "utf-8")
    return read_scenario(folder / "question.toml")


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples_are_scenarios(tmp_path: Path, text: str) -> None:
    scenario = read(tmp_path, text)
    assert set(scenario.workload().models) <= set(scenario.models()) <= {"llama3.2:1b", "qwen2.5:3b"}


def test_examples_are_of_one_scenario_too(tmp_path: Path) -> None:
    scenario = read(tmp_path, "".join(EXAMPLES))
    assert len(EXAMPLES) == 5 and len(scenario.workload().requests) > 300


def test_examples_of_our_own_form_are_read(tmp_path: Path) -> None:
    (example,) = re.findall(r"```jsonl\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "w.jsonl").write_text(example, "utf-8")
    assert len(Workload(tuple(read_requests(tmp_path / "w.jsonl"))).requests) == 2


def test_the_page_names_every_kind_key_and_format() -> None:
    for name in FORMATS:
        assert f"| `{name}` |" in PAGE
    for tag in _TAGS:
        assert re.search(rf'[`"]{tag.partition(".")[2]}[`"]', PAGE) or tag.endswith(".number"), tag
    for section, keys in _KEYS.items():
        for key in keys if section not in ("", "server", "engine", "recovery", "recommend") else ():
            assert re.search(rf"\b{key}\b", PAGE), f"{section}: {key}"
