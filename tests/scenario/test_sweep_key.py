"""Keys to sweep are read as they are written, and set where they are."""

from __future__ import annotations

import pytest

from mmpredict.errors import InputError
from mmpredict.scenario import RequestSection, Scenario
from mmpredict.scenario.generated_sections import ClosedSection, PoissonSection
from mmpredict.scenario.sweep_key import parse_sweep, with_value

POISSON = PoissonSection(kind="poisson", rate_per_s=1.0, model="m", prompt_tokens=10, output_tokens=10, requests=5)
CLOSED = ClosedSection(kind="closed", users=2, requests_per_user=3, model="m", prompt_tokens=10, output_tokens=10)
QUESTION = Scenario(load=(POISSON, CLOSED), requests=(RequestSection(model="m", prompt_tokens=1, output_tokens=1),))


def test_values() -> None:
    assert parse_sweep("load[0].rate_per_s=0.5:2.5:5") == ("load[0].rate_per_s", [0.5, 1.0, 1.5, 2.0, 2.5])
    assert parse_sweep("users=1:8:4:log") == ("users", pytest.approx([1, 2, 4, 8]))  # type: ignore[comparison-overlap]
    assert parse_sweep("server.slots = 1, 2,4") == ("server.slots", [1.0, 2.0, 4.0])
    assert parse_sweep("hardware=ms-s1-max,rtx-4090") == ("hardware", ["ms-s1-max", "rtx-4090"])


@pytest.mark.parametrize(
    "text", ["users", "=1:2:3", "users=", "users=1:2:1", "users=1:2:1e9", "users=0:2:3:log", "users=1,,2", "x=1e400:2:3"]
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="key "):
        parse_sweep(text)


def test_a_value_is_set_where_its_key_is() -> None:
    assert with_value(QUESTION, "load[0].rate_per_s", 2.5).load[0].rate_per_s == 2.5  # type: ignore[union-attr]
    changed = with_value(QUESTION, "users", 3.6)
    assert changed.load[1].users == 4 and changed.load[0] == POISSON  # type: ignore[union-attr]
    assert with_value(QUESTION, "server.slots", 8.0).server.slots == 8
    assert with_value(QUESTION, "hardware", "rtx-4090").hardware == "rtx-4090"
    assert with_value(QUESTION, "requests[0].prompt_tokens", 7).requests[0].prompt_tokens == 7
    assert "strategies" not in changed.model_fields_set and QUESTION.load[1] == CLOSED


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("load[2].rate_per_s", 1.0, r"load has 2 entries; they are counted from 0"),
        ("load[0].rate", 1.0, r"load.0 has no 'rate'; it has: .*rate_per_s"),
        ("lod", 1.0, "the scenario has no 'lod'"),
        ("load[0]]", 1.0, "is no path into a scenario"),
        ("cold", "maybe", "cold = maybe: "),
        ("server.slots", "many", "server.slots = many: "),
    ],
)
def test_mistakes_are_named(key: str, value: float | str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        with_value(QUESTION, key, value)


def test_users_need_a_closed_load() -> None:
    with pytest.raises(InputError, match="this scenario has none"):
        with_value(Scenario(load=(POISSON,)), "users", 3)
