"""``hardware list | show | detect`` as a person or a script meets them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import COMMAND, Call, assert_one_line, command, files

from mmpredict.hardware import survey as surveying
from mmpredict.hardware.cpu import CpuIdentity
from mmpredict.hardware.found_gpu import FoundGpu, Sighting
from mmpredict.hardware.library import find_profile, profile_names
from mmpredict.hardware.probe_memory import Measured
from mmpredict.hardware.profile import Quantity

CARD = FoundGpu("NVIDIA GeForce RTX 3090", "nvidia-smi", ("cuda",), False, 24 * 1024**3, 23 * 1024**3, pcie=(4, 16))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements that take no time, and a card."""
    memory, disk = (Quantity(value=value, low=value / 2, high=value, source="measured", date="2026-01-01") for value in (20e9, 2e9))
    monkeypatch.setattr(surveying, "measure_memory", lambda *_: Measured(memory))
    monkeypatch.setattr(surveying, "measure_disk", lambda *_: Measured(disk))
    monkeypatch.setattr(surveying, "look_for_nvidia", lambda: Sighting((CARD,)))
    for name in ("look_for_amd", "look_for_apple"):
        monkeypatch.setattr(surveying, name, lambda: Sighting())
    monkeypatch.setattr(surveying, "board_names", lambda: ())
    monkeypatch.setattr(surveying, "cpu_identity", lambda: CpuIdentity("a processor that nobody knows", ()))


def test_the_list(call: Call) -> None:
    outcome = call("hardware", "list")
    assert outcome.code == 0
    assert [line.split()[0] for line in outcome.out.splitlines()] == profile_names()
    document = json.loads(call("hardware", "list", "--json").out)
    assert document["schema_version"] == 1
    rows = {row["name"]: row for row in document["profiles"]}
    assert list(rows) == profile_names()
    assert rows["ms-s1-max"]["modes"] == ["quiet", "balanced", "performance"]
    assert rows["ms-s1-max"]["default_mode"] == "performance"
    assert rows["ms-s1-max"]["unified"] and not rows["rtx-3090"]["unified"]
    assert "rocm" in rows["ms-s1-max"]["aliases"]
    assert rows["rtx-4090"]["capacity_bytes"]["vram"] == 24 * 1024**3


@pytest.mark.parametrize("name", profile_names())
def test_a_profile_is_shown_with_every_figure_and_source(name: str, call: Call) -> None:
    outcome = call("hardware", "show", name)
    assert (outcome.code, outcome.err) == (0, "")
    profile = find_profile(name)
    assert outcome.out.startswith(f"{profile.full_name}: ")
    for pool in profile.pools.values():
        assert pool.capacity_bytes.source in outcome.out
    for processor in profile.processors:
        for kind, peak in processor.flop_per_s.items():
            assert f"flop_per_s.{kind}: {peak.value / 1e12:.4g} TFLOP/s" in outcome.out
            assert peak.source in outcome.out
    for mode in profile.modes:
        assert f"mode {mode}" in outcome.out
    document = json.loads(call("hardware", "show", name, "--json").out)
    assert document["schema_version"] == 1
    assert (document["name"], document["mode"]) == (profile.name, profile.mode)
    assert len(document["processors"]) == len(profile.processors)


def test_units_and_intervals(call: Call) -> None:
    shown = call("hardware", "show", "Jetson Orin Nano Super:7W").out
    assert "capacity_bytes: 8.00 GiB = 8.59 GB (NVIDIA" in shown
    assert "usable_bytes: 4.66 GiB = 5.00 GB, 4.19 GiB to 6.71 GiB (as jetson-orin-nano" in shown
    assert "bandwidth_bytes_per_s: 68.3 GB/s (NVIDIA" in shown
    assert "clock_hz: 0.408 GHz (" in shown
    assert "peak_w: 7 W (" in shown
    assert "mode 7w (applied): " in shown and "mode 25w (default): " in shown


def test_names_that_are_wrong(call: Call) -> None:
    assert_one_line(call("hardware", "show", "ms-s1"), 2, "did you mean ms-s1-max", "mmpredict hardware list")
    assert_one_line(call("hardware", "show", "jetson"), 2, "could be jetson-agx-orin-32gb", "choose one")
    assert_one_line(call("hardware", "show", "ms-s1-max:loud"), 2, "unknown power mode of ms-s1-max 'loud'")
    assert_one_line(call("hardware", "show", "none.toml"), 2, "none.toml", "No such file")


def test_detection_for_people(call: Call, quick: None) -> None:
    outcome = call("hardware", "detect")
    assert outcome.code == 0
    assert "bandwidth_bytes_per_s: 20 GB/s, 10 GB/s to 20 GB/s (measured)" in outcome.out
    assert "read_bytes_per_s: 2 GB/s, 1 GB/s to 2 GB/s (measured)" in outcome.out
    assert "gpu: NVIDIA GeForce RTX 3090, 10496 cores, reads vram" in outcome.out
    assert "shipped profile rtx-3090" in outcome.out
    assert "not seen: NPUs, power draw and temperatures: not looked for." in outcome.out
    assert outcome.err == "looking …\n"


def test_what_is_detected_can_be_used(call: Call, quick: None, place: Path) -> None:
    before = files(place)
    outcome = call("hardware", "detect", "--name", "My-Box", "--output", "mine.toml", "--json")
    assert outcome.code == 0
    assert {name for name in files(place) if name not in before} == {"work/mine.toml"}
    assert "use it with --hardware mine.toml" in outcome.err
    document = json.loads(outcome.out)
    assert document["schema_version"] == 1
    assert document["recognised"] == {"profile": "rtx-3090", "by": "NVIDIA GeForce RTX 3090", "whole_machine": False}
    profile = find_profile("mine.toml")
    assert profile.name == "my-box"
    assert document["profile"] == {**profile.model_dump(mode="json"), "mode": None}
    assert profile.gpu is not None and profile.gpu.context_bytes is not None
    shown = call("hardware", "show", "mine.toml", "--json")
    assert json.loads(shown.out)["pools"] == document["profile"]["pools"]
    text = Path("mine.toml").read_text("utf-8")
    assert text.startswith("# Written by: mmpredict hardware detect\n")
    assert "# Not seen: " in text
    # every command that takes a machine takes this one
    predicted = call("predict", "scenario.toml", "--hardware", "mine.toml", "--draws", "2", "--json")
    assert predicted.code == 0
    provenance = json.loads(predicted.out)["predictions"]["sequential"]["provenance"]
    assert profile.like == "rtx-3090"  # whose published speeds are those of the same card
    assert provenance[0].startswith("my-box, gpu: ") and provenance[0].endswith("on this hardware")


def test_without_measurements_nothing_is_measured(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("measure_memory", "measure_disk"):
        monkeypatch.setattr(surveying, name, lambda *_: pytest.fail("something was measured"))
    document = json.loads(call("hardware", "detect", "--no-probe", "--json").out)
    assert document["profile"]["storage"] == []
    assert any("measurements were left out" in sentence for sentence in document["not_seen"])


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("--name", "ms-s1-max"), 2, "'ms-s1-max' is the name of another profile"),
        (("--name", "my box"), 2, "'my box' is no name for a profile; use letters, digits, '-', '_' and '.', as in 'my-box'"),
        (("--output", "none/mine.toml"), 1, "cannot write none/mine.toml"),
    ],
)
def test_detection_that_cannot_be_kept(
    arguments: tuple[str, ...], code: int, word: str, call: Call, quick: None, place: Path
) -> None:
    before = files(place)
    outcome = call("hardware", "detect", "--no-probe", *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert word in outcome.err and "Traceback" not in outcome.err
    assert files(place) == before


def test_busy_machines_are_warned_of(call: Call, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmpredict.hardware import telemetry

    monkeypatch.setattr(telemetry, "busy_cores", lambda: 1.5)
    assert "other programs keep 1.5 cores busy" in call("hardware", "detect").err
    assert "busy" not in call("hardware", "detect", "--no-probe").err


def test_as_installed_with_its_own_measurements(place: Path) -> None:
    outcome = command(place, "hardware", "detect", "--json", "--output", "mine.toml")
    assert outcome.code == 0
    document = json.loads(outcome.out)
    assert document["profile"]["processors"][0]["bandwidth_bytes_per_s"]["value"] > 1e8
    assert find_profile(str(place / "work" / "mine.toml")).cpu.cores >= 1
    assert [name for name in files(place) if name.startswith(("temporary", "cache"))] == []


def test_interrupted_it_leaves_nothing(place: Path) -> None:
    before = files(place)
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, "hardware", "detect", "--output", "mine.toml"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=place / "work",
    ) as process:
        assert process.stderr is not None
        assert any("looking" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(30) == 130
    assert "interrupted" in said and "Traceback" not in said
    assert files(place) == before
