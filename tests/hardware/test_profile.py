"""The schema: figures are in order and finite, parts fit together, and broken profiles are explained with the key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mmpredict.errors import FileFormatError, InputError
from mmpredict.hardware.library import find_profile
from mmpredict.hardware.profile import MAX_PROFILE_BYTES, HardwareProfile, Quantity, load_profile, parse_profile

GOOD = """
name = "bench"
pools.ram = { capacity_bytes = 8e9, usable_bytes = 6e9 }
processors = [{ kind = "cpu", model = "four cores", cores = 4 }]
"""
CARD = """
name = "desk"
default_mode = "low"
[pools.ram]
capacity_bytes = 64e9
usable_bytes = 60e9
bandwidth_bytes_per_s = 50e9
[pools.vram]
capacity_bytes = 24e9
usable_bytes = 23e9
[[processors]]
kind = "cpu"
model = "host"
cores = 8
clock_hz = 4e9
[[processors]]
kind = "gpu"
model = "card"
pool = "vram"
bandwidth_bytes_per_s = 900e9
[[links]]
kind = "PCIe"
pools = ["ram", "vram"]
bandwidth_bytes_per_s = 31.5e9
[[storage]]
kind = "nvme"
read_bytes_per_s = 5e9
[modes.low.cpu]
cores = 4
clock_hz = 2e9
[modes.low.pools.ram]
bandwidth_bytes_per_s = 25e9
"""
NUMBERS = st.floats(min_value=0, max_value=1e24, allow_nan=False)


@given(st.lists(NUMBERS, min_size=3, max_size=3))
def test_a_quantity_is_ordered_or_refused(numbers: list[float]) -> None:
    low, value, high = sorted(numbers)
    quantity = Quantity(value=value, low=low, high=high)
    assert (quantity.lower, quantity.value, quantity.upper) == (low, value, high)
    if low < value < high:
        for wrong in ((value, low, high), (low, high, value), (high, value, low)):
            with pytest.raises(ValidationError, match="not in this order"):
                Quantity(low=wrong[0], value=wrong[1], high=wrong[2])


@given(NUMBERS)
def test_a_bare_number_is_a_quantity_without_interval(value: float) -> None:
    quantity = Quantity.model_validate(value)
    assert (quantity.lower, quantity.value, quantity.upper, quantity.source) == (value, value, value, "")


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), True, "8e9", 1e25, None, [1]])
def test_what_is_no_finite_number_is_no_quantity(wrong: object) -> None:
    with pytest.raises(ValidationError):
        Quantity.model_validate(wrong)
    with pytest.raises(ValidationError):
        Quantity.model_validate({"value": wrong})


@given(st.lists(st.floats(min_value=0, max_value=1e9), min_size=3, max_size=3), st.floats(min_value=0, max_value=1e9))
def test_a_limit_lowers_what_is_above_it_and_nothing_else(numbers: list[float], limit: float) -> None:
    low, value, high = sorted(numbers)
    lowered = Quantity(value=value, low=low, high=high, source="s").at_most(Quantity(value=limit), "limited")
    assert (lowered.lower, lowered.value, lowered.upper) == (min(low, limit), min(value, limit), min(high, limit))
    assert ("limited" in lowered.source) == (high > limit)


@given(st.lists(st.floats(min_value=0, max_value=1e9), min_size=6, max_size=6))
def test_a_product_keeps_the_order_and_names_its_reason(numbers: list[float]) -> None:
    ends = sorted(numbers[:3]), sorted(numbers[3:])
    first, second = (Quantity(low=low, value=value, high=high, source="s") for low, value, high in ends)
    product = first.times(second, "why")
    assert [product.lower, product.value, product.upper] == [one * other for one, other in zip(*ends, strict=True)]
    assert product.source == "s; why"
    assert Quantity(value=2).times(Quantity(value=3), "x").low is None


def test_sources_may_carry_dates_as_toml_writes_them() -> None:
    text = GOOD.replace("8e9", '{ value = 8e9, source = "s", url = "https://example.org/a", date = 2025-03-18 }')
    assert parse_profile(text, "here").pools["ram"].capacity_bytes.date == "2025-03-18"


@pytest.mark.parametrize(
    "wrong",
    [
        *('date = "March"', 'url = "javascript:alert(1)"', 'url = "example.org"'),
        *('source = "\\u001b[31mred"', 'source = "\\u009b31m"', "sauce = 1"),
    ],
)
def test_words_of_a_quantity_are_checked_too(wrong: str) -> None:
    with pytest.raises(FileFormatError, match=r"pools\.ram\.capacity_bytes"):
        parse_profile(GOOD.replace("8e9", f"{{ value = 8e9, {wrong} }}"), "here")


def test_what_a_profile_answers() -> None:
    desk = parse_profile(CARD, "here")
    assert desk.gpu is not None and desk.gpu.model == "card"
    assert desk.gpu_pool is desk.pools["vram"] is desk.pool_of(desk.gpu)
    assert desk.cpu_memory is desk.pools["ram"]
    assert not desk.is_unified
    assert desk.bandwidth_of(desk.gpu) == Quantity(value=900e9)
    assert desk.bandwidth_of(desk.cpu) == Quantity(value=50e9), "of its memory, where its own is not known"
    link = desk.link_between("vram", "ram")
    assert link is not None and link.bandwidth_bytes_per_s.value == 31.5e9
    assert desk.link_between("ram", "ram") is None
    bench = parse_profile(GOOD, "here")
    assert (bench.gpu, bench.gpu_pool, bench.is_unified, bench.bandwidth_of(bench.cpu)) == (None, None, False, None)
    assert (bench.mode, bench.full_name, bench.power_limit_w) == (None, "bench", None)


def test_a_driver_may_let_a_gpu_take_less_than_there_is() -> None:
    shared = """
    name = "shared"
    pools.ram = { capacity_bytes = 16e9, usable_bytes = 13e9, unified = true }
    processors = [{ kind = "cpu", model = "c", cores = 4 }, { kind = "gpu", model = "g", usable_bytes = %s }]
    """
    for own, usable in (("11e9", 11e9), ("14e9", 13e9)):
        profile = parse_profile(shared % own, "here")
        assert profile.is_unified and profile.gpu is not None
        assert profile.usable_of(profile.gpu).value == usable
        assert profile.usable_of(profile.cpu).value == 13e9


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cores = 4", "cores = 0", r"processors\.0: cores of a CPU must be 1 or more"),
        ("cores = 4", "cores = -4", r"processors\.0\.cores: .*greater than or equal to 0"),
        ("cores = 4", "cores = 4.0", r"processors\.0\.cores: .*integer"),
        ("cores = 4", "cores = 1000000", r"processors\.0\.cores: .*less than or equal to 100000"),
        (", cores = 4", "", r"processors\.0: cores of a CPU"),
        ('kind = "cpu"', 'kind = "tpu"', r"processors\.0\.kind: .*'cpu', 'gpu' or 'npu'"),
        ("cores = 4", 'cores = 4, pool = "vram"', r"processors\.0\.pool: 'four cores' reads pool 'vram'; pools are \['ram'\]"),
        ("cores = 4", "cores = 4, flop_per_s = { f12 = 1 }", r"processors\.0\.flop_per_s\.f12"),
        ("cores = 4", "cores = 4, idle_w = 9, peak_w = 5", r"processors\.0: idle_w 9 is more than peak_w 5"),
        ("cores = 4", "cores = 4, clock = 3", r"unknown key 'processors\.0\.clock'; did you mean 'clock_hz'\?"),
        ("8e9", "-8e9", r"pools\.ram\.capacity_bytes\.value"),
        ("8e9", '"much"', r"pools\.ram\.capacity_bytes"),
        ("8e9", "true", r"pools\.ram\.capacity_bytes"),
        ("8e9", "{ value = 8e9, low = 9e9 }", r"pools\.ram\.capacity_bytes: low 9e\+09, value 8e\+09"),
        ("6e9", "9e9", r"pools\.ram: usable_bytes 9e\+09 is more than capacity_bytes 8e\+09"),
        ("6e9", "6e9, unified = true", r"pools\.ram\.unified: CPU reads this pool; set unified = false"),
        ("6e9", "6e9, size = 1", r"unknown key 'pools\.ram\.size'; allowed: bandwidth_bytes_per_s, .*unified, usable_bytes"),
        ("6e9", "nan", r"pools\.ram\.usable_bytes\.value: .*finite"),
        ('"bench"', '"My Bench!"', "name: .*pattern"),
        ("name", "surname", "unknown key 'surname'; did you mean 'name'"),
        ('name = "bench"', "", "name: Field required"),
        ('name = "bench"', 'name = "bench"\nsockets = 2', "unknown key 'sockets'; allowed: aliases"),
        ('name = "bench"', 'name = "bench"\ndefault_mode = "low"', "default_mode: is 'low'; the profile has no modes"),
        ("name", "[name", "is not TOML"),
        (GOOD, "x = " + "[" * 5000 + "]" * 5000, "nested too deeply|is not TOML"),
    ],
)
def test_broken_profiles_are_explained_with_the_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    path = tmp_path / "broken.toml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(FileFormatError, match=message) as caught:
        load_profile(path)
    assert caught.value.exit_code == 2
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"ram", "vram"', '"ram", "tape"', r"links\.0\.pools: there is no pool 'tape'"),
        ('"ram", "vram"', '"ram", "ram"', r"links\.0: pools names 'ram' twice"),
        ('pool = "vram"', 'pool = "ram"', r"pools\.ram\.unified: CPU and GPU reads this pool; set unified = true"),
        ('default_mode = "low"', "", r"default_mode: is None; it must be one of the modes \['low'\]"),
        ('default_mode = "low"', 'default_mode = "high"', r"default_mode: is 'high'; it must be one of the modes"),
        ("cores = 4", "cores = 16", r"modes\.low\.cpu\.cores: 16 is more than the 8 there are"),
        ("clock_hz = 2e9", "clock_hz = 5e9", r"modes\.low\.cpu\.clock_hz: 5e\+09 is above the 4e\+09 without limits"),
        ("modes.low.cpu", "modes.low.npu", r"modes\.low\.npu: the profile has no processor of this kind"),
        ("modes.low.pools.ram", "modes.low.pools.tape", r"modes\.low\.pools: there is no pool 'tape'"),
        ("clock_hz = 2e9", "flop_factor = 1.5", r"modes\.low\.cpu\.flop_factor.value: .*less than or equal to 1"),
        ("clock_hz = 2e9", "flop_factor = 0", r"modes\.low\.cpu\.flop_factor.value: .*greater than 0"),
        ("clock_hz = 2e9", "clock = 2e9", r"unknown key 'modes\.low\.cpu\.clock'; did you mean 'clock_hz'"),
        ('kind = "nvme"', 'kind = "tape"', r"storage\.0\.kind"),
    ],
)
def test_what_a_profile_refers_to_must_exist(old: str, new: str, message: str) -> None:
    assert old in CARD
    with pytest.raises(FileFormatError, match=message):
        parse_profile(CARD.replace(old, new, 1), "here")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read hardware profile .*missing\.toml: No such file"):
        find_profile(str(tmp_path / "missing.toml"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(FileFormatError, match="is not TOML"):
        find_profile(str(tmp_path / "binary.toml"))
    with (tmp_path / "large.toml").open("wb") as file:
        file.truncate(MAX_PROFILE_BYTES + 1)
    with pytest.raises(FileFormatError, match="larger than"):
        find_profile(str(tmp_path / "large.toml"))
    with pytest.raises(InputError, match="cannot read hardware profile"):
        find_profile("null\0.toml")


@given(st.text(max_size=300))
def test_any_text_is_a_profile_or_a_clean_error(text: str) -> None:
    try:
        assert isinstance(parse_profile(text, "here"), HardwareProfile)
    except FileFormatError as error:
        assert str(error).startswith("here is")


def test_a_machine_without_a_cpu_says_so() -> None:
    with pytest.raises(InputError, match="'bench' has no processor of kind cpu"):
        _ = parse_profile(GOOD.replace('"cpu"', '"gpu"'), "here").cpu
