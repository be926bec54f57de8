"""Size of the cache: exact by llama.cpp's rules, for every layout."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.errors import InputError
from mmpredict.models.cache import CACHE_TYPES, CacheOptions, cache_bytes, layer_cache_bytes, padded
from mmpredict.models.shape import Latent, Recurrent, Shape, Window, local_layers
from mmpredict.units import MIB

PLAIN = Shape("plain", "llama", 32, 4096, 32000, 8192, 32, 8, 128, 128, 14336)
WINDOWED = replace(PLAIN, architecture="gemma3", n_layers=6, window=Window(1024, local_layers(6, 6)))
LATENT = replace(PLAIN, architecture="deepseek2", n_layers=27, n_kv_heads=1, latent=Latent(0, 512, 64, 192, 128))
HYBRID = replace(
    PLAIN,
    architecture="nemotron_h",
    n_layers=4,
    n_kv_heads=(0, 8, 0, 0),
    recurrent=Recurrent((True, False, True, False), conv=4, inner=7680, state=128, groups=8, heads=120),
)

contexts, slot_counts, ubatches = st.integers(16, 40_000), st.integers(1, 8), st.integers(1, 2048)


def test_keys_and_values_of_a_model_of_known_size() -> None:
    # Llama 3 8B at 8192 tokens: "KV buffer size = 1024.00 MiB" in every log of it.
    assert cache_bytes(PLAIN, CacheOptions(8192)) == 1024 * MIB


@pytest.mark.parametrize(
    ("key_type", "value_type", "size_mib"),
    [("q8_0", "q8_0", 544), ("q4_0", "q4_0", 288), ("q8_0", "f16", 784), ("f32", "f32", 2048)],
)
def test_other_types(key_type: str, value_type: str, size_mib: int) -> None:
    assert cache_bytes(PLAIN, CacheOptions(8192, key_type=key_type, value_type=value_type)) == size_mib * MIB


def test_local_layers_hold_the_windows_of_all_slots_and_a_batch() -> None:
    sizes = layer_cache_bytes(WINDOWED, CacheOptions(32768, slots=4, ubatch_tokens=512))
    cell = 2 * 8 * 128 * 2
    assert sizes == (cell * (4 * 1024 + 512),) * 5 + (cell * 32768,)
    split = layer_cache_bytes(WINDOWED, CacheOptions(32768, slots=4, ubatch_tokens=512, unified=False))
    assert split == (4 * cell * (1024 + 512),) * 5 + (cell * 32768,)


def test_local_layers_never_hold_more_than_global_ones() -> None:
    assert len(set(layer_cache_bytes(WINDOWED, CacheOptions(1024, slots=4)))) == 1


def test_latent_attention_keeps_one_compressed_vector() -> None:
    assert cache_bytes(LATENT, CacheOptions(4096)) == 27 * (512 + 64) * 4096 * 2


def test_recurrent_layers_keep_a_state_per_slot() -> None:
    # Nemotron Nano 9B v2: 3 · (7680 + 2 · 8 · 128) and 128 · 7680 floats a layer
    state = 4 * (3 * (7680 + 2 * 8 * 128) + 128 * 7680)
    for slots, context in ((1, 4096), (3, 4096), (3, 65536)):
        sizes = layer_cache_bytes(HYBRID, CacheOptions(context, slots))
        assert sizes == (slots * state, 2 * 8 * 128 * 2 * context, slots * state, 0)


def test_encoders_keep_nothing() -> None:
    assert cache_bytes(replace(PLAIN, architecture="bert", kind="text-embedding"), CacheOptions(512)) == 0


def test_layers_that_draft_are_left_out() -> None:
    assert cache_bytes(replace(PLAIN, n_draft_layers=2), CacheOptions(4096)) * 32 == cache_bytes(PLAIN, CacheOptions(4096)) * 30


@given(st.sampled_from([PLAIN, WINDOWED, LATENT, HYBRID]), contexts, slot_counts, ubatches, st.booleans())
def test_more_never_needs_less(shape: Shape, context: int, slots: int, ubatch: int, unified: bool) -> None:
    base = cache_bytes(shape, CacheOptions(context, slots, ubatch, unified))
    assert cache_bytes(shape, CacheOptions(context + 256 * slots, slots, ubatch, unified)) > base
    assert cache_bytes(shape, CacheOptions(context, slots, ubatch + 256, unified)) >= base
    if unified:
        assert cache_bytes(shape, CacheOptions(context, slots + 1, ubatch, unified)) >= base


@given(contexts, slot_counts)
def test_split_slots_get_equal_parts(context: int, slots: int) -> None:
    options = CacheOptions(context, slots, unified=False)
    assert options.slot_cells % 256 == 0
    assert options.slot_cells * slots <= padded(context) + 256 * slots


@pytest.mark.parametrize("name", CACHE_TYPES)
def test_every_type_the_server_offers(name: str) -> None:
    assert cache_bytes(PLAIN, CacheOptions(4096, key_type=name)) > 0


def test_impossible_types_are_named() -> None:
    with pytest.raises(InputError, match="keys cannot be cached as 'q6_k'; allowed: f32"):
        CacheOptions(4096, key_type="q6_k")
    with pytest.raises(InputError, match="values can be cached as q8_0 only with flash attention"):
        CacheOptions(4096, value_type="q8_0", flash_attention=False)
