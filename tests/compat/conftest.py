"""Nothing that was measured on the machine that runs the tests may change what they see, and intervals rest on few runs."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_data(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path_factory.mktemp("data")
    monkeypatch.setenv("MMPREDICT_DATA", str(directory))
    return directory


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("performance_predictor", "multi_model_predictor"):
        monkeypatch.setattr(f"mmpredict.compat.{module}.DRAWS", 9)
