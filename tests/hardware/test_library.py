"""Names as people write them find their profile; others are answered with the nearest and the command that lists them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.hardware import library
from mmpredict.hardware.detect import THIS_MACHINE
from mmpredict.hardware.library import MAX_NAME, check_name, find_profile, profile_names, recognise, resolve_name
from mmpredict.hardware.profile import load_profile
from mmpredict.hardware.spelling import key, slug, squash

GOOD = """
name = "bench"
pools.ram = { capacity_bytes = 8e9, usable_bytes = 6e9 }
processors = [{ kind = "cpu", model = "four cores", cores = 4 }]
"""


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        *((spelling, "ms-s1-max") for spelling in ("ms-s1-max", "MS-S1-Max", "ms_s1_max", "MS S1 MAX", "Minisforum MS-S1 MAX")),
        *(
            (spelling, "ms-s1-max")
            for spelling in ("Ryzen AI Max+ 395", "AMD Ryzen AI MAX+ 395", "strix halo", "Strix-Halo", "gfx1151")
        ),
        *((spelling, "rtx-4090") for spelling in ("rtx4090", "RTX 4090", "NVIDIA GeForce RTX 4090", "geforce_rtx_4090", "4090")),
        *((spelling, "jetson-orin-nano") for spelling in ("Jetson Orin Nano 8GB", "Jetson Orin Nano 8 GB", "orin nano")),
        *((spelling, "jetson-orin-nano-super") for spelling in ("Jetson Orin Nano Super", "JETSON_ORIN_NANO_SUPER 8GB")),
        *((spelling, "apple-m1-max") for spelling in ("Apple M1 Max", "m1 max", "M1Max", "m1_max")),
        *((spelling, "apple-m4") for spelling in ("m4", "Apple M4")),
        *((spelling, "raspberry-pi-5") for spelling in ("Raspberry Pi 5", "RPi5", "pi 5", "Raspberry Pi 5 Model B Rev 1.0")),
        *((spelling, "ryzen-9-5950x") for spelling in ("AMD Ryzen 9 5950X 16-Core Processor", "5950x", "Ryzen 9 5950X", "CPU")),
        *((spelling, THIS_MACHINE) for spelling in (THIS_MACHINE, "This-Machine", "this machine", "THIS_MACHINE")),
    ],
)
def test_names_are_found_as_people_write_them(spelling: str, name: str) -> None:
    assert resolve_name(spelling) == name
    assert find_profile(spelling).name == name


@given(st.sampled_from(profile_names()[1:]), st.data())
def test_case_and_separators_do_not_matter(name: str, data: st.DataObject) -> None:
    written = name.replace("-", data.draw(st.sampled_from(["-", "_", " ", ""])))
    assert resolve_name(data.draw(st.sampled_from([written.upper(), written.title(), written.lower()]))) == name


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    nearest = r"unknown hardware 'ms-s1'; did you mean ms-s1-max\? \(mmpredict hardware list\)"
    with pytest.raises(UnknownNameError, match=nearest) as caught:
        find_profile("ms-s1")
    assert caught.value.exit_code == 2
    with pytest.raises(UnknownNameError, match="did you mean strix halo"):
        find_profile("strix helo")
    with pytest.raises(UnknownNameError, match=r"unknown hardware 'halo strix'; known: ms-s1-max"):
        find_profile("halo strix")
    with pytest.raises(UnknownNameError, match="known: apple-m1, "):
        find_profile("")
    with pytest.raises(UnknownNameError, match="known: apple-m1, "):
        find_profile("zzz")


def test_a_name_of_several_machines_lists_them() -> None:
    listed = r"'jetson' could be jetson-agx-orin-32gb, .*jetson-orin-nx-16gb; choose one \(mmpredict hardware list\)"
    with pytest.raises(InputError, match=listed):
        find_profile("jetson")
    with pytest.raises(InputError, match="'apple' could be apple-m1, "):
        find_profile("apple")
    with pytest.raises(InputError, match="'rtx' could be rtx-3090, rtx-4090"):
        find_profile("rtx")


@given(st.text(max_size=MAX_NAME + 50))
def test_any_text_is_a_name_or_a_clean_error(text: str) -> None:
    try:
        assert find_profile(text).name in profile_names()
    except InputError as error:
        assert len(str(error)) < 3 * MAX_NAME + 1000


def test_a_name_is_not_a_way_out_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shipped").mkdir()
    (tmp_path / "secret.toml").write_text(GOOD)
    monkeypatch.setattr(library, "profiles_directory", lambda: tmp_path / "shipped")
    for name in ("../secret", "..%2fsecret", str(tmp_path / "secret")):
        with pytest.raises(InputError):
            find_profile(name)


def test_a_file_is_a_profile_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.TOML"
    path.write_text(GOOD)
    profile = find_profile(str(path))
    assert (profile.name, profile.cpu.cores, profile.cpu_memory.usable_bytes.value) == ("bench", 4, 6e9)
    assert not profile.cpu_memory.usable_bytes.source


def test_a_file_may_have_modes(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('default_mode = "low"' + GOOD + "[modes.low.cpu]\ncores = 2\n[modes.high]\n")
    assert find_profile(str(path)).full_name == "bench:low"
    assert find_profile(f"{path}:low").cpu.cores == 2
    assert find_profile(f"{path}:high").cpu.cores == 4


def test_a_direct_name_reads_one_file_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "shipped_aliases", lambda: pytest.fail("the aliases were read for a name that needs none"))
    assert find_profile("ms-s1-max").name == find_profile("MS_S1 MAX").name == "ms-s1-max"
    assert find_profile("rtx4090").name == "rtx-4090"


def test_an_alias_parses_one_profile_only(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(library, "load_profile", lambda path: (read.append(path), load_profile(path))[1])
    assert find_profile("strix halo:quiet").full_name == "ms-s1-max:quiet"
    assert [path.stem for path in read] == ["ms-s1-max"]


def test_hardware_names_itself() -> None:
    assert recognise("NVIDIA GeForce RTX 3090") == "rtx-3090"
    assert recognise("Apple M3 Max") == "apple-m3-max"
    assert recognise("Intel(R) Xeon(R) Processor") is None
    assert recognise("") is recognise("???") is None
    assert recognise(THIS_MACHINE) is None


@pytest.mark.parametrize("name", ["my-box", "My-Box.2", "a"])
def test_a_name_of_ones_own(name: str) -> None:
    assert check_name(name) == name.lower()


@pytest.mark.parametrize("name", ["", "my box", "-box", "ms-s1-max", "This-Machine", "b" * 61, "a:b", "ä"])
def test_a_name_that_cannot_be_given(name: str) -> None:
    with pytest.raises(InputError, match="name"):
        check_name(name)


def test_spellings() -> None:
    assert squash("RTX 4090") == squash("rtx_4090") == "rtx4090"
    assert key("NVIDIA GeForce RTX 4090") == "rtx4090"
    assert key("Apple") == "apple", "a maker alone is not nothing"
    assert slug("Intel(R) Xeon(R) Processor 2 cores") == "intel-xeon-processor-2-cores"
