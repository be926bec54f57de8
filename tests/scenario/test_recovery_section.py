"""``[recovery]``: what the page on executing says of it is so, and mistakes are named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mmpredict.api import validate
from mmpredict.errors import InputError, MmpredictError
from mmpredict.live.failure import FailureReason
from mmpredict.models.catalog import uniform_spec
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.scenario import Scenario, read_scenario
from mmpredict.scenario import document as document_module
from mmpredict.scenario.recovery_section import RecoverySection
from mmpredict.simulation.policies.recovery import Recovery

PAGE = (Path(__file__).parents[2] / "docs" / "executing.md").read_text("utf-8")
(EXAMPLE,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
ASK = '[[requests]]\nmodel = "synthetic:probe-narrow@q4_0"\nprompt_tokens = 8\noutput_tokens = 4\n'


def read(folder: Path, text: str) -> Scenario:
    (folder / "question.toml").write_text(text, "utf-8")
    return read_scenario(folder / "question.toml")


def test_the_example_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_module, "spec_of", lambda name, base: uniform_spec("smollm2-135m", weight_type("q4_0")))
    plans = read(tmp_path, EXAMPLE).plans(2)
    rules = {"models/large.gguf": ("models/small.gguf",)}
    assert {plan.recovery.active for plan in plans} == {True}
    assert plans[0].recovery == Recovery(retries=2, fallback=rules, smaller=True)  # all others are the defaults


def test_the_page_names_every_key_and_class_of_failure() -> None:
    assert all(f"\n{key} = " in EXAMPLE for key in RecoverySection.model_fields)
    assert all(f"| `{reason}` |" in PAGE for reason in FailureReason)


def test_without_it_nothing_is_done(tmp_path: Path) -> None:
    assert not any(plan.recovery.active for plan in read(tmp_path, ASK).plans(2))


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("retrys = 1", "unknown key 'recovery.retrys'; did you mean 'retries'"),
        ("retries = 1000", "retries is 1000; it must be between 0 and 100"),
        ('retry_on = ["timeout"]', "no time is left"),
        ('retry_on = ["busy"]', "unknown class of failure 'busy'"),
        ('fallback = { "synthetic:probe-narrow@q4_0" = ["other"] }', "unknown model of recovery.fallback 'other'"),
    ],
)
def test_mistakes(section: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(MmpredictError) as caught:
        read(tmp_path, f"[recovery]\n{section}\n{ASK}").plans(2)
    assert words in str(caught.value)


def test_a_validation_has_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"leave \[recovery\] out"):
        validate(read(tmp_path, f"[recovery]\nretries = 1\n{ASK}"), tmp_path)
