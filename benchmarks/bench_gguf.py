"""How long it takes to read the header of a model of 70B: 723 tensors, and vocabularies as large as they come.

Run with ``make bench``. The file is sparse: the reader never looks at weights, and the header is as long as that of a real one.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from mmpredict.models.gguf.model import spec_from_gguf
from mmpredict.models.gguf.weights_file import write_header_only
from mmpredict.models.gguf.write import Packed
from mmpredict.models.quantization.weight_types import WEIGHT_TYPES
from mmpredict.models.shape import Shape
from mmpredict.models.spec import ModelSpec, Tensor
from mmpredict.units import MIB

LONGEST_S = 0.050
LAYERS, WIDTH, KV_WIDTH, FEED_FORWARD = 80, 8192, 1024, 28672


def llama_70b(n_vocab: int) -> ModelSpec:
    """Llama 3 70B, but for its number of tokens."""
    shape = Shape("llama-70b", "llama", LAYERS, WIDTH, n_vocab, 131072, 64, 8, 128, 128, FEED_FORWARD, rope_base=5e5)
    matrices = {"attn_q": WIDTH, "attn_k": KV_WIDTH, "attn_v": KV_WIDTH, "attn_output": WIDTH, "ffn_gate": FEED_FORWARD}
    q4_k, f32 = WEIGHT_TYPES["q4_k"], WEIGHT_TYPES["f32"]
    tensors = [Tensor("token_embd.weight", (WIDTH, n_vocab), q4_k), Tensor("output_norm.weight", (WIDTH,), f32)]
    for layer in range(LAYERS):
        tensors += [Tensor(f"blk.{layer}.{name}.weight", (WIDTH,), f32) for name in ("attn_norm", "ffn_norm")]
        tensors += [Tensor(f"blk.{layer}.{name}.weight", (WIDTH, rows), q4_k) for name, rows in matrices.items()]
        tensors += [Tensor(f"blk.{layer}.ffn_up.weight", (WIDTH, FEED_FORWARD), q4_k)]
        tensors += [Tensor(f"blk.{layer}.ffn_down.weight", (FEED_FORWARD, WIDTH), q4_k)]
    return ModelSpec("llama-70b", shape, (*tensors, Tensor("output.weight", (WIDTH, n_vocab), q4_k)))


def words(count: int, generator: random.Random) -> list[str]:
    """Strings as long as tokens are; now and then one that is empty, longer than 255 bytes, or not ASCII."""
    text = "".join(generator.choices("abcdefghijklmnopqrstuvwxyz", k=4096)) + "é" * 200
    lengths = generator.choices(
        (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 14, 20, 300), (0.01, 1, 3, 7, 9, 10, 10, 10, 8, 7, 5, 4, 1, 0.01), k=count
    )
    return [text[(start := generator.randrange(4096)) : start + length] for length in lengths]


def write(path: Path, n_vocab: int, n_merges: int) -> Path:
    """A file with a vocabulary of that size."""
    generator = random.Random(n_vocab)
    more = {
        "tokenizer.ggml.tokens": Packed.strings(words(n_vocab, generator)),
        "tokenizer.ggml.scores": Packed(6, n_vocab, bytes(4 * n_vocab)),
        "tokenizer.ggml.merges": Packed.strings(
            [f"{a} {b}" for a, b in zip(words(n_merges, generator), words(n_merges, generator), strict=True)]
        ),
        "tokenizer.chat_template": "x" * 8000,
    }
    return write_header_only(llama_70b(n_vocab), path, more)


@pytest.mark.parametrize(("n_vocab", "n_merges"), [(128256, 280147), (262144, 514906)])
def test_header_of_70b(benchmark: BenchmarkFixture, tmp_path: Path, n_vocab: int, n_merges: int) -> None:
    path = write(tmp_path / "llama-70b.gguf", n_vocab, n_merges)
    spec = benchmark(spec_from_gguf, path)
    assert len(spec.tensors) == 723
    assert spec.weight_bytes > 36 * 1024 * MIB
    benchmark.extra_info["header_mib"] = round(spec.metadata_bytes / MIB, 1)
    print(f"header of {spec.metadata_bytes / MIB:.1f} MiB: median {benchmark.stats['median'] * 1e3:.1f} ms")
    assert benchmark.stats["median"] < LONGEST_S
