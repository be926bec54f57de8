"""Fixtures of the tests that talk to servers, faked and real."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from text_vocabulary import with_text

from mmpredict.live.embedded import EmbeddedServer, stop_all
from mmpredict.models.synthetic import synthesize
from mmpredict.simulation.plan import InstancePlan

SMALL_MODEL = "synthetic:smollm2-135m@q4_0"


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A model of 77 MB; kept only where ``MMPREDICT_CACHE`` says so."""
    if os.environ.get("MMPREDICT_CACHE"):
        yield synthesize(SMALL_MODEL)
        return
    path = synthesize(SMALL_MODEL, directory=tmp_path_factory.mktemp("models"))
    yield path
    path.unlink()


@pytest.fixture(scope="session")
def text_model(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The small model with a vocabulary of words."""
    path = with_text(small_model, SMALL_MODEL, tmp_path_factory.mktemp("text") / "text.gguf")
    yield path
    path.unlink()


@pytest.fixture
def instance() -> InstancePlan:
    """One thread and a context of 256 tokens."""
    return InstancePlan("small", SMALL_MODEL, threads=1, spincount=1000, context_tokens=256)


@pytest.fixture(scope="module")
def server(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A running server that the tests of a module share."""
    plan = InstancePlan("shared", SMALL_MODEL, 1, spincount=1000, context_tokens=256, slots=3, batch_tokens=128, ubatch_tokens=64)
    with EmbeddedServer.start(plan, small_model, tmp_path_factory.mktemp("logs") / "shared.log") as started:
        yield started


@pytest.fixture(autouse=True, scope="session")
def _nothing_left() -> Iterator[None]:
    yield
    stop_all()


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Synthetic models of this test run; kept only where ``MMPREDICT_CACHE`` says so."""
    if os.environ.get("MMPREDICT_CACHE"):
        yield Path(os.environ["MMPREDICT_CACHE"])
        return
    path = tmp_path_factory.getbasetemp() / "cache"
    yield path
    shutil.rmtree(path, ignore_errors=True)
