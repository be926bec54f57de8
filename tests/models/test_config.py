"""``config.json`` to hyperparameters: what published files say, and complaints about what they cannot."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmpredict.errors import FileFormatError, InputError, UnknownNameError
from mmpredict.models.architectures import tensor_shapes
from mmpredict.models.catalog import CATALOG, row, shape, spec_of
from mmpredict.models.config import MAX_FILE_BYTES, projector_from_config, shape_from_config
from mmpredict.models.shape import Experts, Latent, Window, local_layers

# As published on Hugging Face, keys without influence left out.
LLAMA32 = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "head_dim": 64,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "max_position_embeddings": 131072,
    "model_type": "llama",
    "num_attention_heads": 32,
    "num_hidden_layers": 16,
    "num_key_value_heads": 8,
    "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "rope_type": "llama3"},
    "rope_theta": 500000.0,
    "tie_word_embeddings": True,
    "vocab_size": 128256,
}
GEMMA3 = {  # google/gemma-3-4b-it: most of it is left to the configuration class
    "architectures": ["Gemma3ForConditionalGeneration"],
    "model_type": "gemma3",
    "mm_tokens_per_image": 256,
    "text_config": {
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "model_type": "gemma3_text",
        "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    },
    "vision_config": {
        "hidden_size": 1152,
        "image_size": 896,
        "intermediate_size": 4304,
        "model_type": "siglip_vision_model",
        "num_attention_heads": 16,
        "num_hidden_layers": 27,
        "patch_size": 14,
    },
}


def test_plain_decoder() -> None:
    read = shape_from_config(LLAMA32, "llama3.2-1b")
    assert read == replace(shape("llama3.2-1b"), source="")
    assert read.parts == ("rope_freqs",)


def test_what_a_file_leaves_out_comes_from_its_configuration_class() -> None:
    read = shape_from_config(GEMMA3, "gemma3-4b", shape("gemma3-4b").source)
    assert read == shape("gemma3-4b")
    assert read.window == Window(1024, local_layers(34, 6))
    assert projector_from_config(GEMMA3) == replace(
        projector_from_config(row("gemma3-4b").config) or read, name="gemma3-projector", source=""
    )


def test_new_and_old_spelling_of_the_rotary_encoding() -> None:
    old = shape_from_config(LLAMA32)
    parameters = {"rope_theta": 500000.0, "rope_type": "llama3", "factor": 32.0}
    new = {key: value for key, value in LLAMA32.items() if not key.startswith("rope")} | {"rope_parameters": parameters}
    assert shape_from_config(new) == old
    per_layer = {**new, "rope_parameters": {"full_attention": parameters, "sliding_attention": {"rope_theta": 1e4}}}
    assert shape_from_config(per_layer) == old


def test_mixture_of_experts_and_latent_attention() -> None:
    read = shape_from_config(row("deepseek-v3").config)
    assert read.experts == Experts(total=256, used=8, n_ff=2048, shared=1, n_ff_shared=2048, leading_dense=3)
    assert read.latent == Latent(q_rank=1536, kv_rank=512, rope_dim=64, key_dim=192, value_dim=128)
    assert (read.n_kv_heads, read.key_dim, read.value_dim) == (1, 576, 512)
    scout = shape("llama4-scout")
    assert scout.experts == Experts(total=16, used=1, n_ff=8192, shared=1, n_ff_shared=8192)
    assert shape("llama4-maverick").has_experts(1)
    assert not shape("llama4-maverick").has_experts(0)


def test_draft_layers_are_kept_as_the_converter_keeps_them() -> None:
    air = row("glm-4.5-air").config
    assert (shape_from_config(air).n_layers, shape_from_config(air).n_draft_layers) == (47, 1)
    assert shape_from_config(air, draft=False).n_layers == 46
    deepseek = {**row("deepseek-v3").config, "num_nextn_predict_layers": 1}
    assert shape_from_config(deepseek).n_layers == 61
    qwen = row("qwen3.5-27b").config
    with_draft = shape_from_config(qwen)
    assert (with_draft.n_layers, with_draft.n_draft_layers) == (65, 1)
    assert with_draft.recurrent
    assert with_draft.recurrent.layers[-5:] == (True, True, True, False, False)


def test_hybrids() -> None:
    nano = shape("nemotron-nano-30b-a3b")
    assert nano.architecture == "nemotron_h_moe"
    assert nano.experts
    assert nano.recurrent
    assert (sum(nano.experts.layers), sum(nano.recurrent.layers), sum(map(bool, nano.n_kv_heads or ()))) == (23, 23, 6)  # type: ignore[arg-type]
    blocks = {"M": "mamba", "E": "moe", "*": "attention"}
    pattern = row("nemotron-nano-30b-a3b").config["hybrid_override_pattern"]
    spelt = {**row("nemotron-nano-30b-a3b").config, "hybrid_override_pattern": None, "num_hidden_layers": None}
    assert shape_from_config({**spelt, "layers_block_type": [blocks[letter] for letter in pattern]}, nano.name, nano.source) == nano
    lfm = shape("lfm2-1.2b")
    assert (lfm.n_ff, lfm.recurrent and sum(lfm.recurrent.layers)) == (8192, 10)
    granite = {
        "model_type": "granitemoehybrid",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": 1001,
        "num_key_value_heads": 2,
        "intermediate_size": 32,
        "shared_intermediate_size": 48,
        "max_position_embeddings": 512,
        "layer_types": ["mamba", "attention"],
        "mamba_n_heads": 4,
        "mamba_d_head": 32,
        "mamba_d_state": 16,
        "mamba_d_conv": 4,
        "mamba_n_groups": 1,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "tie_word_embeddings": True,
    }
    hybrid = shape_from_config(granite)
    assert (hybrid.architecture, hybrid.n_vocab, hybrid.n_kv_heads) == ("granitehybrid", 1008, (0, 2))
    assert hybrid.experts == Experts(total=4, used=2, n_ff=32, shared=1, n_ff_shared=48)
    assert shape_from_config({**granite, "layer_types": ["attention", "attention"]}).architecture == "granitemoe"


def test_layers_that_share_a_cache_have_no_heads_of_their_own() -> None:
    small = shape("gemma4-e2b")
    assert isinstance(small.n_kv_heads, tuple)
    assert isinstance(small.n_ff, tuple)
    assert small.n_kv_heads[14:16] == (1, 0)
    assert small.n_ff[14:16] == (6144, 12288)
    assert dict(tensor_shapes(small))["blk.20.attn_k.weight"] == (1536, 256)  # the file has them all the same
    assert dict(tensor_shapes(shape("gemma4-31b")))["blk.5.attn_k.weight"] == (5376, 4 * 512)
    assert "blk.5.attn_v.weight" not in dict(tensor_shapes(shape("gemma4-31b")))


def test_encoders() -> None:
    xlm = shape("bge-m3")
    assert (xlm.architecture, xlm.kind, xlm.context_length, xlm.n_token_types) == ("bert", "text-embedding", 8192, 1)
    assert shape("nomic-embed-text").context_length == 2048
    assert shape("t5-small").parts == ()
    flan = {**row("t5-small").config, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
    assert {"enc.blk.0.ffn_gate.weight", "output.weight"} <= set(dict(tensor_shapes(shape_from_config(flan))))
    clip = shape("clip-vit-base-patch32")
    assert clip.tower
    assert (clip.kind, clip.n_embd, clip.tower.n_embd, clip.tower.n_vocab) == ("multimodal", 768, 512, 49408)
    vit = {**row("vit-base-patch16-224").config, "num_labels": None, "id2label": {str(label): "" for label in range(1000)}}
    assert shape_from_config(vit, "vit-base-patch16-224", shape("vit-base-patch16-224").source) == shape("vit-base-patch16-224")


def test_files_and_folders(tmp_path: Path) -> None:
    path = tmp_path / "mine" / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps(LLAMA32))
    read = shape_from_config(path)
    assert (read.name, read.source) == ("mine", str(path))
    assert shape_from_config(tmp_path / "mine") == shape_from_config(str(path)) == read
    assert spec_of(read, "Q4_K_M").weight_bytes == 799_862_912
    assert projector_from_config(path) is None


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{", "is not JSON"),
        (b"[1]", "expected an object, found a list of 1"),
        (b"[" * 100_000, "is not JSON"),
        (b" " * (MAX_FILE_BYTES + 1), "is larger than"),
        (b"\xff\xfe\xfd", "is not JSON"),
    ],
)
def test_unusable_files(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=complaint):
        shape_from_config(path)
    with pytest.raises(FileFormatError, match=r"cannot read .*: No such file"):
        shape_from_config(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"num_hidden_layers": 513}, r"config.json: num_hidden_layers is 513; allowed: a whole number from 1 to 512"),
        ({"num_hidden_layers": True}, r"num_hidden_layers is True; allowed: a whole number"),
        ({"hidden_size": -1}, r"hidden_size is -1; allowed"),
        ({"hidden_size": 10**400}, r"hidden_size is a number of 1329 bits"),
        ({"hidden_size": "2048"}, r"hidden_size is '2048'; allowed"),
        ({"vocab_size": None}, r"config.json has no vocab_size"),
        ({"hidden_size": None, "hidden_sise": 2048}, r"has no hidden_size or n_embd or d_model; did you mean hidden_sise\?"),
        ({"num_key_value_heads": 5}, r"num_attention_heads 32 is not a multiple of num_key_value_heads 5"),
        ({"head_dim": None, "num_attention_heads": 24}, r"hidden_size 2048 is not a multiple of num_attention_heads 24"),
        ({"rope_theta": "big"}, r"rope_theta is 'big'; allowed: a number from 1 to 1e\+12"),
        ({"rope_theta": float("nan")}, r"rope_theta is nan; allowed"),
        ({"rope_scaling": 3}, r"rope_scaling: expected an object, found 3"),
        ({"tie_word_embeddings": "yes"}, r"tie_word_embeddings is 'yes'; allowed: true, false"),
        ({"model_type": 7}, r"model_type is 7; allowed: a string"),
        ({"model_type": None}, r"has no model_type; known: arcee"),
        ({"text_config": []}, r"text_config: expected an object, found a list of 0"),
    ],
)
def test_complaints_name_the_key_and_the_value(changed: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        shape_from_config({**LLAMA32, **changed})


def test_unknown_families_and_projectors() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown model_type 'llama9'.*did you mean llama.*the GGUF file itself"):
        shape_from_config({**LLAMA32, "model_type": "llama9"})
    with pytest.raises(InputError, match=r"no rule gives the vision projector of model_type 'kimi_vl'; known: gemma3"):
        projector_from_config({**GEMMA3, "model_type": "kimi_vl"})
    with pytest.raises(InputError, match=r"layer_types has 2 entries; allowed: 34, one per layer"):
        shape_from_config({**GEMMA3, "text_config": {**GEMMA3["text_config"], "layer_types": ["full_attention"] * 2}})  # type: ignore[dict-item]
    with pytest.raises(InputError, match=r"hybrid_override_pattern has 3 letters; allowed: 52"):
        shape_from_config({**row("nemotron-nano-30b-a3b").config, "hybrid_override_pattern": "M-*"})


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.sampled_from(sorted(set(CATALOG) - {"tiny"})), st.data())
def test_no_value_brings_it_down(name: str, data: st.DataObject) -> None:
    config = dict(row(name).config)
    for key in data.draw(st.lists(st.sampled_from(sorted(config)), max_size=3)):
        config[key] = data.draw(JSON_VALUES)
    try:
        model = shape_from_config(config)
        projector_from_config(config)
    except InputError as error:
        assert len(str(error)) < 2000
    else:
        assert model.n_layers <= 512
