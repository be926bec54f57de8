"""Where weights lie: nothing is lost, nothing counted twice but what exists twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.cost.placement import (
    Placement,
    device_tensor_bytes,
    host_weights,
    most_gpu_layers,
    repacked_bytes,
    streamed_bytes,
)
from mmpredict.models.spec import EMBEDDING, OUTPUT, ModelSpec
from mmpredict.models.synthetic import synthetic_spec

TIED, UNTIED, REPACKED = (
    synthetic_spec(f"synthetic:{name}") for name in ("smollm2-135m@q8_0", "probe-wide@q8_0", "probe-wide@q4_0")
)


def size_of(spec: ModelSpec, name: str) -> int:
    return next(tensor.size_bytes for tensor in spec.tensors if tensor.name == name)


@given(st.sampled_from([TIED, UNTIED, REPACKED]), st.integers(0, 40))
def test_weights_are_on_the_host_or_on_the_gpu(spec: ModelSpec, asked: int) -> None:
    gpu_layers = min(asked, most_gpu_layers(spec))
    mapped, copied = host_weights(spec, Placement(gpu_layers, repacking=False))
    twice = size_of(spec, EMBEDDING) if spec.tied_output and gpu_layers else 0
    assert copied == 0
    assert mapped + device_tensor_bytes(spec, gpu_layers) == spec.weight_bytes + twice


def test_layers_move_one_by_one_from_the_last() -> None:
    sizes = [device_tensor_bytes(UNTIED, layers) for layers in range(most_gpu_layers(UNTIED) + 1)]
    layer = sum(tensor.size_bytes for tensor in UNTIED.tensors if tensor.layer == 5)
    assert sizes[0] == 0
    assert sizes[1] == size_of(UNTIED, OUTPUT) + size_of(UNTIED, "output_norm.weight"), "the output counts as a layer"
    assert sizes[2] - sizes[1] == layer
    assert sizes[-1] == UNTIED.weight_bytes - size_of(UNTIED, EMBEDDING)


def test_copied_matrices_exist_twice_while_mapped_and_once_otherwise() -> None:
    mapped, copied = host_weights(REPACKED, Placement())
    vectors = sum(tensor.size_bytes for tensor in REPACKED.tensors if len(tensor.shape) == 1)
    assert copied == REPACKED.weight_bytes - size_of(REPACKED, EMBEDDING) - vectors == repacked_bytes(REPACKED)
    # From the embedding table, which comes first, to the last norm: only the output matrix, which comes last, is left out.
    assert mapped == pytest.approx(REPACKED.weight_bytes - size_of(REPACKED, OUTPUT), abs=32 * len(REPACKED.tensors))
    assert host_weights(REPACKED, Placement(mapped=False)) == (0, REPACKED.weight_bytes)


def test_a_tied_embedding_is_copied_as_output_matrix(make_spec: Callable[[str], ModelSpec]) -> None:
    spec = make_spec("smollm2-135m@q4_0")
    vectors = sum(tensor.size_bytes for tensor in spec.tensors if len(tensor.shape) == 1)
    assert repacked_bytes(spec) == spec.weight_bytes - vectors
    assert host_weights(spec, Placement(mapped=False)) == (0, spec.weight_bytes + size_of(spec, EMBEDDING))


@pytest.mark.parametrize("features", [frozenset(), frozenset({"f16c"})])
def test_nothing_is_copied_without_the_instructions_for_it(features: frozenset[str]) -> None:
    assert repacked_bytes(REPACKED, features) == 0
    assert host_weights(REPACKED, Placement(features=features)) == host_weights(REPACKED, Placement(repacking=False))


def test_nothing_is_copied_beside_a_gpu() -> None:
    assert host_weights(REPACKED, Placement(gpu_layers=1))[1] == 0


def test_a_partial_offload_needs_room_for_the_largest_matrix_of_the_rest() -> None:
    assert streamed_bytes(UNTIED, 0) == streamed_bytes(UNTIED, most_gpu_layers(UNTIED)) == 0
    assert streamed_bytes(UNTIED, 3) == size_of(UNTIED, "blk.0.ffn_gate.weight")
