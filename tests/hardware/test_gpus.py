"""What vendors' tools and the kernel print of GPUs is read right, and what cannot be read becomes a sentence, never a failure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.hardware import board, nvidia
from mmpredict.hardware.amd import look_for_amd
from mmpredict.hardware.apple import parse_cores, parse_displays, parse_identity
from mmpredict.hardware.board import board_names, is_jetson, look_for_jetson, parse_nvpmodel
from mmpredict.hardware.cpu import CoreCount
from mmpredict.hardware.found_gpu import pcie_bytes_per_s
from mmpredict.hardware.nvidia import look_for_nvidia, parse_nvidia
from mmpredict.hardware.tool import Answer

MIB = 1024**2


def test_a_card_of_nvidia() -> None:
    seen = parse_nvidia("NVIDIA GeForce RTX 3090, 24576, 23872, 560.35.03, 8.6, 4, 16, 350.00\n")
    assert not seen.not_seen
    (gpu,) = seen.gpus
    assert gpu.model == "NVIDIA GeForce RTX 3090"
    assert (gpu.memory_bytes, gpu.free_bytes, gpu.unified) == (24576 * MIB, 23872 * MIB, False)
    assert (gpu.architecture, gpu.pcie, gpu.peak_w) == ("sm_86", (4, 16), 350.0)
    assert "560.35.03" in gpu.source


def test_two_cards_and_an_old_driver() -> None:
    seen = parse_nvidia("Tesla K80, 11441, 11000, 390.1\nTesla P4, 7611, 7000, 390.1\n")
    assert [(gpu.model, gpu.memory_bytes) for gpu in seen.gpus] == [("Tesla K80", 11441 * MIB), ("Tesla P4", 7611 * MIB)]
    assert [(gpu.architecture, gpu.pcie, gpu.peak_w) for gpu in seen.gpus] == [("", None, None)] * 2


@pytest.mark.parametrize("absent", ["[N/A]", "[Not Supported]", "N/A"])
def test_a_gpu_without_memory_of_its_own(absent: str) -> None:
    (gpu,) = parse_nvidia(f"NVIDIA GB10, {absent}, {absent}, 580.1, 12.1, {absent}, {absent}, {absent}\n").gpus
    assert (gpu.unified, gpu.memory_bytes, gpu.pcie, gpu.peak_w, gpu.architecture) == (True, None, None, None, "sm_121")


@pytest.mark.parametrize(
    "text",
    [
        "No devices were found",
        "a, b",
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
        ", 1, 2, 3",
        "RTX, much, 1, 560",
        "RTX, -5, 1, 560",
        "RTX, nan, 1, 560",
        "RTX, 99999999999, 1, 560",
        '"RTX, 1',
        "\x1b[31mRTX\x1b[0m",
    ],
)
def test_lines_that_cannot_be_read_become_sentences(text: str) -> None:
    seen = parse_nvidia(text)
    assert not seen.gpus
    assert len(seen.not_seen) == 1
    assert "\x1b" not in seen.not_seen[0]


@given(st.text(max_size=300))
def test_any_answer_of_nvidia_smi_is_read(text: str) -> None:
    for gpu in parse_nvidia(text).gpus:
        assert gpu.model.isprintable()
        assert gpu.memory_bytes is None or gpu.memory_bytes > 0
        assert gpu.free_bytes is None or gpu.memory_bytes is None or gpu.free_bytes <= gpu.memory_bytes


def test_a_driver_that_refuses_the_question_is_asked_a_shorter_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(*command: str) -> Answer:
        asked.append(command[1])
        return (
            Answer(trouble="nvidia-smi failed: not a valid field")
            if "compute_cap" in command[1]
            else Answer("Tesla K80, 11441, 11000, 390.1")
        )

    monkeypatch.setattr(nvidia, "ask", answer)
    assert [gpu.model for gpu in look_for_nvidia().gpus] == ["Tesla K80"]
    assert len(asked) == 2


@pytest.mark.parametrize("trouble", ["nvidia-smi is not installed", "nvidia-smi did not answer within 8 s"])
def test_no_nvidia_tool(monkeypatch: pytest.MonkeyPatch, trouble: str) -> None:
    monkeypatch.setattr(nvidia, "ask", lambda *_: Answer(trouble=trouble))
    assert look_for_nvidia().not_seen == (f"NVIDIA GPUs: {trouble}.",)


@pytest.mark.parametrize(
    ("generation", "lanes", "gigabytes"),
    [(1, 16, 4.0), (2, 1, 0.5), (3, 16, 15.75), (4, 16, 31.5), (4, 4, 7.88), (5, 16, 63.0), (6, 16, 121.0)],
)
def test_bandwidth_of_slots(generation: int, lanes: int, gigabytes: float) -> None:
    assert pcie_bytes_per_s(generation, lanes) == pytest.approx(gigabytes * 1e9, rel=2e-3)


@pytest.mark.parametrize(("generation", "lanes"), [(0, 16), (9, 16), (4, 0), (4, 64)])
def test_slots_that_do_not_exist(generation: int, lanes: int) -> None:
    assert pcie_bytes_per_s(generation, lanes) is None


def card(root: Path, name: str, **entries: str) -> Path:
    """A card as the kernel shows it."""
    device = root / "sys/class/drm" / name / "device"
    device.mkdir(parents=True)
    for entry, text in entries.items():
        (device / entry).write_text(f"{text}\n")
    return device


def test_an_integrated_gpu_of_amd(tmp_path: Path) -> None:
    card(
        tmp_path,
        "card1",
        vendor="0x1002",
        device="0x1586",
        mem_info_vram_total=str(512 * MIB),
        mem_info_vram_used=str(100 * MIB),
        mem_info_gtt_total=str(112 * 1024 * MIB),
        mem_info_gtt_used=str(2 * 1024 * MIB),
    )
    card(tmp_path, "card1-HDMI-A-1", vendor="0x1002")
    seen = look_for_amd(tmp_path)
    assert not seen.not_seen
    (gpu,) = seen.gpus
    assert (gpu.model, gpu.unified) == ("Radeon 8060S (Strix Halo)", True)
    assert (gpu.memory_bytes, gpu.free_bytes, gpu.reach_bytes) == (512 * MIB, 412 * MIB, 110 * 1024 * MIB)


def test_a_card_of_amd_is_told_by_what_its_driver_offers(tmp_path: Path) -> None:
    memory = {"mem_info_vram_total": str(24 * 1024 * MIB), "mem_info_gtt_total": str(64 * 1024 * MIB)}
    card(tmp_path, "card0", vendor="0x1002", device="0x9999", mem_busy_percent="0", **memory)
    card(
        tmp_path,
        "card1",
        vendor="0x1002",
        device="0x9998",
        mem_info_vram_total=str(512 * MIB),
        mem_info_gtt_total=str(16 * 1024 * MIB),
    )
    big, small = look_for_amd(tmp_path).gpus
    assert (big.unified, big.reach_bytes) == (False, None)
    assert (small.unified, small.reach_bytes) == (True, 16 * 1024 * MIB)
    assert big.notes and small.notes, "what was concluded from the driver alone is said"


def test_other_gpus_are_named_as_not_seen(tmp_path: Path) -> None:
    card(tmp_path, "card0", vendor="0x8086", device="0x56a0")
    card(tmp_path, "card1", vendor="0x1234", device="0x1111")
    card(tmp_path, "card2", vendor="0x10de", device="0x2204")  # NVIDIA's own tool tells of it
    card(tmp_path, "card3", vendor="0x1002", device="0x744c", mem_info_vram_total="lots")
    card(tmp_path, "card4")
    seen = look_for_amd(tmp_path)
    assert not seen.gpus
    assert [sentence.split()[0] for sentence in seen.not_seen] == ["Intel", "Display", "AMD"]


def test_a_system_without_a_list_of_cards(tmp_path: Path) -> None:
    seen = look_for_amd(tmp_path)
    assert not seen.gpus and len(seen.not_seen) == 1


SYSCTL = """machdep.cpu.brand_string: Apple M3 Max
hw.physicalcpu: 16
hw.perflevel0.physicalcpu: 12
hw.perflevel1.physicalcpu: 4
hw.optional.AdvSIMD: 1
hw.optional.arm.FEAT_DotProd: 1
hw.optional.arm.FEAT_I8MM: 1
hw.optional.arm.FEAT_SME: 0
"""


def test_the_processor_of_a_mac() -> None:
    found = parse_identity(SYSCTL)
    assert found is not None
    assert (found.model, found.features) == ("Apple M3 Max", ("asimd", "asimddp", "i8mm"))
    assert parse_cores(SYSCTL) == CoreCount(12, efficiency_cores=4)
    assert parse_cores("hw.physicalcpu: 8") == CoreCount(8)
    assert parse_identity("") is parse_cores("") is parse_cores("hw.physicalcpu: many") is None


def test_the_gpu_of_a_mac() -> None:
    (gpu,) = parse_displays(
        json.dumps(
            {
                "SPDisplaysDataType": [
                    {"_name": "x", "sppci_model": "Apple M3 Max", "sppci_cores": "40", "spdisplays_vendor": "sppci_vendor_Apple"}
                ]
            }
        )
    ).gpus
    assert (gpu.model, gpu.cores, gpu.unified, gpu.backends) == ("Apple M3 Max", 40, True, ("metal",))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"SPDisplaysDataType": 5}',
        '{"SPDisplaysDataType": [5, {"sppci_model": "AMD Radeon Pro"}]}',
        "[" * 100_000,
    ],
)
def test_a_mac_that_does_not_tell_its_gpu(text: str) -> None:
    seen = parse_displays(text)
    assert not seen.gpus and len(seen.not_seen) == 1


def test_a_core_count_that_is_none() -> None:
    (gpu,) = parse_displays('{"SPDisplaysDataType": [{"sppci_model": "Apple M9", "sppci_cores": "99999999"}]}').gpus
    assert gpu.cores == 0


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("NV Power Mode: 15W\n0\n", "15w"),
        ("NV Power Mode: MODE_30W\n2\n", "30w"),
        ("NVPM WARN: fan mode\nNV Power Mode: MAXN_SUPER\n2", "maxn-super"),
        ("NV Power Mode:\n0", None),
        ("NV Power Mode: \x1b[31m", None),
        ("", None),
    ],
)
def test_power_modes_of_jetsons(text: str, mode: str | None) -> None:
    assert parse_nvpmodel(text) == mode


def test_a_jetson_is_known_by_its_device_tree(tmp_path: Path) -> None:
    tree = tmp_path / "proc/device-tree"
    tree.mkdir(parents=True)
    (tree / "model").write_bytes(b"NVIDIA Jetson Orin Nano Developer Kit\0rest")
    names = board_names(tmp_path)
    assert names == ("NVIDIA Jetson Orin Nano Developer Kit",)
    assert is_jetson(names)
    (gpu,) = look_for_jetson(names).gpus
    assert gpu.unified and gpu.backends == ("cuda",)


def test_boards_without_a_telling_name(tmp_path: Path) -> None:
    dmi = tmp_path / "sys/class/dmi/id"
    dmi.mkdir(parents=True)
    (dmi / "product_name").write_text("To Be Filled By O.E.M.\n")
    (dmi / "board_name").write_text("MS-S1 MAX\x1b\n")
    assert board_names(tmp_path) == ("MS-S1 MAX",)
    assert not is_jetson(board_names(tmp_path))
    assert look_for_jetson(()) == look_for_jetson(("Raspberry Pi 5",))
    assert not look_for_jetson(()).gpus


def test_a_jetson_that_does_not_tell_its_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "ask", lambda *_: Answer(trouble="nvpmodel is not installed"))
    assert board.jetson_mode() == (None, "Power mode: nvpmodel is not installed.")
