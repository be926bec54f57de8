"""Models as benchmark programs print them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.errors import InputError
from mmpredict.models.catalog import CATALOG, catalog_spec
from mmpredict.models.printed import PrintedModel, chosen_model, printed_model
from mmpredict.models.quantization.resized import base_type


@pytest.mark.parametrize(
    ("file", "name", "kind"),
    [
        ("Qwen2.5-7B-Instruct-Q4_K_M.gguf", "qwen2.5-7b", "Q4_K_M"),
        ("/home/me/models/Meta-Llama-3.1-8B-Instruct-Q8_0.gguf", "llama3.1-8b", "Q8_0"),
        (r"C:\models\mistral-7b-instruct-v0.2.Q4_K_M.gguf", "mistral-7b-v0.2", "Q4_K_M"),
        ("Qwen_Qwen3-8B-IQ4_XS.gguf", "qwen3-8b", "IQ4_XS"),
        ("bartowski_Qwen_Qwen3-8B-q6_k.gguf", "qwen3-8b", "Q6_K"),
        ("google_gemma-3-4b-it-qat-q4_0.gguf", "gemma3-4b", "Q4_0"),
        ("Qwen3-235B-A22B-Q8_0-00001-of-00006.gguf", "qwen3-235b-a22b", "Q8_0"),
        ("Qwen3-30B-A3B-UD-Q4_K_XL.gguf", "qwen3-30b-a3b", "UD-Q4_K_XL"),
        ("Qwen3-30B-A3B-Thinking-2507-BF16.gguf", "qwen3-30b-a3b-2507", "BF16"),
        ("gpt-oss-20b-mxfp4.gguf", "gpt-oss-20b", "MXFP4_MOE"),
        ("Phi-3.5-mini-instruct.Q4_K_S.gguf", "phi3.5-mini", "Q4_K_S"),
    ],
)
def test_files_are_known_by_their_names(file: str, name: str, kind: str) -> None:
    assert printed_model(None, file) == PrintedModel(name, kind)
    assert catalog_spec(name, base_type(kind)).parameters > 0


@pytest.mark.parametrize(
    ("tag", "name", "kind"),
    [
        ("qwen2.5:7b", "qwen2.5-7b", "Q4_K_M"),
        ("llama3.1", "llama3.1-8b", "Q4_K_M"),
        ("qwen2.5:7b-instruct-q8_0", "qwen2.5-7b", "Q8_0"),
        ("hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q6_K", "llama3.2-3b", "Q6_K"),
    ],
)
def test_tags_of_ollama_say_the_type_too(tag: str, name: str, kind: str) -> None:
    assert printed_model(tag, tagged=True) == PrintedModel(name, kind)


@pytest.mark.parametrize(
    ("description", "parameters", "like", "kind"),
    [
        ("qwen2 7B Q4_K - Medium", 7_615_616_512, "qwen2.5-7b", "Q4_K_M"),
        ("llama 8B Q4_0", 8_030_000_000, "llama3.1-8b", "Q4_0"),
        ("qwen35moe 35B.A3B Q8_0", 34_660_000_000, "qwen3.5-35b-a3b", "Q8_0"),
        ("gpt-oss 20B MXFP4 MoE", 20_910_000_000, "gpt-oss-20b", "MXFP4_MOE"),
        ("llama ?B all F32", 1_235_814_400, "llama3.2-1b", "F32"),
    ],
)
def test_descriptions_are_known_by_their_size(description: str, parameters: int, like: str, kind: str) -> None:
    found = printed_model(description, "ggml-model.gguf", None, parameters)
    assert found.file_type == kind
    assert CATALOG[found.name].architecture == CATALOG[like].architecture
    same, wanted = catalog_spec(found.name, kind), catalog_spec(like, kind)
    assert same.weight_bytes == pytest.approx(wanted.weight_bytes, rel=0.001)
    assert same.shape.n_layers == wanted.shape.n_layers


def test_what_is_printed_beside_counts_more_than_a_name() -> None:
    named = printed_model("Qwen2.5 7B Instruct", None, "Q8_0")
    assert named == PrintedModel("qwen2.5-7b", "Q8_0")
    another = printed_model("llama 13B Q4_0", "Qwen2.5-7B-Instruct-Q4_0.gguf", "Q4_0", 13_015_864_320)
    assert CATALOG[another.name].n_layers == CATALOG["llama2-13b"].n_layers, "the file was renamed"
    assert printed_model(None, "Qwen3-8B-Q4_K_L.gguf", "Q4_K_M").file_type == "Q4_K_M", "no rule gives the publisher's own mix"


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        ((None,), ["--model"]),
        (("qwen4-8b",), ["'qwen4-8b'", "qwen3-8b", "--model"]),
        (("llama 8B Q4_0",), ["how many parameters"]),
        (("llama 9B Q4_0", None, None, 9_300_000_000), ["llama with 9.3 B", "yi-1.5-9b with 8.83 B"]),
        (("lama 8B Q4_0", None, None, 8_030_000_000), ["'lama'", "llama"]),
        (("qwen3-8b",), ["how the weights are stored", "qwen3-8b@TYPE"]),
        (("qwen2.5:9b", None, None, None, True), ["qwen2.5:9b", "qwen2.5:7b"]),
        (("Qwen2.5-7B-Q4_0", None, None, 13_015_864_320), ["7.62 B", "not 13 B"]),
    ],
)
def test_what_is_not_known_is_said_with_what_is_near(printed: tuple[str], words: list[str]) -> None:
    with pytest.raises(InputError) as error:
        printed_model(*printed)
    for word in words:
        assert word in str(error.value)


def test_a_person_may_name_the_model() -> None:
    assert chosen_model("llama3.1-8b@q8_0", "Q4_0") == PrintedModel("llama3.1-8b", "Q8_0")
    assert chosen_model("llama3.1-8b", "Q4_K - Medium") == PrintedModel("llama3.1-8b", "Q4_K_M")
    assert chosen_model("qwen2.5:7b") == PrintedModel("qwen2.5-7b", "Q4_K_M")
    for name, word in (("nope", "'nope'"), ("llama3.1-8b@q9", "Q9"), ("llama3.1-8b", "how the weights are stored")):
        with pytest.raises(InputError, match=word):
            chosen_model(name)


@given(st.text(max_size=400), st.text(max_size=60), st.integers(0, 10**15), st.booleans())
def test_any_text_is_a_model_or_an_error(text: str, kind: str, parameters: int, tagged: bool) -> None:
    try:
        found = printed_model(text, text[::-1], kind, parameters, tagged)
    except InputError:
        return
    assert found.name in CATALOG
