"""What the CPU backend copies: llama.cpp's table, and the sizes that its own server printed for files made to find out."""

from __future__ import annotations

import pytest

from mmpredict.models.quantization.repacking import MAC_WHEEL_FEATURES, WHEEL_FEATURES, repacks, repacks_tensor
from mmpredict.models.quantization.weight_types import WEIGHT_TYPES, weight_type
from mmpredict.models.spec import Tensor
from mmpredict.units import MIB

X86 = frozenset({"avx2", "fma", "f16c"})
X86_512 = X86 | {"avx512f", "avx512_vnni"}
ARM_V8 = frozenset({"asimd"})
ARM_DOT = ARM_V8 | {"asimddp"}
ARM_I8 = ARM_DOT | {"i8mm"}
SVE = ARM_I8 | {"sve"}

# Type, then what the number of rows must be a multiple of with each set of features; None is never.
TABLE = [
    ("q4_0", 8, 8, None, 4, 4),
    ("q4_k", 8, 8, None, 8, 8),
    ("q2_k", None, 8, None, None, None),
    ("q5_k", None, None, None, 8, 8),
    ("q6_k", None, None, None, 8, 8),
    ("iq4_nl", 8, 8, None, 4, 4),
    ("mxfp4", 8, 8, None, 4, 4),
    ("q8_0", None, None, None, 4, 4),
    ("q1_0", None, None, None, 4, 4),
    ("q3_k", None, None, None, None, None),
    ("iq4_xs", None, None, None, None, None),
    ("f16", None, None, None, None, None),
]


@pytest.mark.parametrize(("features", "column"), [(X86, 1), (X86_512, 2), (ARM_V8, 3), (ARM_DOT, 4), (ARM_I8, 5), (SVE, 5)])
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0])
def test_types_and_rows(row: tuple[str, int | None], features: frozenset[str], column: int) -> None:
    multiple = row[column]
    for rows in range(1, 65):
        assert repacks(weight_type(row[0]), rows, features) == (multiple is not None and rows % multiple == 0)


def test_nothing_is_copied_without_kernels() -> None:
    assert not any(repacks(weight, 64, ()) for weight in WEIGHT_TYPES.values())
    assert not any(repacks(weight, 64, WHEEL_FEATURES - X86) for weight in WEIGHT_TYPES.values())


def test_the_wheel_of_x86_copies_what_avx2_copies() -> None:
    copied = {name for name, weight in WEIGHT_TYPES.items() if repacks(weight, 64, WHEEL_FEATURES)}
    assert (
        copied == {name for name, weight in WEIGHT_TYPES.items() if repacks(weight, 64, X86)} == {"q4_0", "q4_k", "iq4_nl", "mxfp4"}
    )


def test_a_macs_wheel_copies_eight_bits() -> None:
    assert repacks(weight_type("q8_0"), 64, MAC_WHEEL_FEATURES)


def tensor(name: str, shape: tuple[int, ...], kind: str = "q4_0") -> Tensor:
    return Tensor(name, shape, weight_type(kind))


@pytest.mark.parametrize(
    ("name", "shape", "copied"),
    [
        ("blk.0.attn_q.weight", (256, 64), True),
        ("blk.0.attn_q.weight", (256, 36), False),
        ("output.weight", (256, 1000), True),
        ("token_embd.weight", (256, 1000), False),
        ("per_layer_token_embd.weight", (256, 1000), False),
        ("blk.46.nextn.embed_tokens.weight", (256, 1000), False),
        ("blk.0.ffn_up_exps.weight", (256, 64, 8), True),
        ("blk.0.ffn_up_exps.weight", (256, 36, 8), False),
        ("blk.0.ffn_up_exps.weight", (256, 64, 1), False),
        ("blk.0.ffn_up_shexp.weight", (256, 64), True),
        ("blk.0.attn_k_b.weight", (256, 64, 8), False),
        ("v.blk.0.attn_q.weight", (256, 64), False),
        ("enc.blk.0.attn_q.weight", (256, 64), True),
    ],
)
def test_tensors(name: str, shape: tuple[int, ...], copied: bool) -> None:
    assert repacks_tensor(tensor(name, shape), X86) == copied


def test_a_tied_embedding_is_copied_as_output_matrix() -> None:
    assert repacks_tensor(tensor("token_embd.weight", (256, 1000)), X86, as_output=True)
    assert not repacks_tensor(tensor("token_embd.weight", (256, 1001)), X86, as_output=True)


# Size of the CPU_REPACK buffer [MiB] that llama.cpp printed for a mixture of 4 experts (width 512, 2 layers): with the sources of
# xllamacpp 2026.10.11549 built for AVX2, and for AVX512 by llama.cpp b8121.
PRINTED = [
    ("q4_0", 64, 1000, X86, 2.59),
    ("q4_k", 64, 1000, X86, 2.59),
    ("iq4_nl", 64, 1000, X86, 2.59),
    ("mxfp4", 64, 1000, X86, 2.45),
    ("q8_0", 64, 1000, X86, 0),
    ("q2_k", 64, 1000, X86, 0),
    ("q6_k", 64, 1000, X86, 0),
    ("q4_0", 36, 1000, X86, 2.28),
    ("q4_0", 64, 1004, X86, 2.32),
    ("q2_k", 64, 1000, X86_512, 1.51),
    ("q4_k", 64, 1000, X86_512, 2.59),
    ("q8_0", 64, 1000, X86_512, 0),
]


@pytest.mark.parametrize(("kind", "kv_rows", "vocabulary", "features", "printed_mib"), PRINTED)
def test_sizes_that_llama_cpp_printed(
    kind: str, kv_rows: int, vocabulary: int, features: frozenset[str], printed_mib: float
) -> None:
    block = [
        *((f"attn_{part}.weight", (512, kv_rows)) for part in "kv"),
        ("attn_q.weight", (512, 8 * kv_rows)),
        *((f"ffn_{part}_exps.weight", (512, 256, 4)) for part in ("gate", "up")),
        ("ffn_down_exps.weight", (256, 512, 4)),
    ]
    tensors = [tensor(f"blk.{layer}.{name}", shape, kind) for layer in range(2) for name, shape in block]
    # 8 heads of 36 are rows of 288, which only 32-weight blocks divide
    tensors += [tensor(f"blk.{layer}.attn_output.weight", (8 * kv_rows, 512), kind) for layer in range(2)]
    tensors += [tensor(name, (512, vocabulary), kind) for name in ("token_embd.weight", "output.weight")]
    copied_bytes = sum(found.size_bytes for found in tensors if repacks_tensor(found, features))
    assert copied_bytes / MIB == pytest.approx(printed_mib, abs=0.006)
