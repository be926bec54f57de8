"""Leaving out layers that repeat themselves changes nothing but the time that it takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from graph_truth import Answer, answers
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.cost.graph import buffer
from mmpredict.cost.graph.batch import worst_batch
from mmpredict.cost.graph.families import family_of, wants_all_outputs
from mmpredict.cost.graph.layers import all_layers, select_layers
from mmpredict.models.shape import Shape

DEEP = 40


@pytest.mark.parametrize(
    ("kinds", "built"),
    [
        ("a" * 4, 4),
        ("a" * 80, 6),
        ("a" * 81, 5),
        ("d" + "e" * 60, 7),
        ("ab" * 20, 8),
        ("aaab" * 12, 16),
        (("a" * 5 + "b") * 10, 24),
    ],
)
def test_few_layers_of_a_deep_model_are_built(kinds: str, built: int) -> None:
    selection = select_layers(kinds)
    assert len(selection.layers) == built
    assert bool(selection.cuts) == (built < len(kinds))


@given(st.lists(st.sampled_from("ab"), max_size=6), st.lists(st.sampled_from("abc"), min_size=1, max_size=6), st.integers(1, 12))
def test_what_is_left_out_repeats_what_is_built(head: list[str], group: list[str], times: int) -> None:
    kinds = head + group * times
    layers = select_layers(kinds).layers
    assert list(layers) == sorted(set(layers))
    assert layers[0] == 0 and layers[-1] == len(kinds) - 1
    for entry, period in select_layers(kinds).cuts:
        gap = layers[entry] - layers[entry - 1] - 1
        assert gap > 0 and gap % (2 * period) == 0
        for number in range(layers[entry - 1] + 1, layers[entry]):  # each equals the one a period before, down to a built one
            assert kinds[number] == kinds[number - period]
    assert {kinds[layer] for layer in layers} == set(kinds)


def test_all_layers_means_all() -> None:
    assert all_layers("aab").layers == (0, 1, 2)


def deep(shape: Shape) -> Shape | None:
    """The same model with many more layers, where they all have one number each."""
    if isinstance(shape.n_ff, tuple) or shape.recurrent or shape.n_decoder_layers or isinstance(shape.n_kv_heads, tuple):
        return None
    window = shape.window and replace(shape.window, local=(shape.window.local * DEEP)[:DEEP])
    return replace(shape, n_layers=DEEP, window=window)


@pytest.mark.parametrize(
    "answer", [answer for answer in answers("known.csv") if deep(answer.shape)], ids=lambda answer: answer.label
)
def test_a_selection_of_layers_needs_what_all_of_them_need(answer: Answer) -> None:
    shape = deep(answer.shape)
    assert shape is not None
    _, family, _ = family_of(shape)
    batch = worst_batch(shape, answer.options, answer.outputs, wants_all_outputs(shape, family))
    whole, split = buffer._replays(shape, batch, family, mixed_batches=True, whole=True)
    found = buffer.compute_buffer(shape, answer.options, answer.outputs)
    assert (found.bytes, found.host_bytes, found.device_bytes) == (whole.host_bytes, split.host_bytes, split.device_bytes)
