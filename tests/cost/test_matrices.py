"""What a pass asks of a CPU's kernels: rows one after the other, rows in tiles, and matrices that are read again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmpredict.cost.chunks import SECOND_LEVEL_BYTES, times_again
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.matrices import MatrixWork
from mmpredict.cost.step import StepCost, decode_features
from mmpredict.models.catalog import uniform_spec
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.models.spec import ModelSpec

# wide: 6 layers of 2048 × 2048 twice, 512 × 2048 twice, 5120 × 2048 thrice, and 32768 × 2048 for the output
LAYER_ROWS = 2 * 2048 + 2 * 512 + 2 * 5120 + 2048
ROWS = 6 * LAYER_ROWS + 32768


def wide(name: str) -> ModelSpec:
    return uniform_spec("probe-wide", weight_type(name))


def work(spec: ModelSpec, tokens: int, threads: int = 1) -> MatrixWork:
    found = MatrixWork()
    found.add_pass(spec, tokens, tokens, threads)
    return found


@pytest.mark.parametrize(("name", "single", "tiled"), [("q8_0", True, True), ("q6_k", True, False), ("q4_0", False, False)])
def test_rows_begin_one_by_one_for_one_token_and_in_tiles_for_several(name: str, single: bool, tiled: bool) -> None:
    one, three = work(wide(name), 1), work(wide(name), 3)
    assert (one.single_rows, one.tiled_rows) == (ROWS if single else 0, {})
    assert (three.single_rows, three.tiled_rows) == (0, {name: ROWS} if tiled else {})


@pytest.mark.parametrize(("tokens", "again"), [(1, 0), (2, 1), (3, 2), (4, 0), (5, 1), (7, 3), (8, 0), (511, 3), (512, 0)])
def test_tokens_left_over_from_fours_read_a_matrix_again(tokens: int, again: int) -> None:
    assert times_again(5120, 1152, tokens, 1) == again
    assert times_again(5120, 1152, tokens, 2) == 0, "an eighth of it stays in a core's own cache"
    assert times_again(50_000, 1152, tokens, 2) == again


def test_only_matrices_beyond_a_cores_own_cache_are_read_again() -> None:
    large = 6 * (2 * 2048 * 2048 + 3 * 2048 * 5120) + 2048 * 32768
    assert 512 * 2048 * 4.5 / 8 < SECOND_LEVEL_BYTES < 2048 * 2048 * 4.5 / 8
    assert work(wide("q4_0"), 3).again == pytest.approx(2 * large)
    assert work(wide("q4_0"), 3, threads=2).again == pytest.approx(2 * 2048 * 32768), "the output matrix alone"
    assert work(wide("q8_0"), 3).again == 0, "kernels of other types take what is left over together"


def test_passes_add_up_and_experts_count_only_where_they_are_touched() -> None:
    twice = MatrixWork()
    for _ in range(2):
        twice.add_pass(wide("q8_0"), 3, 1, 2)
    once = MatrixWork()
    once.add_pass(wide("q8_0"), 3, 1, 2, times=2)
    assert twice == once
    experts = uniform_spec("probe-experts", weight_type("q8_0"))
    rows = {group.experts: group.rows for group in experts.main_groups}
    output = experts.output_matrix
    assert output is not None
    assert work(experts, 1).single_rows == pytest.approx(rows[False] + rows[True] * 4 / 32 + output.rows)


def test_what_it_costs_is_in_the_step(coefficients: Coefficients) -> None:
    own = coefficients.steps[1].model_copy(
        update={"again_s": 4e-11, "single_row_s": 2e-8, "row_s": {"q8_0": 5e-8}, "cache_bytes": 0.0}
    )
    priced, plain = StepCost(own), StepCost(own.model_copy(update={"again_s": 0.0, "single_row_s": 0.0, "row_s": {}}))

    def dearer_s(name: str, sequences: int) -> float:
        features = decode_features(wide(name), [0.0] * sequences, 10)
        return priced.duration_s(features) - plain.duration_s(features)

    assert dearer_s("q8_0", 1) == pytest.approx(10 * ROWS * 2e-8)
    assert dearer_s("q8_0", 2) == pytest.approx(10 * ROWS * 5e-8)
    assert dearer_s("q4_0", 2) == pytest.approx(4e-11 * decode_features(wide("q4_0"), [0.0, 0.0], 10).again)
    kept = StepCost(own.model_copy(update={"cache_bytes": 1e12}))
    assert kept.duration_s(replace(decode_features(wide("q8_0"), [0.0], 1), single_rows=0.0)) == kept.duration_s(
        decode_features(wide("q8_0"), [0.0], 1)
    ), "rows of a cached matrix cost no more than their weights"
