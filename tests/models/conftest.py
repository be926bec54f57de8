"""What several tests of models share."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "published_sizes.py"


@pytest.fixture(scope="session")
def sizes() -> ModuleType:
    """The benchmark that reads the tables of published sizes."""
    spec = importlib.util.spec_from_file_location("published_sizes", BENCHMARK)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["published_sizes"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
