"""``docs/recommend.md`` names every goal, limit and family, and its examples are scenarios."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mmpredict.planning.export import FORMATS
from mmpredict.planning.goals import GOALS, STATISTICS, TIMES
from mmpredict.planning.space import FAMILIES
from mmpredict.scenario import read_scenario
from mmpredict.scenario.recommend_section import RecommendSection
from mmpredict.strategy.table import AUTO, LOOKING, ON_DEMAND

PAGE = (Path(__file__).parent.parent.parent / "docs" / "recommend.md").read_text("utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("name", [*GOALS, *FAMILIES, *FORMATS, *LOOKING, *ON_DEMAND, AUTO])
def test_every_name_is_there(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_every_key_and_metric_is_there() -> None:
    for key in (*RecommendSection.model_fields, *TIMES, *STATISTICS):
        assert re.search(rf"\b{key}\b", PAGE), key


def test_examples_are_scenarios(tmp_path: Path) -> None:
    board, limits, load = EXAMPLES
    for name, text in {"board": board, "both": board + limits, "load": load}.items():
        path = tmp_path / f"{name}.toml"
        path.write_text(text, "utf-8")
        assert read_scenario(path).workload().requests
    asked = read_scenario(tmp_path / "both.toml").recommend
    assert asked.model_fields_set == set(RecommendSection.model_fields)
