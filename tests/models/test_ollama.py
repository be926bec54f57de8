"""Tags of Ollama's library: what they stand for, and the sizes that the library shows."""

from __future__ import annotations

from types import ModuleType

import pytest

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.models.catalog import CATALOG, shape
from mmpredict.models.ollama import OllamaModel, resolve_tag, tags_of

TOLERANCE = 0.002  # on top of what the rounding of the shown size hides
SAMPLE = 8  # of the tags that the newest list no longer has, every eighth
# Why these are off: docs/models.md
OFF = {
    "granite3-dense:2b",
    "granite3-dense:latest",
    "granite3.1-dense:2b",
    "openhermes:7b-mistral-v2-q2_K",
    "openhermes:7b-mistral-v2.5-q2_K",
    "qwen2.5vl:3b",
    "qwen3-next:80b",
    "qwen3-next:latest",
    "starcoder2:7b",
}


@pytest.fixture(scope="module")
def listed(sizes: ModuleType) -> list[tuple[str, float, str]]:
    """Tags of Ollama's library, errors of their sizes, dates of the lists."""
    entries = sizes.ollama_sizes()
    now = max(entry.date for entry in entries)
    sample = [entry for index, entry in enumerate(entries) if entry.date == now or index % SAMPLE == 0]
    return [(entry.tag, entry.error, entry.date) for entry in sample]


def test_sizes_are_those_that_the_library_shows(listed: list[tuple[str, float, str]]) -> None:
    now = max(date for _, _, date in listed)
    current = {tag: error for tag, error, date in listed if date == now}
    assert len(current) > 450
    assert {tag for tag, error in current.items() if abs(error) > TOLERANCE} == OFF
    assert all(abs(error) <= 0.03 for tag, error in current.items() if not tag.endswith("q2_K"))


def test_sizes_of_older_tags(listed: list[tuple[str, float, str]]) -> None:
    older = [abs(error) for _, error, date in listed if date < "2026"]
    assert len(older) > 500
    assert sum(error <= TOLERANCE for error in older) / len(older) >= 0.93
    assert max(older) <= 0.4


def test_default_tags() -> None:
    assert resolve_tag("qwen2.5") == OllamaModel("qwen2.5:latest", "qwen2.5-7b", "Q4_K_M", "llama.cpp-2025")
    for tag, name, quantization in [
        ("qwen2.5:7b", "qwen2.5-7b", "Q4_K_M"),
        ("qwen2.5:7b-instruct-q8_0", "qwen2.5-7b", "Q8_0"),
        ("qwen2.5-coder:0.5b", "qwen2.5-coder-0.5b", "Q4_K_M"),
        ("llama3.1:latest", "llama3.1-8b", "Q4_K_M"),
        ("llama3.2:1b", "llama3.2-1b", "Q8_0"),
        ("llama3.2:1b-instruct-fp16", "llama3.2-1b", "F16"),
        ("llama2", "llama2-7b", "Q4_0"),
        ("codellama:13b", "codellama-13b", "Q4_0"),
        ("codellama:13b-code", "codellama-13b", "Q4_0"),
        ("codegemma:code", "codegemma-2b", "Q4_0"),
        ("gemma:2b", "gemma-2b", "Q4_0"),
        ("llava:7b-v1.5-q4_0", "llava-7b-vicuna", "Q4_0"),
        ("llava:7b-v1.6-mistral-q8_0", "llava-7b", "Q8_0"),
        ("mistral:text", "mistral-7b", "Q4_0"),
        ("wizard-math:7b", "mistral-7b-v0.1", "Q4_0"),
        ("wizard-math:7b-q4_0", "llama2-7b", "Q4_0"),
        ("dolphin-llama3:70b", "llama3-70b", "Q4_0"),
        ("gemma3", "gemma3-4b", "Q4_K_M"),
        ("gemma3:12b-it-q8_0", "gemma3-12b", "Q8_0"),
        ("gemma3:4b-it-qat", "gemma3-4b", "Q4_0"),
        ("mistral", "mistral-7b", "Q4_K_M"),
        ("mistral:7b-instruct-v0.3-q3_K_S", "mistral-7b", "Q3_K_S"),
        ("mixtral", "mixtral-8x7b", "Q4_0"),
        ("phi3", "phi3-mini-128k", "Q4_0"),
        ("phi3:medium", "phi3-medium-128k", "Q4_0"),
        ("nomic-embed-text", "nomic-embed-text", "F16"),
        ("all-minilm", "all-minilm-l6-v2", "F16"),
        ("deepseek-r1", "deepseek-r1-0528-qwen3-8b", "Q4_K_M"),
        ("tinyllama", "tinyllama-1.1b", "Q4_0"),
        ("gpt-oss", "gpt-oss-20b", "MXFP4_MOE"),
    ]:
        found = resolve_tag(tag)
        assert (found.name, found.quantization) == (name, quantization), tag
        assert found.tag == (tag if ":" in tag else f"{tag}:latest").lower()


def test_spelling() -> None:
    meant = resolve_tag("gemma3:4b")
    for text in ("GEMMA3:4B", " library/gemma3:4b", "registry.ollama.ai/library/gemma3:4b", "https://ollama.com/library/gemma3:4b"):
        assert resolve_tag(text) == meant


def test_gemma_comes_with_eyes() -> None:
    with_eyes, without = resolve_tag("gemma3"), resolve_tag("gemma3:1b")
    assert (with_eyes.projector, len(with_eyes.specs())) == (True, 2)
    assert (without.projector, len(without.specs())) == (False, 1)
    assert {tensor.type.name for tensor in with_eyes.specs()[1].tensors} == {"f16", "f32"}


def test_what_the_library_does_otherwise() -> None:
    # "type f16: 64 tensors, q4_K: 353, q6_K: 33; file size = 18.81 GiB" (github.com/ollama/ollama/issues/14774)
    spec = resolve_tag("qwen3:32b").specs()[0]
    counts = {name: sum(tensor.type.name == name for tensor in spec.tensors) for name in ("f32", "f16", "q4_k", "q6_k")}
    assert counts == {"f32": 257, "f16": 64, "q4_k": 353, "q6_k": 33}
    assert f"{spec.weight_bytes / 2**30:.2f}" == "18.81"
    assert resolve_tag("qwen3:32b-q4_K_M").specs()[0].weight_bytes == spec.weight_bytes
    assert "f16" not in {tensor.type.name for tensor in resolve_tag("qwen3:32b-q8_0").specs()[0].tensors}
    assert shape("qwen3-0.6b").tied
    for tag in ("qwen3:0.6b", "qwen3:0.6b-q8_0"):
        assert {"token_embd.weight", "output.weight"} <= {tensor.name for tensor in resolve_tag(tag).specs()[0].tensors}


@pytest.mark.parametrize(("tag", "kept"), [("gemma:2b-instruct-q4_1", "q8_0"), ("gemma:7b-instruct-v1.1-q4_0", "q6_k")])
def test_first_gemma_keeps_its_embedding_table_in_8_bits(tag: str, kept: str) -> None:
    # llama.cpp of February and March 2024; version 1.1 was made later
    assert resolve_tag(tag).specs()[0].tensors[0].type.name == kept


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("qwen2.7", r"unknown model of Ollama's library 'qwen2.7'; did you mean qwen2"),
        ("qwen2.5:9b", r"unknown tag 'qwen2.5:9b'; did you mean qwen2.5:7b.*known: qwen2.5:latest, qwen2.5:0.5b"),
        ("somebody/qwen2.5:7b", r"'somebody/qwen2.5:7b' is not in Ollama's own library"),
        ("", r"'' is no Ollama tag; allowed: MODEL or MODEL:TAG"),
        ("x" * 300, r"is no Ollama tag"),
        ("qwen2.5:7b-q9_0", r"unknown quantization 'Q9_0'"),
    ],
)
def test_unknown_tags(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        resolve_tag(text)


def test_every_tag_of_the_table_stands_for_a_model_of_the_catalog() -> None:
    tagged = {name: tags_of(name) for name in CATALOG}
    assert sum(bool(tags) for tags in tagged.values()) > 130
    for name, tags in tagged.items():
        for tag in tags:
            assert resolve_tag(tag).name == name
            assert resolve_tag(tag).specs()[0].weight_bytes > 0
    assert tagged["qwen2.5-7b"] == ("qwen2.5", "openthinker")
    assert tagged["llama2-7b"][:2] == ("llama2", "llama2-chinese")
    assert tagged["phi3-mini"][0] == "phi3:mini-4k"
    assert "wizard-math" in tagged["mistral-7b-v0.1"]
    assert "wizard-math" not in tagged["llama2-7b"]
    assert tags_of("probe-deep") == ()
    with pytest.raises(UnknownNameError):
        resolve_tag("probe-deep")
