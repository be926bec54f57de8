"""Random-weight models of every architecture in the real engine: they load, generate, and take the memory that their shapes say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from narrow import ENCODERS, NARROW, narrow_spec

from mmpredict.live.client import CompletionClient
from mmpredict.live.embedded import EmbeddedServer, stop_all
from mmpredict.models.cache import CacheOptions, cache_bytes
from mmpredict.models.gguf.blocks import SYNTHESISABLE
from mmpredict.models.gguf.model import spec_from_gguf
from mmpredict.models.gguf.weights_file import write_model
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import InstancePlan
from mmpredict.units import MIB

pytestmark = pytest.mark.live

CONTEXT_TOKENS, UBATCH_TOKENS = 512, 64
LOGGED = 0.011 * MIB  # the engine's log has two decimals


@pytest.fixture(autouse=True, scope="module")
def _nothing_left() -> Iterator[None]:
    yield
    stop_all()


def serve(spec: ModelSpec, directory: Path, slots: int = 1) -> EmbeddedServer:
    path = write_model(spec, directory / "model.gguf")
    plan = InstancePlan(
        "one", spec.name, 1, context_tokens=CONTEXT_TOKENS, slots=slots, batch_tokens=64, ubatch_tokens=UBATCH_TOKENS
    )
    return EmbeddedServer.start(plan, path, directory / "log")


@pytest.mark.parametrize("name", NARROW)
def test_every_architecture_loads_and_generates(name: str, tmp_path: Path) -> None:
    spec = narrow_spec(NARROW[name])
    with serve(spec, tmp_path, slots=2) as server:
        if name not in ENCODERS and spec.shape.kind != "text-embedding":
            with CompletionClient(server.url) as client:
                assert client.stream([5, 6, 7], 2, 20.0).output_tokens == 2
        sizes = server.buffer_bytes()
    shape = spec_from_gguf(tmp_path / "model.gguf").shape
    wanted = cache_bytes(shape, CacheOptions(CONTEXT_TOKENS, slots=2, ubatch_tokens=UBATCH_TOKENS))
    assert sizes.get("kv", 0) + sizes.get("recurrent", 0) == pytest.approx(wanted, abs=2 * LOGGED)
    table = spec.tensors[0]
    assert table.name == "token_embd.weight"  # in a buffer of its own, which is not logged
    assert -table.size_bytes - LOGGED < sizes["mapped_model"] - spec.weight_bytes < LOGGED


@pytest.mark.parametrize("weights", SYNTHESISABLE)
def test_every_weight_type_loads_and_generates(weights: str, tmp_path: Path) -> None:
    with serve(narrow_spec(NARROW["qwen3moe"], weights), tmp_path) as server, CompletionClient(server.url) as client:
        assert client.stream([5, 6, 7], 2, 20.0).output_tokens == 2
