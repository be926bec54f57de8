"""From names to models, and the advice for names that are none."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mmpredict.errors import FileFormatError, InputError, UnknownNameError
from mmpredict.models import catalog
from mmpredict.models.catalog import CATALOG
from mmpredict.models.resolve import materialize, resolve
from mmpredict.models.synthetic import cached_path, synthetic_spec

NAME = "synthetic:tiny@q8_0"

# Numbers of parameters as the models' own safetensors files have them (huggingface.co, "Model size").
PUBLISHED_PARAMETERS = {
    "smollm2-135m": 134_515_008,
    "smollm2-360m": 361_821_120,
    "smollm2-1.7b": 1_711_376_384,
    "tinyllama-1.1b": 1_100_048_384,
    "llama3.2-1b": 1_235_814_400,
    "llama3.2-3b": 3_212_749_824,
    "llama3.1-8b": 8_030_261_248,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-3b": 3_085_938_688,
    "qwen2.5-7b": 7_615_616_512,
    "gemma-2b": 2_506_172_416,
    "gemma3-270m": 268_098_176,
    "gemma3-1b": 999_885_952,
}


@pytest.fixture(autouse=True)
def tiny_shape_and_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMPREDICT_CACHE", str(tmp_path / "cache"))
    tiny = replace(CATALOG["qwen2.5-0.5b"], name="tiny", n_layers=2, n_embd=128, n_heads=2, n_ff=256, n_vocab=300)
    monkeypatch.setitem(catalog.CATALOG, "tiny", tiny)


def test_every_real_model_of_the_catalog_has_its_published_size() -> None:
    assert set(PUBLISHED_PARAMETERS) == {name for name in CATALOG if not name.startswith(("probe-", "tiny"))} | {"tinyllama-1.1b"}
    for name, parameters in PUBLISHED_PARAMETERS.items():
        assert resolve(f"synthetic:{name}@f16").parameters == parameters


def test_synthetic_model_is_described_without_being_written() -> None:
    spec = resolve(NAME)
    assert spec == replace(synthetic_spec(NAME), name=NAME, path=cached_path(NAME))
    assert spec.path is not None
    assert not spec.path.exists()


def test_synthetic_model_is_written_once_and_then_reads_the_same() -> None:
    spec = resolve(NAME)
    calls: list[int] = []
    path = materialize(spec, progress=lambda done, total: calls.append(done))
    assert path == spec.path
    assert calls[-1] == spec.weight_bytes
    assert materialize(spec, progress=lambda done, total: pytest.fail("written again")) == path
    assert resolve(str(path)) == replace(spec, name=str(path), source="GGUF header")


def test_cache_that_moves_between_the_two_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = resolve(NAME)
    monkeypatch.setenv("MMPREDICT_CACHE", str(tmp_path / "elsewhere"))
    assert materialize(spec) == spec.path


def test_files_are_found_from_the_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    shutil.copy(materialize(resolve(NAME)), tmp_path / "models" / "Mine.GGUF")
    spec = resolve("models/Mine.GGUF", base=tmp_path)
    assert (spec.name, spec.path) == ("models/Mine.GGUF", tmp_path / "models" / "Mine.GGUF")
    assert materialize(spec) == spec.path
    absolute = str(tmp_path / "models" / "Mine.GGUF")
    assert resolve(absolute, base=Path("/nowhere")).path == spec.path
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/models/Mine.GGUF", base=Path("/nowhere")).path == spec.path


@pytest.mark.parametrize("name", ["missing.gguf", "~nobody-of-this-name/x.gguf", "folder.gguf"])
def test_missing_files(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.gguf").mkdir()
    with pytest.raises(InputError, match=f"cannot read '.*{name}'"):
        resolve(name, base=tmp_path)


def test_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"PK\3\4 and so on")
    with pytest.raises(FileFormatError, match="not a GGUF file"):
        resolve("x.gguf", base=tmp_path)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("qwen2.5:0.5b", r"did you mean synthetic:qwen2\.5-0\.5b@q8_0\?"),
        ("llama3.2-1b@q4_k", r"did you mean synthetic:llama3\.2-1b@q4_k\?"),
        ("SmolLM2-135M@q9", "did you mean .*synthetic:smollm2-135m@q8_0"),
        ("gemma", "did you mean synthetic:gemma-2b@q8_0 or "),
        ("zzz", r"allowed: a path that ends in \.gguf, or "),
        ("", "unknown model ''; allowed: a path"),
        ("model.safetensors\n", "a path"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(name: str, advice: str) -> None:
    with pytest.raises(InputError, match=advice) as caught:
        resolve(name)
    assert "\n" not in str(caught.value)
    assert "synthetic:ARCHITECTURE@TYPE" in str(caught.value)


def test_unknown_synthetic_names_are_the_catalogs_business() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown architecture .*; did you mean .*qwen2\.5-0\.5b"):
        resolve("synthetic:qwen2.5-0.6b@q8_0")
    with pytest.raises(InputError, match="names no quantization"):
        resolve("synthetic:qwen2.5-0.5b")


def test_specs_without_a_file() -> None:
    spec = synthetic_spec(NAME)
    with pytest.raises(InputError, match="'tiny@q8_0' has no file"):
        materialize(spec)
    with pytest.raises(InputError, match=r"has no file at /nowhere/x\.gguf"):
        materialize(replace(spec, path=Path("/nowhere/x.gguf")))
