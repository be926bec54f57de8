"""Files of rates: what is written is read back, and nothing else is taken for one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mmpredict.cost.library import family_name, family_path, rates_path, shipped_rates_directory
from mmpredict.cost.rates.choice import measured_rates, related_rates
from mmpredict.cost.rates.rates import PhaseError, Rate, Rates, read_rates
from mmpredict.cost.rates.step_terms import decode_terms, prompt_terms
from mmpredict.errors import FileFormatError, InputError
from mmpredict.hardware.library import find_profile
from mmpredict.models.catalog import catalog_spec
from mmpredict.models.spec import ModelSpec

SHIPPED = sorted(shipped_rates_directory().rglob("*.json"))
STRIX = rates_path(shipped_rates_directory(), "ms-s1-max", "performance", "vulkan", "gpu")


@pytest.fixture
def model() -> ModelSpec:
    return catalog_spec("qwen2.5-7b", "Q4_K_M")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_shipped_files_are_whole_and_come_back_as_they_were_written(path: Path, tmp_path: Path) -> None:
    rates = read_rates(path)
    copy = tmp_path / "copy.json"
    copy.write_text(rates.to_json(), "utf-8")
    assert read_rates(copy) == rates
    assert copy.read_bytes() == path.read_bytes()
    assert rates.rows > 0
    assert rates.models
    assert rates.sources


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 99},
        {"processor": "npu"},
        {"bandwidth_bytes_per_s": 0},
        {"bandwidth_bytes_per_s": float("inf")},
        {"rates": {"bandwidth": [float("nan"), 0.1]}},
        {"rates": {"bandwidth": [1.0, -0.1]}},
        {"rates": {"bandwidth": 3}},
        {"rates": []},
        {"errors": {"prompt": {}}},
        {"surplus": 1},
        {"rows": "many"},
    ],
)
def test_what_is_no_file_of_rates_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "rates.json"
    path.write_text(json.dumps(json.loads(STRIX.read_text("utf-8")) | change), "utf-8")
    with pytest.raises(FileFormatError, match="rates"):
        read_rates(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b"null", b'{"schema_version": 1}', b"[" * 100_000])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rates.json"
    path.write_bytes(content)
    with pytest.raises(FileFormatError):
        read_rates(path)
    with pytest.raises(InputError, match="cannot read"):
        read_rates(tmp_path / "missing.json")


def test_an_interval_is_wider_where_less_is_known(model: ModelSpec) -> None:
    known = read_rates(STRIX)
    terms = decode_terms(model, 1, 0, 128)
    vague = Rates(**{**known.__dict__, "rates": {name: Rate(rate.log, rate.spread + 0.2) for name, rate in known.rates.items()}})
    assert vague.seconds(terms) == known.seconds(terms)
    assert vague.log_halfwidth(terms, "decode") > known.log_halfwidth(terms, "decode") > 0


def test_an_error_must_be_a_number() -> None:
    with pytest.raises(ValueError, match="scale"):
        PhaseError(rows=1, median=0.1, p90=0.2, bias=0.0, scale=0.0, covered=0.8)


def test_own_rates_come_before_published_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMPREDICT_DATA", str(tmp_path))
    published = measured_rates("ms-s1-max", "performance", "gpu", ["vulkan", "rocm"])
    assert published is not None
    assert published.basis == "published"
    own = rates_path(tmp_path / "rates", "ms-s1-max", "performance", "rocm", "gpu")
    own.parent.mkdir(parents=True)
    own.write_bytes(rates_path(shipped_rates_directory(), "ms-s1-max", "performance", "rocm", "gpu").read_bytes())
    found = measured_rates("ms-s1-max", "performance", "gpu", ["vulkan", "rocm"])
    assert found is not None
    assert (found.basis, found.rates.backend) == ("own", "rocm")
    assert "of yours" in found.sentence
    assert measured_rates("no-such-machine", "", "gpu", ["vulkan"]) is None


def test_what_was_not_measured_is_scaled_from_what_was(model: ModelSpec) -> None:
    quiet = related_rates(find_profile("ms-s1-max:quiet"), "gpu", ["vulkan"])
    usual = read_rates(STRIX)
    assert quiet.basis == "family"
    assert "quiet" in quiet.sentence
    prompt = prompt_terms(model, 512, 0)
    assert usual.seconds(prompt) < quiet.rates.seconds(prompt) < 1.4 * usual.seconds(prompt)
    relative = related_rates(find_profile("apple-m2-ultra"), "gpu", ["metal"])
    assert relative.basis == "family"
    assert "relatives" in relative.sentence
    assert relative.rates.machine == "apple-m2-ultra"
    common = read_rates(family_path(shipped_rates_directory(), family_name("metal", "gpu", True)))
    assert relative.rates.rates["bandwidth"].spread > common.rates["bandwidth"].spread


def test_a_data_sheet_alone_still_answers_with_a_wide_interval(model: ModelSpec) -> None:
    sheet = related_rates(find_profile("browser"), "gpu", ["webgpu"])
    assert sheet.basis == "data sheet"
    terms = decode_terms(model, 1, 0, 128)
    assert sheet.rates.log_halfwidth(terms, "decode") > 0.25
    assert 0.1 < 128 / sheet.rates.seconds(terms) < 20  # tokens/s of 35 GB/s on 4.4 GB


def test_a_machine_without_a_gpu_says_so() -> None:
    with pytest.raises(InputError, match="no GPU"):
        related_rates(find_profile("raspberry-pi-5"), "gpu", ["vulkan"])
