"""llama-bench's fields by name (``tools/llama-bench/llama-bench.cpp``), and its JSON and JSON Lines.

Versions differ in fields, not in their meaning: builds before 2025 have no ``n_depth`` (every test began with an empty cache),
the oldest have a flag per backend instead of ``backends`` and ``f16_kv`` instead of ``type_k`` and ``type_v``.
"""

from __future__ import annotations

from collections.abc import Iterator

from mmpredict.calibrate.importers import fields as read
from mmpredict.calibrate.importers.fields import Fields
from mmpredict.calibrate.importers.objects import objects
from mmpredict.calibrate.importers.row import BenchRow, Found, Rejected, RowError, Test

ENGINE = "llama.cpp"
LARGEST_DISAGREEMENT = 2.0
"""Factor between speed and time of one row: the mean of speeds is not the speed of the mean time, but never that far from it."""
_BACKEND_FLAGS = {
    "cuda": "CUDA",
    "hipblas": "ROCm",
    "vulkan": "Vulkan",
    "kompute": "Kompute",
    "metal": "Metal",
    "sycl": "SYCL",
    "opencl": "OpenCL",
    "gpu_blas": "GPU BLAS",
    "blas": "BLAS",
}
_NO_OVERRIDES = ("none", "")


def read_json(text: str, file: str) -> Iterator[Found]:
    """Rows of ``llama-bench -o json`` and ``-o jsonl``."""
    for item in objects(text):
        if isinstance(item, Rejected):
            yield item
            continue
        line, fields = item
        try:
            yield bench_row(fields, file, line)
        except RowError as error:
            yield Rejected(line, str(error))


def bench_row(fields: Fields, file: str, line: int) -> BenchRow:
    """The row of one test.

    Raises:
        RowError: a field is missing or malformed, or speed and time contradict each other.
    """
    n_prompt, n_gen = read.needed_whole(fields, "n_prompt"), read.needed_whole(fields, "n_gen")
    tokens_per_s = read.needed_real(fields, "avg_ts", "t/s")
    duration_ns = read.real(fields, "avg_ns", high=read.MAX_DURATION_S * 1e9)
    if duration_ns is not None:
        disagreement = tokens_per_s * duration_ns / (1e9 * max(1, n_prompt + n_gen))
        if not 1 / LARGEST_DISAGREEMENT <= disagreement <= LARGEST_DISAGREEMENT:
            raise RowError(f"avg_ts {tokens_per_s:g} does not belong to avg_ns {duration_ns:g} of {n_prompt + n_gen} tokens")
    model = read.text(fields, "model_type", "model")
    machine = "; ".join(part for name in ("gpu_info", "cpu_info") if (part := read.text(fields, name)))
    overrides = read.text(fields, "tensor_buft_overrides", "ot")
    key_type, value_type = _cache_types(fields)
    return BenchRow(
        file=file,
        line=line,
        engine=ENGINE,
        test=test_kind(n_prompt, n_gen),
        tokens_per_s=tokens_per_s,
        stddev=read.real(fields, "stddev_ts", zero=True),
        n_prompt=n_prompt,
        n_gen=n_gen,
        depth=read.whole(fields, "n_depth") or 0,
        parallel=1,
        build=read.build_of(fields),
        backend=_backend(fields),
        machine=machine or None,
        model=model,
        model_file=read.file_name(fields, "model_filename"),
        file_type=read.type_of(model),
        size_bytes=read.whole(fields, "model_size", high=read.MAX_SIZE_BYTES),
        n_params=read.whole(fields, "model_n_params", high=read.MAX_PARAMETERS),
        n_batch=read.whole(fields, "n_batch", low=1),
        n_ubatch=read.whole(fields, "n_ubatch", low=1),
        threads=read.whole(fields, "n_threads", "threads", low=1, high=read.MAX_COUNT),
        gpu_layers=read.whole(fields, "n_gpu_layers", "ngl", low=-2, high=read.MAX_COUNT),
        flash_attention=read.switch(fields, "flash_attn", "fa"),
        key_type=key_type,
        value_type=value_type,
        expert_layers_on_cpu=read.whole(fields, "n_cpu_moe", "ncmoe", high=read.MAX_COUNT),
        tensor_overrides=None if overrides is None or overrides.lower() in _NO_OVERRIDES else overrides,
        date=read.date(fields, "test_time"),
    )


def test_kind(n_prompt: int, n_gen: int) -> Test:
    """llama-bench's word for a test.

    Raises:
        RowError: a test of no tokens.
    """
    if n_prompt and n_gen:
        return "pp+tg"
    if not n_prompt and not n_gen:
        raise RowError("the test has neither prompt nor generated tokens")
    return "pp" if n_prompt else "tg"


def _cache_types(fields: Fields) -> tuple[str | None, str | None]:
    key_type, value_type = read.text(fields, "type_k", "ctk"), read.text(fields, "type_v", "ctv")
    half = read.switch(fields, "f16_kv")
    if key_type is None and value_type is None and half is not None:
        key_type = value_type = "f16" if half else "f32"
    return key_type, value_type


def _backend(fields: Fields) -> str | None:
    named = read.text(fields, "backends", "backend")
    if named is not None or not any(flag in fields for flag in _BACKEND_FLAGS):
        return named
    # gpu_blas and blas are also set by the backends that bring them, so only the first of the list was printed
    return next((name for flag, name in _BACKEND_FLAGS.items() if read.switch(fields, flag)), "CPU")
