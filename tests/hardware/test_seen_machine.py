"""This machine with a graphics card, which its driver's program tells of: what is predicted for whom."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from mmpredict.api import _room as room
from mmpredict.api import forecast
from mmpredict.errors import NotCalibratedError
from mmpredict.hardware.detect import may_have_gpu
from mmpredict.hardware.library import find_profile
from mmpredict.scenario.read import read_scenario
from mmpredict.sizing.estimate import estimate
from mmpredict.sizing.find_machine import find_machine

CARD = "NVIDIA GeForce RTX 4090, 24564, 24000, 580.65.06, 8.9, 4, 16, 450.00"
SCENARIO = """
engine = "{engine}"
strategies = ["parallel"]

[[requests]]
model = "qwen2.5-3b@q4_k_m"
prompt_tokens = 512
output_tokens = 64
"""


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program called ``nvidia-smi`` that knows one card, and nothing else measured here."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nprint({CARD!r})\n", "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setenv("MMPREDICT_DATA", str(tmp_path / "data"))


@pytest.mark.usefixtures("card")
def test_a_card_is_seen_only_where_it_is_asked_for() -> None:
    assert may_have_gpu()
    seen = find_profile(gpus=True)
    assert seen.gpu is not None and seen.gpu.architecture == "sm_89"
    assert (seen.name, seen.like) == ("this-machine", "rtx-4090")
    assert seen.usable_of(seen.gpu).value == 24000 * 2**20
    assert find_profile().gpu is None
    assert room(seen) == seen.cpu_memory.usable_bytes.value + 24000 * 2**20  # servers use both


@pytest.mark.usefixtures("card")
def test_an_estimate_of_this_machine_uses_its_card() -> None:
    assert find_machine("this-machine").like == "rtx-4090"
    found = estimate("qwen2.5-3b@q4_k_m", speed=True)
    assert found.instances[0].gpu_layers == 37
    (speed,) = found.speeds
    assert (speed.processor, speed.backend) == ("gpu", "cuda")
    assert "published run" in speed.source and "on this hardware" in speed.source
    alone = estimate("qwen2.5-3b@q4_k_m", engine="embedded", speed=True)
    assert alone.instances[0].gpu_layers == 0  # the wheel computes on the CPU


@pytest.mark.usefixtures("card")
def test_a_scenario_uses_what_its_engine_does(tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(SCENARIO.format(engine="llama-server"), "utf-8")
    (prediction,) = forecast(path, draws=1).predictions
    assert any("this-machine, gpu" in sentence for sentence in prediction.provenance)
    path.write_text(SCENARIO.format(engine="embedded"), "utf-8")
    with pytest.raises(NotCalibratedError):
        forecast(read_scenario(path), draws=1)
