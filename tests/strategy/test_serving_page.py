"""The page about servers on demand names every rule and every option, and its example is read."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from mmpredict.simulation.serving import SERVINGS, Group, OllamaServing
from mmpredict.strategy.on_demand import serving_from

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text("utf-8")


@pytest.mark.parametrize("rules", SERVINGS)
def test_the_page_names_every_rule_with_its_options(rules: str) -> None:
    (row,) = (
        line for line in PAGE.splitlines() if line.startswith(f"| `{rules}` |") and ("commit" in line or line.count("|") == 4)
    )
    for field in fields(SERVINGS[rules]):
        if field.init:
            assert f"`{field.name.removesuffix('_s').removesuffix('_bytes')}`" in row


def test_the_page_names_the_options_of_groups() -> None:
    assert all(f"{field.name} = " in PAGE for field in fields(Group))


def test_the_example_is_read() -> None:
    example = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    assert serving_from(tomllib.loads(example[1])["serving"]) == OllamaServing(max_loaded_models=2)
