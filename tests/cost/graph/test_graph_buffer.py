"""Compute buffers are what llama.cpp itself says, for models that exist nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from graph_truth import MIB, Answer, answers

from mmpredict.cost.graph import ComputeBuffer, compute_buffer
from mmpredict.models.architectures import ARCHITECTURES
from mmpredict.models.cache import CacheOptions
from mmpredict.models.shape import Experts, Latent, Recurrent, Shape

KNOWN, UNSEEN = answers("known.csv"), answers("unseen.csv")  # the second was drawn when the code was finished
TOLERANCE_BYTES = 0.02 * MIB  # the engine prints MiB with two digits
LLAMA_8B = Shape("llama3-8b", "llama", 32, 4096, 128256, 8192, 32, 8, 128, 128, 14336)
OPTIONS = CacheOptions(8192, 4, 512)


def of(shape: Shape, options: CacheOptions = OPTIONS, outputs: int | None = None) -> ComputeBuffer:
    return compute_buffer(shape, options, outputs)


@pytest.mark.parametrize("answer", KNOWN + UNSEEN, ids=lambda answer: answer.label)
def test_a_buffer_is_as_large_as_the_engine_makes_it(answer: Answer) -> None:
    found = compute_buffer(answer.shape, answer.options, answer.outputs)
    assert found.exact
    assert abs(found.bytes - answer.bytes) <= TOLERANCE_BYTES
    assert abs(found.host_bytes - answer.host_bytes) <= TOLERANCE_BYTES
    assert abs(found.device_bytes - answer.device_bytes) <= TOLERANCE_BYTES


def test_there_are_answers_of_every_architecture_that_can_be_asked_about() -> None:
    asked = {answer.shape.architecture for answer in KNOWN} & {answer.shape.architecture for answer in UNSEEN}
    assert set(ARCHITECTURES) - {"clip", "whisper"} <= asked
    assert len(KNOWN) + len(UNSEEN) >= 300


@pytest.mark.parametrize(("context", "flash"), [(512, False), (512, True), (8192, True)])
def test_a_figure_of_published_logs(context: int, flash: bool) -> None:
    """``CUDA0 compute buffer size = 258.50 MiB``: llama.cpp of 2024 with Llama 3 8B, all layers on an RTX 3070, physical batch 512.

    The log is that of a run of huggingface.co/mradermacher/llama-3-Korean-Bllossom-8B-GGUF with a context of 512; the figure is
    that of the logits of a whole batch and of one hidden state, so that it does not depend on the context.
    """
    options = CacheOptions(context, 1, 512, flash_attention=flash)
    assert compute_buffer(LLAMA_8B, options, outputs=512, mixed_batches=False).device_bytes == 258.5 * MIB


def test_one_output_per_slot_is_the_default() -> None:
    assert of(LLAMA_8B) == of(LLAMA_8B, outputs=OPTIONS.slots)
    assert (
        of(LLAMA_8B, outputs=512).bytes - of(LLAMA_8B).bytes > 100 * MIB
    )  # 508 more rows of logits, partly in memory that was free


def test_a_model_of_embeddings_computes_every_token() -> None:
    embedder = replace(LLAMA_8B, kind="text-embedding")
    assert of(embedder) == of(LLAMA_8B, outputs=512)


def test_masks_are_half_as_large_with_flash_attention() -> None:
    small = replace(LLAMA_8B, n_embd=256, n_heads=4, n_kv_heads=1, key_dim=64, value_dim=64, n_ff=256, n_vocab=1000)
    for flash, element_bytes in ((True, 2), (False, 4)):
        long, short = (of(small, CacheOptions(context, 1, 512, flash_attention=flash)) for context in (131072, 65536))
        assert long.host_bytes - short.host_bytes == 65536 * 512 * element_bytes


UNKNOWN = replace(LLAMA_8B, architecture="not-known-yet")
MIXTURE = Experts(16, 4, 1024)


@pytest.mark.parametrize(
    ("shape", "family"),
    [
        (UNKNOWN, "llama"),
        (replace(UNKNOWN, experts=MIXTURE), "qwen3moe"),
        (replace(UNKNOWN, experts=replace(MIXTURE, shared=1, n_ff_shared=2048)), "qwen2moe"),
        (replace(UNKNOWN, latent=Latent(384, 512, 64, 192, 128)), "deepseek2"),
        (replace(UNKNOWN, recurrent=Recurrent((True, False) * 16, 4, 8192, 128, 8, 64)), "granitehybrid"),
        (replace(UNKNOWN, n_ff=0, recurrent=Recurrent((True, False) * 16, 4, 8192, 128, 8, 64)), "nemotron_h"),
        (replace(UNKNOWN, kind="text-embedding"), "bert"),
        (replace(UNKNOWN, n_decoder_layers=6, n_buckets=32), "t5"),
        (replace(UNKNOWN, architecture="clip", kind="vision", n_vocab=0, context_length=196), "bert"),
        (replace(UNKNOWN, architecture="deepseek2"), "llama"),  # an old file without the compressed form
        (replace(UNKNOWN, architecture="qwen35"), "llama"),
    ],
)
def test_an_unknown_architecture_is_taken_for_the_nearest_and_says_so(shape: Shape, family: str) -> None:
    found = of(shape)
    assert (found.family, found.exact) == (family, False)
    assert found.bytes > MIB


def test_an_encoder_of_images_takes_one_image_at_a_time() -> None:
    eye = replace(UNKNOWN, architecture="clip", kind="vision", n_vocab=0, context_length=196)
    assert of(eye) == of(eye, CacheOptions(4096, 1, 2048, False))


def test_widths_that_a_file_may_name_by_mistake_do_no_harm() -> None:
    for dims in ({"key_dim": 0, "value_dim": 0}, {"n_kv_heads": 0, "n_heads": 0}, {"n_layers": 1}, {"n_vocab": 0}, {"n_ff": 0}):
        for architecture in ("llama", "phi3", "gemma2", "bert", "mamba2"):
            shape = replace(LLAMA_8B, architecture=architecture, **dims)
            assert of(shape, CacheOptions(4096, 2, 512, key_type="q8_0", value_type="q8_0")).bytes > 0
