"""Hyperparameters from metadata and back: the same ones, by llama.cpp's rules, and clear complaints."""

from __future__ import annotations

from dataclasses import replace

import pytest
from narrow import NARROW

from mmpredict.errors import FileFormatError, InputError
from mmpredict.models.architectures import tensor_shapes
from mmpredict.models.cache import CacheOptions, cache_bytes
from mmpredict.models.catalog import CATALOG
from mmpredict.models.metadata.doubts import doubts
from mmpredict.models.metadata.keys import LongArray, Value
from mmpredict.models.metadata.translation import metadata_of, shape_from_metadata
from mmpredict.models.quantization.weight_types import WEIGHT_TYPES
from mmpredict.models.shape import Recurrent, Shape, Window
from mmpredict.models.spec import Tensor

F16 = WEIGHT_TYPES["f16"]


def tensors_of(shape: Shape) -> tuple[Tensor, ...]:
    return tuple(Tensor(name, extents, F16) for name, extents in tensor_shapes(shape))


def read(metadata: dict[str, Value], n_vocab: int = 100, *more: Tensor) -> Shape:
    table = Tensor("token_embd.weight", (64, n_vocab), F16)
    return shape_from_metadata(metadata, (table, *more), "m", "a test")


def decoder(architecture: str, n_layers: int = 4, **values: Value) -> dict[str, Value]:
    """Metadata of a small decoder; a keyword's double underscore stands for a dot."""
    usual: dict[str, Value] = {"block_count": n_layers, "embedding_length": 64, "context_length": 512, "feed_forward_length": 128}
    usual |= {"attention.head_count": 4} | {name.replace("__", "."): value for name, value in values.items()}
    return {"general.architecture": architecture} | {f"{architecture}.{name}": value for name, value in usual.items()}


# --- there and back ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NARROW)
def test_every_architecture_is_read_back_as_it_was_written(name: str) -> None:
    shape = NARROW[name]
    assert shape_from_metadata(metadata_of(shape), tensors_of(shape), shape.name, shape.source) == shape
    assert len(doubts(metadata_of(shape), shape, tensors_of(shape))) == (name == "gemma4-small")  # lends and borrows caches


WHISPERS = tuple(name for name in CATALOG if CATALOG[name].architecture == "whisper")
SIGHTED = tuple(name for name in CATALOG if CATALOG[name].architecture == "clip")


@pytest.mark.parametrize("name", [name for name in CATALOG if name not in WHISPERS + SIGHTED])
def test_every_model_of_the_catalog_is_read_back(name: str) -> None:
    shape = CATALOG[name]
    back = shape_from_metadata(metadata_of(shape), tensors_of(shape), shape.name, shape.source)
    known = {"kind": shape.kind, "tied": shape.tied and shape.kind != "text-embedding"}  # encoders have no output matrix
    assert replace(back, parts=tuple(sorted(back.parts)), **known) == replace(shape, parts=tuple(sorted(shape.parts)), **known)


@pytest.mark.parametrize("name", SIGHTED)
def test_projectors_keep_what_memory_follows_from(name: str) -> None:
    shape = CATALOG[name]
    back = shape_from_metadata(metadata_of(shape), (), shape.name, shape.source)
    assert (back.n_layers, back.n_embd, back.n_heads, back.n_ff) == (shape.n_layers, shape.n_embd, shape.n_heads, shape.n_ff)
    assert cache_bytes(back, CacheOptions(4096)) == 0
    assert "beside a language model" in doubts({}, back, ())[0]


def test_whisper_has_no_gguf_form() -> None:
    with pytest.raises(InputError, match=r"whisper\.cpp, which is not GGUF"):
        metadata_of(CATALOG[WHISPERS[0]])


# --- windows ----------------------------------------------------------------------------------------------------------------

LOCAL = {"s": True, "G": False}


@pytest.mark.parametrize(
    ("architecture", "n_layers", "values", "tokens", "layers"),
    [
        ("gemma2", 5, {}, 4096, "sGsGs"),
        ("gemma2", 5, {"attention__sliding_window": 100}, 100, "sGsGs"),
        ("gemma3", 8, {"attention__sliding_window": 512}, 512, "sssssGss"),
        ("gemma3", 8, {}, 0, ""),
        ("gemma3", 8, {"attention__sliding_window": 512, "attention__sliding_window_pattern": 3}, 512, "ssGssGss"),
        ("gemma3", 3, {"attention__sliding_window": 512, "attention__sliding_window_pattern": (True, False, True)}, 512, "sGs"),
        ("gemma3", 3, {"attention__sliding_window": 512, "attention__sliding_window_pattern": 0}, 512, "sss"),
        ("gemma3", 3, {"attention__sliding_window": 512, "attention__sliding_window_pattern": 1}, 0, ""),
        ("gpt-oss", 4, {"attention__sliding_window": 128}, 128, "sGsG"),
        ("cohere2", 5, {"attention__sliding_window": 128}, 128, "sssGs"),
        ("cohere2moe", 5, {"attention__sliding_window": 128}, 128, "GsssG"),
        ("modern-bert", 4, {"attention__sliding_window": 128}, 128, "GssG"),
        ("llama4", 5, {}, 8192, "sssGs"),
        ("llama4", 5, {"attention__sliding_window": 100}, 8192, "sssGs"),
        ("llama4", 5, {"attention__sliding_window": 0}, 0, ""),
        ("smallthinker", 5, {"attention__sliding_window": 100}, 4096, "GsssG"),
        ("exaone4", 32, {"attention__sliding_window": 4096}, 0, ""),
        ("exaone4", 64, {}, 4096, "sssG" * 16),
        ("phi3", 4, {"attention__sliding_window": 2047, "attention__sliding_window_pattern": 2}, 0, ""),
        ("qwen2", 4, {"attention__sliding_window": 4096, "attention__sliding_window_pattern": 2}, 0, ""),
        ("llama", 4, {"attention__sliding_window": 4096}, 0, ""),
        ("mimo2", 4, {"attention__sliding_window": 128, "attention__sliding_window_pattern": (1, 0, 1, 1)}, 128, "sGss"),
        ("glm4moe", 4, {"attention__sliding_window": 128}, 0, ""),
        ("cohere2moe", 6, {"attention__sliding_window": 128, "nextn_predict_layers": 1}, 128, "GsssGG"),
    ],
)  # fmt: skip
def test_windows_are_those_of_llama_cpp(
    architecture: str, n_layers: int, values: dict[str, Value], tokens: int, layers: str
) -> None:
    window = read(decoder(architecture, n_layers, **values)).window
    assert window == (Window(tokens, tuple(LOCAL[letter] for letter in layers)) if tokens else None)


def test_heads_of_local_layers_may_be_of_another_size() -> None:
    listed = (True, True, True, False)
    keys = decoder("gemma4", attention__sliding_window=512, attention__sliding_window_pattern=listed, attention__key_length=64,
                   attention__value_length=64, attention__key_length_swa=32, attention__value_length_swa=32)  # fmt: skip
    assert read(keys).window == Window(512, listed, 32, 32)


def test_gemma_layers_that_use_the_cache_of_others_have_none_of_their_own() -> None:
    metadata = decoder("gemma3n", 30, attention__sliding_window=512, attention__head_count_kv=2)
    shape = read(metadata)
    assert shape.n_kv_heads == (2,) * 20 + (0,) * 10
    assert "10 layers use the keys and values of others" in doubts(metadata, shape, ())[0]
    shape = read(decoder("gemma4", 6, attention__head_count_kv=2, attention__shared_kv_layers=2))
    assert shape.n_kv_heads == (2, 2, 2, 2, 0, 0)


def test_a_pattern_that_must_be_listed_and_is_not_is_doubted() -> None:
    metadata = decoder("mimo2", attention__sliding_window=128)
    assert "every layer is assumed to see the whole context" in doubts(metadata, read(metadata), ())[0]


# --- recurrent layers -------------------------------------------------------------------------------------------------------

SSM: dict[str, Value] = {"ssm__conv_kernel": 4, "ssm__inner_size": 128, "ssm__state_size": 16}
HEADS: dict[str, Value] = {"attention__head_count_kv": (0, 2, 0, 0)}
MORE: dict[str, Value] = {**SSM, "ssm__group_count": 2, "ssm__time_step_rank": 8}


@pytest.mark.parametrize(
    ("architecture", "values", "layers", "state"),
    [
        ("mamba", SSM, "rrrr", (4, 128, 16, 0, 0)),
        ("mamba2", MORE, "rrrr", (4, 128, 16, 2, 8)),
        ("jamba", {**SSM, **HEADS}, "rarr", (4, 128, 16, 0, 0)),
        ("granitehybrid", {**MORE, **HEADS}, "rarr", (4, 128, 16, 2, 8)),
        ("nemotron_h", {**MORE, **HEADS, "feed_forward_length": (0, 0, 9, 0)}, "raar", (4, 128, 16, 2, 8)),
        ("qwen3next", MORE, "rrra", (4, 128, 16, 2, 8)),
        ("qwen35", {**MORE, "full_attention_interval": 2}, "rara", (4, 128, 16, 2, 8)),
        ("qwen35", {**MORE, "attention__recurrent_layers": (False, True, True, True)}, "arrr", (4, 128, 16, 2, 8)),
        ("qwen35", {**MORE, "nextn_predict_layers": 1, "full_attention_interval": 3}, "rraa", (4, 128, 16, 2, 8)),
        ("lfm2", {"shortconv__l_cache": 3, "attention__head_count_kv": (0, 2, 2, 0)}, "raar", (3, 64, 0, 0, 0)),
        ("rwkv6", {"wkv__head_size": 32}, "rrrr", (3, 64, 32, 0, 2)),
        ("arwkv7", {"wkv__head_size": 32, "token_shift_count": 1}, "rrrr", (2, 64, 32, 0, 2)),
        ("kimi-linear", {"kda__head_dim": 32, "ssm__conv_kernel": 4, **HEADS}, "rarr", (4, 128, 32, 4, 4)),
        ("minimax-01", {"full_attention_interval": 2}, "rara", (0, 64, 16, 0, 4)),
    ],
)  # fmt: skip
def test_recurrent_layers_are_those_of_llama_cpp(
    architecture: str, values: dict[str, Value], layers: str, state: tuple[int, int, int, int, int]
) -> None:
    shape = read(decoder(architecture, **values))
    assert shape.recurrent == Recurrent(tuple(letter == "r" for letter in layers), *state)


@pytest.mark.parametrize(
    ("architecture", "values", "row_floats"),
    [  # n_embd_r + n_embd_s of src/llama-hparams.cpp, by hand
        ("mamba", SSM, 3 * 128 + 16 * 128),
        ("mamba2", MORE, 3 * (128 + 2 * 2 * 16) + 16 * 128),
        ("rwkv6", {"wkv__head_size": 32}, 2 * 64 + 64 * 32),
        ("kimi-linear", {"kda__head_dim": 32, "ssm__conv_kernel": 4, "attention__head_count_kv": 0}, 3 * 3 * 128 + 32 * 32 * 4),
        ("lfm2", {"shortconv__l_cache": 3, "attention__head_count_kv": 0}, 2 * 64),
        ("minimax-01", {"full_attention_interval": 100}, 16 * 16 * 4),
    ],
)
def test_states_have_the_size_that_llama_cpp_gives_them(architecture: str, values: dict[str, Value], row_floats: int) -> None:
    shape = read(decoder(architecture, **values))
    assert cache_bytes(shape, CacheOptions(4096, slots=3)) == 4 * 3 * 4 * row_floats


def test_a_model_of_states_alone_needs_no_heads() -> None:
    keys = decoder("mamba2", **MORE)
    del keys["mamba2.attention.head_count"], keys["mamba2.feed_forward_length"]
    shape = read(keys)
    assert (shape.n_heads, shape.key_dim, shape.n_ff) == (0, 0, 0)


# --- experts and latent attention -------------------------------------------------------------------------------------------


def test_experts_without_a_width_of_their_own() -> None:
    experts = read(decoder("llama", expert_count=8, expert_used_count=2)).experts
    assert experts is not None
    assert (experts.total, experts.used, experts.n_ff, experts.n_ff_shared) == (8, 2, 128, 0)
    tensors = Tensor("blk.3.ffn_down_exps.weight", (96, 64, 8), F16), Tensor("blk.3.ffn_down_shexp.weight", (32, 64), F16)
    experts = read(decoder("qwen2moe", expert_count=8, expert_used_count=4), 100, *tensors).experts
    assert experts is not None
    assert (experts.n_ff, experts.shared, experts.n_ff_shared, experts.layers) == (96, 1, 32, (False, False, False, True))
    experts = shape_from_metadata(decoder("qwen2moe", expert_count=8, expert_used_count=4), (), "m", "s").experts
    assert experts is not None
    assert experts.n_ff == 32


@pytest.mark.parametrize("used", [0, 9])
def test_impossible_experts(used: int) -> None:
    with pytest.raises(FileFormatError, match=f"uses {used} of 8 experts; 'llama.expert_used_count'"):
        read(decoder("llama", expert_count=8, expert_used_count=used))


def test_latent_attention_needs_both_keys() -> None:
    """Files from before April 2025 lack them, and llama.cpp then keeps whole heads."""
    metadata = metadata_of(NARROW["deepseek2"])
    new = shape_from_metadata(metadata, (), "m", "s")
    assert new.latent == NARROW["deepseek2"].latent
    old = {name: value for name, value in metadata.items() if "_mla" not in name}
    old |= {"deepseek2.attention.head_count_kv": 4, "deepseek2.attention.key_length": 96, "deepseek2.attention.value_length": 64}
    shape = shape_from_metadata(old, (), "m", "s")
    assert shape.latent is None
    options = CacheOptions(1024)
    assert cache_bytes(shape, options) == 4 * 1024 * 2 * 4 * (96 + 64)
    assert cache_bytes(new, options) == 4 * 1024 * 2 * (64 + 32)


# --- doubts -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        ("somethingnew", "architecture somethingnew is not known"),
        ("deepseek32", "indexer are not counted"),
        ("falcon-h1", "only the attention's cache is counted"),
        ("llada", "diffusion"),
    ],
)
def test_what_is_not_understood_is_said(architecture: str, said: str) -> None:
    metadata = decoder(architecture)
    assert said in doubts(metadata, read(metadata), ())[0]


def test_images_inside_a_language_model_are_doubted() -> None:
    seen = Tensor("v.blk.0.attn_q.weight", (64, 64), F16)
    metadata = decoder("llama")
    assert doubts(metadata, read(metadata, 100, seen), (seen,)) == (
        "8 KiB of it encode images or sound; their time is counted as if every token passed them",
    )


def test_experts_of_several_widths_are_doubted() -> None:
    experts = [Tensor(f"blk.{layer}.ffn_down_exps.weight", (32 << layer, 64, 8), F16) for layer in range(4)]
    metadata = decoder("nemotron_h_moe", expert_count=8, expert_used_count=2, expert_feed_forward_length=(32, 64, 128, 256))
    assert "32 to 256 wide; 256 is assumed" in doubts(metadata, read(metadata, 100, *experts), experts)[0]


def test_ollama_s_own_names_of_architectures() -> None:
    shape = read(decoder("gptoss", attention__sliding_window=128))
    assert (shape.architecture, shape.window) == ("gpt-oss", Window(128, (True, False, True, False)))


# --- vocabularies and kinds -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "n_vocab"),
    [
        ({"llama.vocab_size": 7}, 7),
        ({"tokenizer.ggml.tokens": LongArray(9)}, 9),
        ({"tokenizer.ggml.tokens": ("a", "b")}, 2),
        ({"llama.vocab_size": 7, "tokenizer.ggml.tokens": LongArray(9)}, 7),
        ({}, 0),
    ],
)
def test_the_vocabulary_without_tensors(more: dict[str, Value], n_vocab: int) -> None:
    assert shape_from_metadata(decoder("llama") | more, (), "m", "s").n_vocab == n_vocab


@pytest.mark.parametrize(
    ("architecture", "values", "kind"),
    [
        ("llama", {}, "text-generation"),
        ("qwen3", {"pooling_type": 3}, "text-embedding"),
        ("qwen3", {"pooling_type": 0}, "text-generation"),
        ("qwen2", {"attention__causal": False}, "text-embedding"),
        ("nomic-bert", {}, "text-embedding"),
        ("qwen2vl", {}, "multimodal"),
        ("t5", {}, "encoder-decoder"),
    ],
)
def test_kinds(architecture: str, values: dict[str, Value], kind: str) -> None:
    assert read(decoder(architecture, **values)).kind == kind
