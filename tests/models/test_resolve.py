"""From names to models, and the advice for names that are none."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mmpredict.errors import FileFormatError, InputError, UnknownNameError
from mmpredict.models import catalog
from mmpredict.models.catalog import CATALOG, catalog_spec, projector_spec
from mmpredict.models.ollama import resolve_tag
from mmpredict.models.resolve import materialize, resolve
from mmpredict.models.shape import Shape
from mmpredict.models.synthetic import cached_path, synthetic_spec

NAME = "synthetic:tiny@q8_0"
CONFIG = {
    "model_type": "llama", "hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 512, "vocab_size": 1000, "max_position_embeddings": 2048, "tie_word_embeddings": False,
}  # fmt: skip


@pytest.fixture(autouse=True)
def tiny_shape_and_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMPREDICT_CACHE", str(tmp_path / "cache"))
    tiny = Shape("tiny", "qwen2", 2, 128, 300, 4096, 2, 1, 64, 64, 256, tied=True, source="a test")
    monkeypatch.setitem(catalog.CATALOG, "tiny", tiny)


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
    shape = replace(spec.shape, name=path.stem, source="GGUF header")
    assert resolve(str(path)) == replace(spec, name=str(path), shape=shape, source="GGUF header")


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


# --- models without a file --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", ["qwen2.5:7b", "llama3.1", "llama3.1:8b-instruct-q8_0", "gpt-oss:20b", "nomic-embed-text"])
def test_ollama_tags(tag: str) -> None:
    spec, expected = resolve(tag), resolve_tag(tag).specs()[0]
    assert spec == replace(expected, name=tag)


def test_a_model_of_the_catalog_is_what_ollama_would_pull() -> None:
    assert resolve("qwen2.5-7b").tensors == resolve("qwen2.5:7b").tensors == catalog_spec("qwen2.5-7b", "Q4_K_M").tensors
    assert resolve("gpt-oss-20b").tensors == resolve("gpt-oss:20b").tensors
    assert resolve("nomic-embed-text").tensors == catalog_spec("nomic-embed-text", "F16").tensors


@pytest.mark.parametrize("name", ["llama3.1-8b@Q5_K_M", "llama3.1:8b@q5_k_m", "meta-llama/Llama-3.1-8B-Instruct@q5km"])
def test_a_quantization_may_be_chosen(name: str) -> None:
    assert resolve(name) == replace(catalog_spec("llama3.1-8b", "Q5_K_M"), name=name)


@pytest.mark.parametrize(("name", "usual"), [("bert-base-uncased", "F16"), ("whisper-base", "F16"), ("glm-4-9b", "Q4_K_M")])
def test_what_ollama_has_not_is_stored_as_usual(name: str, usual: str) -> None:
    assert resolve(name).tensors == catalog_spec(name, usual).tensors


def test_eyes_are_mentioned() -> None:
    eyes = projector_spec("gemma3-4b")
    assert eyes is not None
    assert f"{eyes.weight_bytes / 2**20:.0f} MiB in 16 bits" in resolve("gemma3:4b").doubts[0]
    assert resolve("gemma3:1b").doubts == ()


def test_config_files_and_their_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    specs = [resolve(name, tmp_path) for name in ("mine/config.json@Q4_K_M", "./mine@q4_k_m", f"{folder}@Q4_K_M")]
    assert specs[0].tensors == specs[1].tensors == specs[2].tensors
    assert specs[0].name == "mine/config.json@Q4_K_M"
    assert (specs[0].shape.n_embd, specs[0].shape.n_kv_heads) == (256, 2)
    monkeypatch.chdir(folder)
    assert resolve(".@q4_k_m").tensors == specs[0].tensors
    with pytest.raises(InputError, match=r"does not say how the weights are stored; write for example \./mine@Q4_K_M"):
        resolve("./mine", tmp_path)
    with pytest.raises(FileFormatError, match="No such file"):
        resolve("other/config.json@q4_0", tmp_path)


def test_a_bare_word_is_a_model_even_beside_a_directory_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "qwen2.5-7b").mkdir()
    (tmp_path / "qwen2.5-7b" / "config.json").write_text(json.dumps(CONFIG))
    monkeypatch.chdir(tmp_path)
    assert resolve("qwen2.5-7b@q8_0").shape == CATALOG["qwen2.5-7b"]


def test_a_model_without_a_file_cannot_be_run() -> None:
    with pytest.raises(InputError, match=r"'qwen2.5:7b' has no file here.*synthetic:MODEL@QUANTIZATION"):
        materialize(resolve("qwen2.5:7b"))


# --- advice -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("qwenn2.5:7b", r"did you mean .*qwen2\.5"),
        ("lama3.1-8b@q4_k_m", r"did you mean .*llama3\.1-8b"),
        ("qwen2.5:8b", r"unknown tag 'qwen2\.5:8b'; did you mean qwen2\.5:7b"),
        ("zzz", r"unknown model 'zzz'; allowed: a path that ends in \.gguf, an Ollama tag"),
        ("", "unknown model ''; allowed: a path"),
        ("@", "unknown model '@'; allowed: a path"),
        ("model.safetensors\n", "a path"),
        ("some/body:7b", "unknown model 'some/body:7b'"),
        ("x/" * 3000, "unknown model 'x/x/"),
        ("nul\0/x", "unknown model"),
        ("llama3.1-8b@q4_x", "unknown quantization 'Q4_X'; did you mean"),
        ("llama3.1-8b@UD-Q4_K_XL", "its publisher chose the type of every tensor"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(name: str, advice: str) -> None:
    with pytest.raises(InputError, match=advice) as caught:
        resolve(name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 800


def test_unknown_synthetic_names_are_the_catalogs_business() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown architecture .*; did you mean .*qwen2\.5-0\.5b"):
        resolve("synthetic:qwen2.5-0.6b@q8_0")
    with pytest.raises(InputError, match="names no quantization"):
        resolve("synthetic:qwen2.5-0.5b")


def test_specs_without_a_file() -> None:
    spec = synthetic_spec(NAME)
    with pytest.raises(InputError, match="'tiny@q8_0' has no file here"):
        materialize(spec)
    with pytest.raises(InputError, match=r"has no file at /nowhere/x\.gguf"):
        materialize(replace(spec, path=Path("/nowhere/x.gguf")))


def test_resolving_loads_nothing_heavy() -> None:
    names = ("numpy", "pydantic", "pandas", "scipy", "gguf", "platformdirs")
    code = (
        "import sys; from mmpredict.models.resolve import resolve; resolve('qwen2.5:7b'); resolve('llama3.1-8b@q8_0'); "
        f"print(*[name for name in {names} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
