"""The catalog: names, rows, and files in every quantization, against sizes that others published."""

from __future__ import annotations

import json
import statistics
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.models import catalog
from mmpredict.models.catalog import CATALOG, canonical, catalog_spec, projector_spec, row, shape, spec_of, uniform_spec
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.models.rows import raw_rows
from mmpredict.models.shape import Window, local_layers
from mmpredict.models.vocabulary import TOKENIZERS, tokenizer_bytes

ROOT = Path(__file__).parents[2]
MEDIAN_ERROR, LARGEST_ERROR = 0.001, 0.02  # what the issue asks for is 0.005 and 0.02

# As the checkpoints' config.json have them, written down independently of the rows: layers, width, heads, heads of keys and
# values, head, feed-forward, vocabulary, context, tied, base of the rotary encoding.
HYPERPARAMETERS = {
    "smollm2-135m": (30, 576, 9, 3, 64, 1536, 49152, 8192, True, 1e5),
    "smollm2-360m": (32, 960, 15, 5, 64, 2560, 49152, 8192, True, 1e5),
    "smollm2-1.7b": (24, 2048, 32, 32, 64, 8192, 49152, 8192, True, 1.3e5),
    "tinyllama-1.1b": (22, 2048, 32, 4, 64, 5632, 32000, 2048, False, 1e4),
    "llama3.2-1b": (16, 2048, 32, 8, 64, 8192, 128256, 131072, True, 5e5),
    "llama3.2-3b": (28, 3072, 24, 8, 128, 8192, 128256, 131072, True, 5e5),
    "llama3.1-8b": (32, 4096, 32, 8, 128, 14336, 128256, 131072, False, 5e5),
    "qwen2.5-0.5b": (24, 896, 14, 2, 64, 4864, 151936, 32768, True, 1e6),
    "qwen2.5-7b": (28, 3584, 28, 4, 128, 18944, 152064, 32768, False, 1e6),
    "gemma-2b": (18, 2048, 8, 1, 256, 16384, 256000, 8192, True, 1e4),
    "gemma3-1b": (26, 1152, 4, 1, 256, 6912, 262144, 32768, True, 1e6),
    "probe-narrow": (16, 768, 12, 4, 64, 2048, 131072, 8192, True, 1e4),
    "probe-deep": (32, 640, 10, 2, 64, 2560, 8192, 8192, True, 1e4),
    "probe-heads": (6, 1024, 8, 8, 128, 2048, 8192, 8192, True, 1e4),
    "probe-large": (8, 2560, 20, 4, 128, 8192, 8192, 8192, True, 1e4),
    "probe-wide": (6, 2048, 16, 4, 128, 5120, 32768, 8192, False, 1e4),
}


@pytest.mark.parametrize(("name", "values"), HYPERPARAMETERS.items())
def test_hyperparameters(name: str, values: tuple[object, ...]) -> None:
    model = shape(name)
    assert (model.n_layers, model.n_embd, model.n_heads, model.n_kv_heads, model.key_dim, model.n_ff) == values[:6]
    assert (model.n_vocab, model.context_length, model.tied, model.rope_base) == values[6:]
    assert model.value_dim == model.key_dim


def test_windows() -> None:
    assert shape("gemma3-1b").window == Window(512, local_layers(26, 6))
    assert shape("gpt-oss-20b").window == Window(128, local_layers(24, 2))
    assert shape("llama4-scout").window == Window(8192, local_layers(48, 4))
    assert shape("mistral-7b-v0.1").window is None  # llama.cpp does not use Mistral's


def test_every_row_can_be_read_and_names_its_source() -> None:
    for name in CATALOG:
        model, known = CATALOG[name], row(name)
        assert model.name == name
        assert known.source.count("/") == 1 or known.source == "no real model", name
        assert known.tokenizer in (*TOKENIZERS, "pairs", "pieces"), name
        assert model.n_vocab or model.architecture == "clip"
    assert sum(name.startswith("probe-") for name in CATALOG) == 8
    assert len(CATALOG) > 230


def test_published_sizes(sizes: ModuleType) -> None:
    rows = sizes.published_sizes()
    errors = {f"{entry.model} {entry.quantization} {entry.source}": abs(entry.error) for entry in rows}
    assert len(rows) >= 300
    assert len({entry.model for entry in rows}) >= 100
    assert statistics.median(errors.values()) <= MEDIAN_ERROR
    worst = max(errors, key=lambda key: errors[key])
    assert errors[worst] <= LARGEST_ERROR, worst


def test_published_sizes_that_nothing_explains(sizes: ModuleType) -> None:
    left_out = sizes.published_sizes("unexplained_sizes")
    assert all(entry.reason and entry.source for entry in left_out)
    errors = sorted(abs(entry.error) for entry in (*sizes.published_sizes(), *left_out))
    assert statistics.median(errors) <= MEDIAN_ERROR
    assert sum(error <= LARGEST_ERROR for error in errors) / len(errors) >= 0.96


def test_weights_of_a_published_file_are_exact_to_the_byte() -> None:
    # bartowski's files: everything but the weights is the same in each of them
    published = {
        "Q2_K": 3_015_940_800,
        "Q3_K_M": 3_808_391_872,
        "Q4_K_M": 4_683_074_240,
        "Q6_K": 6_254_199_488,
        "Q8_0": 8_098_525_888,
    }
    rests = {size - catalog_spec("qwen2.5-7b", name, imatrix=True).weight_bytes for name, size in published.items()}
    assert rests == {5_954_240}


def test_experts_that_were_published_quantized_stay_so() -> None:
    mixed, half = catalog_spec("gpt-oss-20b", "MXFP4_MOE"), catalog_spec("gpt-oss-20b", "f16")
    assert {tensor.type.name for tensor in half.tensors if tensor.is_expert and tensor.name.endswith("weight")} == {"mxfp4"}
    assert {tensor.type.name for tensor in half.tensors if "attn_q.weight" in tensor.name} == {"f16"}
    # what llama-bench prints: 11.27 and 12.83 GiB (github.com/ggml-org/llama.cpp/discussions/15396, ricka-org/ms-s1_max_review)
    assert f"{mixed.weight_bytes / 2**30:.2f}" == "11.27"
    assert f"{half.weight_bytes / 2**30:.2f}" == "12.83"


def test_uniform_spec_has_one_type_for_matrices() -> None:
    spec = uniform_spec("smollm2-135m", weight_type("q8_0"))
    assert {tensor.type.name for tensor in spec.tensors if len(tensor.shape) > 1} == {"q8_0"}
    assert {tensor.type.name for tensor in spec.tensors if len(tensor.shape) == 1} == {"f32"}
    assert spec.name == "smollm2-135m@q8_0"
    assert (spec.parameters, spec.metadata_bytes) == (134_515_008, 0)
    assert uniform_spec("qwen2.5-0.5b", weight_type("q4_k")).weight_types == {"q5_0", "q4_k"}  # rows of 896 do not fit


def test_names_are_read_leniently() -> None:
    for written, meant in {
        "Qwen/Qwen2.5-7B-Instruct": "qwen2.5-7b",
        "qwen2.5:7b": "qwen2.5-7b",
        "Meta-Llama-3.1-8B-Instruct": "llama3.1-8b",
        "Llama-3.1-8B": "llama3.1-8b",
        "google/gemma-3-4b-it": "gemma3-4b",
        "Gemma 3 4B": "gemma3-4b",
        "openai/gpt-oss-20b": "gpt-oss-20b",
        "BERT-base-uncased": "bert-base-uncased",
        "microsoft/phi-4": "phi4-14b",
    }.items():
        assert canonical(written) == meant
    with pytest.raises(UnknownNameError, match=r"'qwen2.6-7b'; did you mean qwen2.5-7b.*mmpredict models list"):
        shape("qwen2.6-7b")
    with pytest.raises(UnknownNameError, match=r"quantization 'Q4_K_Q'"):
        catalog_spec("qwen2.5-7b", "Q4_K_Q")
    with pytest.raises(InputError, match=r"whisper.cpp does not quantize to Q4_K_M; allowed: F32, F16"):
        catalog_spec("whisper-tiny", "Q4_K_M")


def test_catalog_can_be_changed_for_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = replace(shape("smollm2-135m"), name="tiny", n_layers=1)
    monkeypatch.setitem(catalog.CATALOG, "tiny", tiny)
    assert shape("tiny") is tiny
    assert len(uniform_spec("tiny", weight_type("f16")).tensors) == 11
    assert catalog_spec("tiny", "Q4_K_M").shape is tiny
    monkeypatch.delitem(catalog.CATALOG, "smollm2-135m")
    assert "smollm2-135m" not in list(CATALOG)
    with pytest.raises(KeyError):
        CATALOG["smollm2-135m"]
    with pytest.raises(KeyError):
        del CATALOG["smollm2-135m"]
    with pytest.raises(UnknownNameError):
        shape("smollm2-135m")
    with pytest.raises(UnknownNameError):
        row("no-such")


def test_projectors_have_their_published_size() -> None:
    eyes = projector_spec("gemma3-4b")
    assert eyes
    # mmproj-model-f16.gguf of ggml-org/gemma-3-4b-it-GGUF: 851,251,104 bytes
    assert eyes.file_bytes == pytest.approx(851_251_104, rel=1e-5)
    assert eyes.shape.signal
    assert (eyes.shape.signal.size, eyes.shape.signal.projection) == (896, 2560)
    seen = projector_spec("qwen2.5-vl-7b")
    assert seen
    assert seen.parameters == 676_550_144
    assert projector_spec("qwen2.5-7b") is None
    assert shape("gemma3-4b").kind == "multimodal"


def test_vocabularies_are_guessed_when_not_named() -> None:
    llama = shape("llama3.1-8b")
    assert tokenizer_bytes(llama) == tokenizer_bytes(llama, "llama3") == TOKENIZERS["llama3"]
    assert tokenizer_bytes(replace(llama, n_vocab=77_777)) == 77_777 * 40
    assert tokenizer_bytes(replace(shape("gemma-2b"), n_vocab=77_777)) == 77_777 * 24
    assert spec_of(llama, "Q8_0").metadata_bytes == catalog_spec("llama3.1-8b", "Q8_0").metadata_bytes


def test_rows_hold_only_known_keys() -> None:
    allowed = {"source", "tokenizer", "like", "config", "draft", "rules", "kind", "architecture", "quantized"}
    for name, values in raw_rows().items():
        assert set(values) <= allowed, name
        assert "like" in values or {"source", "tokenizer", "config"} <= set(values), name
    names = [
        name for path in sorted((ROOT / "mmpredict/models/published").glob("*.json")) for name in json.loads(path.read_bytes())
    ]
    assert len(names) == len(set(names))
