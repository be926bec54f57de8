"""Every machine that ships: a possible one, described by figures of which each names its source."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from mmpredict.hardware.library import find_profile, profile_names, profiles_directory, read_aliases, shipped_aliases
from mmpredict.hardware.profile import HardwareProfile, Quantity, load_profile, parse_profile
from mmpredict.hardware.spelling import key

SHIPPED = sorted(profiles_directory().glob("*.toml"))
DESIGNED = {
    *("ms-s1-max", "jetson-orin-nano", "jetson-orin-nano-super", "jetson-agx-orin-32gb", "jetson-agx-orin-64gb"),
    *("jetson-orin-nx-16gb", "rtx-3090", "rtx-4090", "ryzen-9-5950x", "raspberry-pi-5", "browser", "h100", "h200"),
    *("apple-m1", "apple-m1-max", "apple-m2-ultra", "apple-m3-max", "apple-m4", "apple-m4-pro", "apple-m4-max"),
}
# What data sheets say of each machine: cores, GPU cores, memory that the GPU reads [GB], its peak bandwidth [GB/s].
DATA_SHEET = {
    "ms-s1-max": (16, 40, 128, 256),
    "jetson-orin-nano": (6, 1024, 8, 68),
    "jetson-orin-nano-super": (6, 1024, 8, 102),
    "jetson-orin-nx-16gb": (8, 1024, 16, 102),
    "jetson-agx-orin-32gb": (8, 1792, 32, 205),
    "jetson-agx-orin-64gb": (12, 2048, 64, 205),
    "rtx-3090": (16, 10496, 24, 936),
    "rtx-4090": (12, 16384, 24, 1008),
    "apple-m1": (4, 8, 16, 68),
    "apple-m1-max": (8, 32, 64, 400),
    "apple-m2-ultra": (16, 76, 192, 800),
    "apple-m3-max": (12, 40, 64, 400),
    "apple-m4": (4, 10, 16, 120),
    "apple-m4-pro": (10, 20, 48, 273),
    "apple-m4-max": (12, 40, 128, 546),
}


def quantities(part: object, where: str = "") -> Iterator[tuple[str, Quantity]]:
    """Every figure of a profile with its key."""
    if isinstance(part, Quantity):
        yield where, part
    elif isinstance(part, BaseModel):
        for name in type(part).model_fields:
            yield from quantities(getattr(part, name), f"{where}.{name}")
    elif isinstance(part, dict):
        for name, value in part.items():
            yield from quantities(value, f"{where}.{name}")
    elif isinstance(part, tuple):
        for number, value in enumerate(part):
            yield from quantities(value, f"{where}.{number}")


def test_every_machine_of_the_design_ships() -> None:
    assert {path.stem for path in SHIPPED} == DESIGNED
    assert profile_names() == ["this-machine", *sorted(DESIGNED)]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_figure_has_a_source_and_an_honest_interval(path: Path) -> None:
    profile = load_profile(path)
    assert profile.name == path.stem
    assert profile.description
    found = dict(quantities(profile))
    assert len(found) >= 6
    for where, quantity in found.items():
        assert len(quantity.source) > 10, f"{where} does not say where it comes from"
        assert quantity.lower <= quantity.value <= quantity.upper
        if quantity.assumed:
            assert quantity.url == "" and quantity.lower < quantity.upper, f"{where} is assumed, and pretends to be sure"
        else:
            derived = any(sign in quantity.source for sign in ("×", "twice", "clpeak", "Specification", "high ="))
            own = "calibration/runs/" in quantity.source
            assert quantity.url.startswith("https://") or derived or own, f"{where} names no place to read it"


def test_the_walk_over_figures_finds_them_all() -> None:
    """The test above would be empty if it did not; count what the file itself writes as figures."""
    for path in SHIPPED:
        text = path.read_text("utf-8")
        assert len(dict(quantities(load_profile(path)))) == text.count("value = ")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_machine_is_possible(path: Path) -> None:
    profile = load_profile(path)
    for pool in profile.pools.values():
        assert 4e9 <= pool.usable_bytes.value <= pool.capacity_bytes.value <= 1e12
        assert pool.bandwidth_bytes_per_s is not None and 1e10 < pool.bandwidth_bytes_per_s.value < 1e13
    for processor in profile.processors:
        pool = profile.pool_of(processor)
        reads, peak = processor.bandwidth_bytes_per_s, pool.bandwidth_bytes_per_s
        assert reads is None or peak is None or reads.value <= peak.value, "nobody reads faster than the memory's peak"
        assert profile.usable_of(processor).value <= pool.usable_bytes.value
        assert processor.backends or processor.kind == "npu"
        for value in processor.flop_per_s.values():
            assert 1e10 < value.value < 1e15
        if processor.context_bytes is not None:
            assert processor.context_bytes.upper < 0.25 * profile.usable_of(processor).upper
        if processor.clock_hz is not None:
            assert 2e8 < processor.clock_hz.value < 6e9
    assert 1 <= profile.cpu.cores <= 64
    assert profile.cpu.backends == ("cpu",) or profile.name in ("browser", "ryzen-9-5950x")
    for storage in profile.storage:
        assert 1e7 < storage.read_bytes_per_s.value < 1.5e10
    if profile.gpu is not None and not profile.is_unified:
        assert profile.link_between(profile.cpu.pool, profile.gpu.pool) is not None
    if profile.idle_w and profile.peak_w:
        assert profile.idle_w.value < profile.peak_w.value


@pytest.mark.parametrize("name", sorted(DATA_SHEET))
def test_figures_of_the_data_sheets(name: str) -> None:
    profile = find_profile(name).unlimited
    cores, gpu_cores, gigabytes, bandwidth = DATA_SHEET[name]
    gpu, pool = profile.gpu, profile.gpu_pool
    assert gpu is not None and pool is not None and pool.bandwidth_bytes_per_s is not None
    assert (profile.cpu.cores, gpu.cores) == (cores, gpu_cores)
    assert pool.capacity_bytes.value == gigabytes * 2**30
    assert pool.bandwidth_bytes_per_s.value == pytest.approx(bandwidth * 1e9, rel=0.01)


@pytest.mark.parametrize("name", [*(name for name in sorted(DATA_SHEET) if name.startswith("jetson")), "rtx-3090", "rtx-4090"])
def test_fp32_peaks_are_what_cores_and_clock_give(name: str) -> None:
    gpu = find_profile(name).unlimited.gpu
    assert gpu is not None and gpu.clock_hz is not None
    assert gpu.flop_per_s["f32"].value == pytest.approx(2 * gpu.cores * gpu.clock_hz.value, rel=0.01)


def test_power_modes_of_the_documents() -> None:
    assert set(find_profile("jetson-orin-nano").modes) == {"7w", "15w"}
    assert set(find_profile("jetson-orin-nano-super").modes) == {"7w", "15w", "25w", "maxn_super"}
    assert set(find_profile("ms-s1-max").modes) == {"quiet", "balanced", "performance"}


def test_aliases_are_unique_across_files_and_names() -> None:
    names = {key(name): name for name in profile_names()}
    seen: dict[str, str] = {}
    for path in SHIPPED:
        for alias in load_profile(path).aliases:
            assert key(alias) not in names, f"{alias!r} of {path.stem} already is the name of {names[key(alias)]}"
            assert key(alias) not in seen, f"{alias!r} of {path.stem} already is an alias of {seen[key(alias)]}"
            seen[key(alias)] = path.stem
    assert len(seen) > 40


def test_reading_the_aliases_alone_finds_the_same() -> None:
    whole: dict[str, str] = {}
    for path in SHIPPED:
        text = path.read_text("utf-8")
        assert read_aliases(text) == list(tomllib.loads(text)["aliases"])
        whole.update(dict.fromkeys(load_profile(path).aliases, path.stem))
    assert shipped_aliases() == whole


def test_every_alias_says_why() -> None:
    for path in SHIPPED:
        assert all(why for why in load_profile(path).aliases.values())


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("cpu", "ryzen-9-5950x"),
        ("cuda", "rtx-3090"),
        ("rocm", "ms-s1-max"),
        ("openvino", "ryzen-9-5950x"),
        ("webgpu", "browser"),
        ("webnn", "browser"),
        ("mps", "apple-m3-max"),
    ],
)
def test_platform_words_mean_a_documented_profile(word: str, name: str) -> None:
    profile = find_profile(word)
    assert profile.name == name
    assert profile.aliases[word].startswith("platform word: ")
    page = (profiles_directory().parent / "docs" / "hardware.md").read_text("utf-8")
    assert f"| `{word}` | `{name}` |" in page
    offered = {backend for processor in profile.processors for backend in processor.backends}
    assert {"mps": "metal"}.get(word, word) in offered, "a platform's profile must have that platform"


def test_profiles_are_what_the_page_documents() -> None:
    page = (profiles_directory().parent / "docs" / "hardware.md").read_text("utf-8")
    for path in SHIPPED:
        assert f"`{path.stem}`" in page
    for model in (HardwareProfile, *(field for field in _parts())):
        for name in model.model_fields:
            assert f"`{name}`" in page, f"{model.__name__}.{name} is not documented"


def test_examples_of_the_page_are_profiles() -> None:
    page = (profiles_directory().parent / "docs" / "hardware.md").read_text("utf-8")
    figure, whole = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    assert Quantity.model_validate(tomllib.loads(f"x = {figure}".replace("…", "example.org"))["x"]).upper == 236e9
    box = parse_profile(whole, "docs/hardware.md")
    assert box.gpu is not None and box.link_between("ram", box.gpu.pool) is not None
    assert all(quantity.source for _, quantity in quantities(box))


def _parts() -> Iterator[type[BaseModel]]:
    from mmpredict.hardware.memory_pool import Link, MemoryPool, Storage
    from mmpredict.hardware.power_mode import PowerMode, ProcessorLimits
    from mmpredict.hardware.processor import Processor, Thermal

    yield from (Quantity, MemoryPool, Link, Storage, Processor, Thermal, PowerMode, ProcessorLimits)
