"""The documents' figures come out, and what is said about differences is true."""

from __future__ import annotations

import json

import pytest

from mmpredict.models.resolve import resolve
from mmpredict.results.documents import Documents
from mmpredict.sizing.documents import documents
from mmpredict.sizing.estimate import estimate
from mmpredict.sizing.quants import requantized
from mmpredict.units import GB, GIB


@pytest.fixture(scope="module")
def found() -> Documents:
    return documents()


def test_placements_are_sums_of_files(found: Documents) -> None:
    assert [(row.stated_gb, row.stated_left_gb) for row in found.placements] == [(33, 95), (56, 72), (31, 97)]
    for row in found.placements:
        files = sum(count * resolve(name).file_bytes for name, count in row.models.items()) / GB
        assert row.files_gb == pytest.approx(files)
        assert abs(row.files_gb - row.stated_gb) < 2
        assert row.why[0].startswith("the document counts files alone")
        assert row.short_gb > row.files_gb
        assert row.left_gb == pytest.approx(found.usable_gb - row.short_gb)


def test_three_instances_need_three_copies(found: Documents) -> None:
    row = found.placements[2]
    assert row.models["qwen2.5:14b"] == 3
    assert row.default_gb < row.short_gb
    assert any("Ollama would run one with 3 slots" in sentence for sentence in row.why)


def test_footprints_are_weights_in_16_bits_as_gib(found: Documents) -> None:
    stated = {"qwen2.5:0.5b": 0.9, "qwen2.5:1.5b": 2.9, "qwen2.5:3b": 5.8, "qwen2.5:7b": 8.0}
    for row in found.footprints:
        assert row.stated_ram_gb == stated[row.model]
        weights = requantized(resolve(row.model), "F16").weight_bytes / GIB
        assert row.half_gib == pytest.approx(weights)
        assert f"{weights:.2f} GiB" in row.why[0]
        explained = row.stated_gb if row.model == "qwen2.5:7b" else row.stated_ram_gb
        assert weights == pytest.approx(explained, rel=0.03)
        assert row.quantized_gb < row.half_gb


def test_scenarios_are_those_of_the_document(found: Documents) -> None:
    first, second, third = found.scenarios
    assert (first.stated_gb, second.stated_gb) == (4.5, 4.7)
    assert not first.half_fits
    assert first.quantized_fits
    assert any("its own table says 7.8 GB" in sentence and "qwen2.5:1.5b" in sentence for sentence in second.why)
    assert not third.quantized_fits


def test_layers_that_are_said_to_fit_do_and_one_more_does_not(found: Documents) -> None:
    assert len(found.layers) == 16
    row = next(row for row in found.layers if row.name == "13B Q4" and row.vram_gib == 8)
    assert (row.low, row.high) == (10, 15)
    for layers, fits in ((row.fitting, True), (row.fitting + 1, False)):
        again = estimate("llama2:13b-chat-q4_K_M", "rtx-4090", context_tokens=2048, slots=1, gpu_layers=layers, vram_bytes=8 * GIB)
        assert again.pools[0].fits == fits
    for row in found.layers:
        assert row.served <= row.fitting <= row.layers
        assert row.taken_gib < row.vram_gib
    assert any("13B Q4 on 8 GiB: 15 layers take" in sentence for sentence in found.layers_why)


def test_the_result_is_plain_data(found: Documents) -> None:
    document = found.to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
