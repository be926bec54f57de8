"""Estimates add up, count what is shared once, and say what the server would do and what would help."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmpredict
from mmpredict.cost.memory import instance_memory
from mmpredict.cost.overhead import LLAMA_SERVER, OVERHEADS
from mmpredict.cost.placement import Placement, repacked_bytes
from mmpredict.errors import InputError, MmpredictError, UnknownNameError
from mmpredict.hardware import detect
from mmpredict.hardware.library import find_profile, profile_names
from mmpredict.hardware.profile import HardwareProfile
from mmpredict.models.cache import CacheOptions
from mmpredict.models.resolve import resolve
from mmpredict.results.estimate import Estimate, InstanceEstimate, Span
from mmpredict.sizing.estimate import estimate
from mmpredict.sizing.find_machine import shipped_machine, this_machine
from mmpredict.sizing.machine import machine_of
from mmpredict.units import GIB, MIB

SMALL, LARGE, MIXTURE = "qwen2.5:0.5b", "qwen2.5:7b", "qwen3:30b-a3b"
HOST = HardwareProfile.model_validate(
    {
        "name": "host",
        "pools": {
            "ram": {"capacity_bytes": 16 * GIB, "usable_bytes": {"value": 12e9, "low": 10e9, "high": 14e9}, "swap_bytes": 4e9}
        },
        "processors": [{"kind": "cpu", "model": "eight cores", "cores": 8, "features": ["avx2", "fma", "f16c"]}],
    }
)


def spans(found: Estimate) -> list[Span]:
    return [span for one in found.instances for span in (one.host_added, one.device_added)]


def alone(found: InstanceEstimate) -> float:
    return found.host.total + found.device.total - found.idle_bytes


def test_one_model_on_a_cpu_is_what_the_cost_model_says() -> None:
    found = estimate(LARGE, HOST, context_tokens=8192, slots=2, unified=True)
    spec = resolve(LARGE)
    placement = Placement(features=frozenset({"avx2", "fma", "f16c"}))
    memory = instance_memory(spec, CacheOptions(8192, 2), LLAMA_SERVER, placement, threads=8)
    (one,) = found.instances
    assert one.host.total == memory.total
    assert one.device.total == 0
    assert one.host_added.value == found.pools[0].needed.value == memory.total - one.idle_bytes
    # what was copied is not needed a second time, whatever of the file it lies in
    assert 0 < one.idle_bytes <= repacked_bytes(spec)


def test_bounds_are_those_of_the_engines_that_were_measured() -> None:
    (one,) = estimate(SMALL, HOST, context_tokens=4096).instances
    spec = resolve(SMALL)
    each = [overhead.shared_bytes + overhead.private_bytes(spec, 4) for overhead in OVERHEADS.values()]
    assert one.host_added.high - one.host_added.low == pytest.approx(max(each) - min(each))
    assert one.host_added.low <= one.host_added.value <= one.host_added.high


def test_instances_of_one_file_share_its_pages_and_the_program() -> None:
    found = estimate([SMALL] * 3, HOST, context_tokens=4096)
    first, second, third = found.instances
    in_use = first.host.mapped - first.idle_bytes
    assert first.host_added.value - second.host_added.value == pytest.approx(in_use + LLAMA_SERVER.shared_bytes)
    assert second.host_added == third.host_added
    assert found.pools[0].idle_bytes == first.idle_bytes
    assert found.pools[0].reclaimable_bytes == in_use


def test_files_of_different_models_share_only_the_program() -> None:
    one, other = (estimate(name, HOST, context_tokens=4096) for name in (SMALL, LARGE))
    both = estimate([SMALL, LARGE], HOST, context_tokens=4096)
    separate = one.pools[0].needed.value + other.pools[0].needed.value
    assert both.pools[0].needed.value == pytest.approx(separate - LLAMA_SERVER.shared_bytes)


def test_copies_on_a_gpu_are_not_shared() -> None:
    found = estimate([SMALL] * 3, "rtx-4090", context_tokens=4096)
    vram, ram = found.pools
    assert (vram.name, ram.name) == ("VRAM", "RAM")
    assert vram.needed.value == pytest.approx(3 * found.instances[0].device.total)
    assert found.instances[1].host_added.value < found.instances[0].host_added.value - 0.9 * found.instances[0].host.mapped


def test_apple_gpus_work_on_the_pages_of_the_file() -> None:
    two = estimate([LARGE] * 2, "apple-m4-max", context_tokens=4096)
    first, second = two.instances
    assert first.device.mapped == pytest.approx(first.file_bytes, rel=0.1)
    assert first.device.weights == 0
    assert second.device_added.value == pytest.approx(first.device_added.value - first.device.mapped)
    copied = estimate([LARGE] * 2, "apple-m4-max", context_tokens=4096, mapped=False)
    assert copied.instances[1].device.weights > 4e9
    assert copied.total.value > two.total.value + 4e9


def test_the_tied_matrix_of_an_apple_gpu_is_not_there_twice() -> None:
    (one,) = estimate(SMALL, "apple-m4-max", context_tokens=4096).instances
    assert one.host.mapped + one.device.mapped <= one.file_bytes


def test_an_integrated_gpu_reads_the_file_rather_than_mapping_it() -> None:
    (one,) = estimate(LARGE, "jetson-orin-nano", context_tokens=4096, gpu_layers="all").instances
    assert one.host.mapped == one.device.mapped == 0
    assert one.host.weights + one.device.weights == pytest.approx(one.file_bytes, rel=0.01)


@given(
    st.lists(st.sampled_from([SMALL, LARGE, MIXTURE, "gemma3:4b"]), min_size=1, max_size=4),
    st.sampled_from(["rtx-4090", "jetson-orin-nano", "apple-m1", "ms-s1-max", "raspberry-pi-5"]),
    st.sampled_from(["llama-server", "ollama"]),
    st.sampled_from([None, 2048, 16384]),
)
def test_everything_adds_up(models: list[str], hardware: str, engine: str, context: int | None) -> None:
    found = estimate(models, hardware, engine=engine, context_tokens=context)  # type: ignore[arg-type]
    assert [one.model for one in found.instances] == models
    system = [pool for pool in found.pools if "share" not in pool.name]
    assert sum(pool.needed.value for pool in system) == pytest.approx(found.total.value)
    for span in (*spans(found), *(pool.needed for pool in found.pools)):
        assert 0 <= span.low <= span.value <= span.high
    together = sum(alone(one) for one in found.instances)
    assert found.total.value <= together + 1
    for pool in found.pools:
        assert pool.remains_bytes == pool.usable.value - pool.needed.value
        assert pool.fits == (pool.remains_bytes >= 0)
    assert found.fits == all(pool.fits for pool in found.pools)


@given(st.integers(1, 30), st.sampled_from(["f16", "q8_0", "q4_0"]))
def test_more_context_never_needs_less(steps: int, kind: str) -> None:
    smaller, larger = (
        estimate(SMALL, HOST, context_tokens=256 * count, key_type=kind, value_type=kind) for count in (steps, steps + 1)
    )
    assert smaller.total.value <= larger.total.value


def test_verdicts_follow_the_intervals() -> None:
    needed = estimate(LARGE, HOST, context_tokens=4096).pools[0].needed

    def verdict(low: float, value: float, high: float) -> tuple[str, bool]:
        ram = HOST.pools["ram"].model_copy(
            update={"usable_bytes": HOST.pools["ram"].usable_bytes.model_copy(update={"low": low, "value": value, "high": high})}
        )
        found = estimate(LARGE, HOST.model_copy(update={"pools": {"ram": ram}}), context_tokens=4096)
        return found.verdict, found.fits

    assert verdict(needed.high, needed.high, needed.high) == ("fits", True)
    assert verdict(needed.value - 1e9, needed.high, needed.high + 1e9) == ("fits only if", True)
    assert verdict(needed.value - 2e9, needed.value - 1e9, needed.high + 1e9) == ("fits only if", False)
    assert verdict(1e9, needed.low - 2e9, needed.low - 1e9) == ("does not fit", False)


@pytest.mark.parametrize(
    ("models", "budget", "words"),
    [
        ([LARGE], 4.2e9, "read from disk again"),
        ([LARGE], 2.5e9, "the system swaps"),
        ([LARGE] * 8, 2e9, "the 3.73 GiB of swap are not enough either"),
    ],
)
def test_what_happens_when_memory_ends(models: list[str], budget: float, words: str) -> None:
    found = estimate(models, HOST, context_tokens=4096, budget_bytes=budget)
    assert not found.fits
    assert any(words in sentence for sentence in found.physics)


def test_a_card_of_another_size() -> None:
    small, large = (estimate(LARGE, HOST, context_tokens=4096, vram_bytes=size * GIB) for size in (4, 8))
    assert small.instances[0].gpu_layers < large.instances[0].gpu_layers == large.instances[0].most_gpu_layers == 29
    assert small.pools[0].needed.value <= 4 * GIB - 1024 * MIB + 1
    assert small.instances[0].gpu_layers <= (small.instances[0].fitting_gpu_layers or 0) < 29
    assert (large.pools[0].usable, large.pools[0].name) == (Span.exact(8 * GIB), "VRAM")


def test_layers_that_fit_are_the_most_that_do() -> None:
    found = estimate(LARGE, HOST, context_tokens=8192, vram_bytes=4 * GIB, gpu_layers="all")
    assert not found.fits
    most = found.instances[0].fitting_gpu_layers
    assert most is not None
    for layers, fits in ((most, True), (most + 1, False)):
        assert estimate(LARGE, HOST, context_tokens=8192, vram_bytes=4 * GIB, gpu_layers=layers).fits == fits


def test_later_servers_find_less_room_on_the_gpu() -> None:
    found = estimate([LARGE] * 5, "rtx-4090", context_tokens=16384)
    layers = [one.gpu_layers for one in found.instances]
    assert layers[:3] == [29, 29, 29]
    assert layers == sorted(layers, reverse=True)
    assert layers[-1] < 29
    assert found.pools[0].remains_bytes >= 1024 * MIB - 457 * MIB


def test_experts_stay_with_the_cpu_on_a_small_card() -> None:
    (one,) = estimate(MIXTURE, "rtx-4090", context_tokens=4096, vram_bytes=8 * GIB).instances
    assert one.gpu_layers == one.most_gpu_layers
    assert 5e9 < one.kept_bytes < one.host.mapped


def test_llama_server_takes_its_own_defaults_and_says_so() -> None:
    found = estimate(SMALL, HOST)
    (one,) = found.instances
    assert (one.context_tokens, one.slots, one.unified, one.ubatch_tokens) == (32768, 4, True, 512)
    assert "4 slots that share the context" in found.defaults
    (split,) = estimate(SMALL, HOST, slots=2).instances
    assert (split.context_tokens, split.slot_tokens, split.unified) == (65536, 32768, False)
    (short,) = estimate(SMALL, HOST, slots=2, context_tokens=3000).instances
    assert (short.context_tokens, short.slot_tokens) == (3000, 1536)


def test_ollama_takes_its_own_defaults() -> None:
    cpu, small, large = (estimate(LARGE, hardware, engine="ollama").instances[0] for hardware in (HOST, "rtx-4090", "ms-s1-max"))
    assert (cpu.slot_tokens, small.slot_tokens, large.slot_tokens) == (4096, 32768, 32768)
    assert estimate("llama3.1:8b", "ms-s1-max", engine="ollama").instances[0].slot_tokens == 131072
    assert cpu.host.mapped == 0
    assert estimate(LARGE, HOST, engine="ollama", context_tokens=4096, slots=3).instances[0].context_tokens == 3 * 4096
    assert (cpu.ubatch_tokens, small.ubatch_tokens) == (512, 1024)


def test_ollama_unloads_what_its_own_arithmetic_does_not_allow() -> None:
    found = estimate(["gemma3:27b", "gemma3:4b"], "rtx-4090", engine="ollama", context_tokens=32768)
    assert found.fits
    assert [one.loaded for one in found.instances] == [False, True]
    assert any("Ollama predicts" in rule for rule in found.rules)


def test_ollama_keeps_three_models_without_a_gpu_whatever_their_size() -> None:
    four = estimate([SMALL, "qwen2.5:1.5b", "qwen2.5:3b", "qwen2.5:72b"], HOST, engine="ollama")
    assert [one.loaded for one in four.instances] == [False, True, True, True]
    assert not four.fits


def test_ollama_runs_one_instance_per_model() -> None:
    twice = estimate([SMALL, SMALL], "rtx-4090", engine="ollama")
    assert "one instance per model" in twice.instances[1].server
    assert all(one.loaded for one in twice.instances)


def test_the_embedded_engine_runs_as_this_project_starts_it() -> None:
    (one,) = estimate(SMALL, "rtx-4090", engine="embedded").instances
    assert (one.context_tokens, one.slots, one.gpu_layers, one.unified) == (4096, 4, 0, True)


def test_encoders_have_no_cache_and_say_nothing_of_prompts() -> None:
    found = estimate("nomic-embed-text", HOST)
    assert found.instances[0].host.kv_cache == 0
    assert found.instances[0].host.compute > 0
    assert not any("--cache-ram" in doubt for doubt in found.doubts)


def test_advice_is_exact_to_one_step() -> None:
    found = estimate(LARGE, HOST, context_tokens=4096, slots=1, budget_bytes=5.5e9, advice=True)
    assert found.advice is not None
    largest = found.advice.largest_context_tokens
    assert largest is not None
    assert not found.advice.whole_context
    for context, fits in ((largest, True), (largest + 256, False)):
        assert estimate(LARGE, HOST, context_tokens=context, slots=1, budget_bytes=5.5e9).fits == fits


def test_the_whole_training_context_where_there_is_room() -> None:
    found = estimate(SMALL, HOST, context_tokens=4096, advice=True)
    assert found.advice is not None
    assert (found.advice.largest_context_tokens, found.advice.whole_context, found.advice.remedies) == (32768, True, ())


def test_remedies_do_what_they_promise() -> None:
    found = estimate(LARGE, HOST, context_tokens=32768, slots=1, budget_bytes=5.5e9, advice=True)
    assert not found.fits
    assert found.advice is not None
    remedies = {remedy.change: remedy for remedy in found.advice.remedies}
    assert remedies[f"--ctx {found.advice.largest_context_tokens}"].fits
    smaller = remedies["--kv-type q8_0"]
    again = estimate(LARGE, HOST, context_tokens=32768, slots=1, budget_bytes=5.5e9, key_type="q8_0", value_type="q8_0")
    assert smaller.needed == again.pools[0].needed
    assert smaller.fits == again.fits
    requantized = next(remedy for change, remedy in remedies.items() if " as " in change)
    assert requantized.needed.value < found.pools[0].needed.value


def test_when_nothing_helps_alone_everything_is_tried_at_once() -> None:
    found = estimate("llama3.1:70b", HOST, context_tokens=8192, budget_bytes=20e9, advice=True)
    assert found.advice is not None
    assert found.advice.largest_context_tokens is None
    assert not any(remedy.fits for remedy in found.advice.remedies)
    assert found.advice.remedies[-1].change.startswith("all at once")
    assert found.advice.remedies[-1].needed.value == min(remedy.needed.value for remedy in found.advice.remedies)


def test_instances_that_cannot_share_their_copies_could() -> None:
    found = estimate([LARGE] * 3, HOST, context_tokens=4096, advice=True, budget_bytes=8e9)
    assert found.advice is not None
    remedy = next(one for one in found.advice.remedies if one.change.startswith("--no-repack"))
    assert remedy.fits
    assert remedy.needed == estimate([LARGE] * 3, HOST, context_tokens=4096, repacking=False).pools[0].needed


@pytest.mark.parametrize(
    ("models", "options", "words"),
    [
        ("qwen2.5:8b", {}, "qwen2.5:7b"),
        (SMALL, {"hardware": "rtx-4091"}, "rtx-4090"),
        (SMALL, {"context_tokens": 0}, "context: 0 is not between"),
        (SMALL, {"context_tokens": -5}, "context: -5"),
        (SMALL, {"context_tokens": 10**9}, "between 1 and 16777216"),
        (SMALL, {"slots": 0}, "slots: 0"),
        (SMALL, {"slots": 257}, "slots: 257"),
        (SMALL, {"key_type": "q3_0"}, "q4_0|q8_0"),
        (SMALL, {"value_type": "q8_0", "flash_attention": False}, "flash attention"),
        (SMALL, {"gpu_layers": 5}, "has no GPU"),
        (SMALL, {"gpu_layers": "all"}, "has no GPU"),
        (SMALL, {"gpu_layers": -1}, "GPU layers: -1"),
        (SMALL, {"gpu_layers": "some"}, "all, none or fit"),
        (SMALL, {"engine": "vllm"}, "unknown engine"),
        (SMALL, {"engine": "ollama", "key_type": "q8_0", "value_type": "q4_0"}, "one type"),
        (SMALL, {"engine": "ollama", "unified": True}, "cache of its own"),
        (SMALL, {"engine": "embedded", "hardware": "rtx-4090", "gpu_layers": "all"}, "CPU build"),
        (SMALL, {"unified": False}, "--parallel 4"),
        (SMALL, {"budget_bytes": 0}, "budget of 0"),
        (SMALL, {"vram_bytes": -1}, "VRAM of -1"),
        ([], {}, "0 models"),
        ("whisper-large-v3@F16", {}, "is a model for audio.*its weights alone are"),
        ("vit-base-patch16-224@F16", {}, "is a model for vision"),
    ],
)
def test_what_cannot_be_answered_is_said(models: str | list[str], options: dict[str, object], words: str) -> None:
    with pytest.raises(MmpredictError, match=words):
        estimate(models, **{"hardware": HOST, **options})  # type: ignore[arg-type]


def test_every_shipped_machine_can_be_asked() -> None:
    for name in profile_names():
        found = estimate(SMALL, name, context_tokens=2048)
        assert found.hardware.startswith(name)
        assert found.total.value > 5e8


def test_machines_are_read_from_their_files_as_their_profiles_have_them() -> None:
    names = [name for name in profile_names() if name != "this-machine"]
    modes = [f"{name}:{mode}" for name in names for mode in find_profile(name).modes]
    assert len(names) >= 15
    assert len(modes) >= 6
    for name in (*names, *modes, "RTX 4090", "Jetson Orin Nano 8GB", "strix halo"):
        assert shipped_machine(name) == machine_of(find_profile(name)), name


def test_this_machine_is_as_its_profile_has_it() -> None:
    ours, profile = this_machine(), machine_of(find_profile())
    free = profile.host.usable
    assert replace(ours, host=replace(ours.host, usable=free, source=profile.host.source)) == profile
    assert ours.host.usable.value == pytest.approx(free.value, rel=0.1)


def test_names_of_machines_are_kept_but_free_memory_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shipped_machine("rtx-4090") is shipped_machine("rtx-4090")
    with pytest.raises(UnknownNameError):
        shipped_machine("no such machine at all")
    this_machine()
    monkeypatch.setattr(detect, "usable_memory", lambda: detect.UsableMemory(8 * GIB, 5 * GIB, None, 0))
    assert this_machine().host.usable == Span.exact(5 * GIB)


def test_a_machine_that_says_little() -> None:
    silent = replace(machine_of(HOST), features=frozenset())
    assert estimate(SMALL, HOST.model_copy(update={"processors": (HOST.cpu.model_copy(update={"features": ()}),)})).doubts
    assert silent.device is None


def test_the_result_is_plain_data() -> None:
    document = estimate([SMALL, LARGE], "jetson-orin-nano", advice=True).to_dict()
    again = json.loads(json.dumps(document, allow_nan=False))
    assert again == document
    assert document["schema_version"] == 1
    assert set(document) >= {"verdict", "fits", "pools", "instances", "advice", "doubts", "sources", "defaults", "rules"}


def test_the_public_name_and_what_it_loads() -> None:
    assert mmpredict.estimate is estimate
    code = (
        "import sys, mmpredict; mmpredict.estimate('qwen2.5:7b', 'rtx-4090', context_tokens=4096, advice=True); "
        "print(*[name for name in ('numpy', 'scipy', 'pandas', 'matplotlib', 'rich', 'typer') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""


def test_more_models_than_anybody_runs() -> None:
    with pytest.raises(InputError, match="1001 models"):
        estimate([SMALL] * 1001, HOST)
