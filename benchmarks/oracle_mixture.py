"""Asks a real llama-quantize which type it gives every tensor, and stores the answers as the tests' oracle.

    python benchmarks/oracle_mixture.py PATH/llama-quantize --engine "xllamacpp 2026.10.11549"
    python benchmarks/oracle_mixture.py PATH/libllama.so --engine "llama.cpp b8121" --before-march-2026

The models have real names, layers, heads and experts but narrow rows, and no weights: their files are sparse, and a dry run
reads the header only. Writes ``tests/models/data/mixture_*.jsonl``, one line per model; for the older rules only what differs
from the newer ones, which must be there. Binaries of any build lie in llama.cpp's releases and, as libraries of an older one,
in the npm package ``@node-llama-cpp/linux-x64`` (3.16.2 holds b8121, whose dry run is new).
"""

from __future__ import annotations

import argparse
import ctypes
import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from oracle_mixture_blocks import VOCABULARY, WIDE, Row
from oracle_mixture_cases import CASES, Case

from mmpredict.models.quantization.file_types import FILE_TYPES, FileType

TARGET = Path(__file__).parent.parent / "tests" / "models" / "data"
NEWER, OLDER = "mixture_llama_cpp.jsonl", "mixture_llama_cpp_2025.jsonl"
SINCE_MARCH_2026 = ("Q1_0", "Q2_0")
KEPT = "="  # the oracle's word for a tensor that is not quantized
FAILED = "error"
ALIGNMENT = 32


def expand(rows: list[Row]) -> Iterator[tuple[int, str, tuple[int, ...]]]:
    """Every tensor with the number of the row that it comes from."""
    for number, (pattern, shape, layers) in enumerate(rows):
        for layer in (0,) if layers is None else layers:
            yield number, pattern.format(layer), shape


def header(case: Case) -> dict[str, Any]:
    """Keys that llama.cpp wants to see before it looks at tensors."""
    heads, kv_heads = case.heads
    keys: dict[str, Any] = {
        "context_length": 2048,
        "embedding_length": WIDE,
        "block_count": case.n_layers,
        "feed_forward_length": 2 * WIDE,
        "attention.head_count": heads,
        "attention.head_count_kv": kv_heads,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "attention.layer_norm_epsilon": 1e-5,
        "attention.key_length": 64,
        "attention.value_length": 64,
        "rope.dimension_count": 64,
        "vocab_size": VOCABULARY,
    }
    if case.n_experts:
        keys |= {"expert_count": case.n_experts, "expert_used_count": 4, "expert_feed_forward_length": WIDE}
        keys |= {"expert_shared_feed_forward_length": WIDE, "expert_shared_count": 1, "expert_weights_scale": 1.0}
        keys |= {"expert_gating_func": 1, "expert_weights_norm": True}
    return keys | case.metadata


def write_model(case: Case, path: Path) -> None:
    """The case as a sparse file of 32-bit weights."""
    writer = gguf.GGUFWriter(path, case.architecture)
    for key, value in header(case).items():
        put = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, list: writer.add_array}[type(value)]
        put(f"{case.architecture}.{key}", value)
    size_bytes = 0
    for _, name, shape in expand(case.rows):
        tensor_bytes = 4 * int(np.prod(shape))
        writer.add_tensor_info(name, list(reversed(shape)), np.dtype(np.float32), tensor_bytes)
        size_bytes += -(-tensor_bytes // ALIGNMENT) * ALIGNMENT
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + ALIGNMENT + size_bytes)


def write_importance(path: Path) -> None:
    """An importance matrix of one entry: a dry run only asks whether there is one."""
    writer = gguf.GGUFWriter(path, "")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", ["none"])
    writer.add_uint32("imatrix.chunk_count", 1)
    writer.add_uint32("imatrix.chunk_size", 512)
    writer.add_tensor("blk.0.attn_q.weight.in_sum2", np.ones((1, WIDE), np.float32))
    writer.add_tensor("blk.0.attn_q.weight.counts", np.ones((1, 1), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# Older versions print a warning between the two halves of a line.
_LINE = re.compile(
    r"^\[ *\d+/ *\d+\] +(\S+) +- \[[^]]*\], type = +\S+, .*?size = +[\d.]+ MiB(?: -> +[\d.]+ MiB \((\w+)\))?$",
    re.MULTILINE | re.DOTALL,
)


Types = dict[str, str]  # of every tensor, by name


def read_types(log: str, name: str) -> Types | None:
    """What a dry run printed; None when it refused because a row fits no block."""
    if any(reason in log for reason in ("no tensor type fallback is defined", "Unsupported tensor size encountered")):
        return None
    types = {tensor: (kind or KEPT).lower() for tensor, kind in _LINE.findall(log)}
    if not types:
        raise SystemExit(f"{name}: {log[-2000:]}")
    return types


def ask_program(binary: Path, model: Path, kind: FileType, imatrix: Path | None) -> Types | None:
    """Answer of ``llama-quantize``."""
    options = ["--imatrix", str(imatrix)] if imatrix else []
    done = subprocess.run([binary, "--dry-run", *options, model, kind.name, "1"], capture_output=True, text=True, check=False)
    return read_types(done.stdout + done.stderr, f"{model.name} as {kind.name}")


class Parameters(ctypes.Structure):
    """``llama_model_quantize_params`` as of b8121; ``rest`` are pointers that stay null."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("nthread", "ftype", "output_tensor_type", "token_embedding_type")),
        *((name, ctypes.c_bool) for name in ("allow_requantize", "quantize_output_tensor", "only_copy", "pure", "keep_split")),
        ("dry_run", ctypes.c_bool),
        ("rest", ctypes.c_void_p * 6),
    )


def ask_library(library: ctypes.CDLL, model: Path, kind: FileType, imatrix: Path | None) -> Types | None:
    """Answer of a shared library; it is not asked about importance matrices."""
    assert imatrix is None
    log: list[str] = []
    callback = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(
        lambda _level, text, _data: log.append(text.decode("utf-8", "replace"))
    )
    library.llama_log_set(callback, None)
    library.llama_model_quantize_default_params.restype = Parameters
    parameters = library.llama_model_quantize_default_params()
    parameters.nthread, parameters.ftype, parameters.dry_run = 1, kind.number, True
    library.llama_model_quantize(str(model).encode(), b"/dev/null", ctypes.byref(parameters))
    return read_types("".join(log), f"{model.name} as {kind.name}")


def load(path: Path) -> ctypes.CDLL:
    """A ``libllama.so`` and what it needs from its own folder."""
    for needed in (*path.parent.glob("libggml-base.*"), *path.parent.glob("libggml.*")):
        ctypes.CDLL(str(needed), mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(path))


Ask = Callable[[Path, FileType, Path | None], Types | None]


def runs(types: list[str]) -> str:
    """``q6_k*4 q4_k*2``: one word per run of equal types; one type for all is written once."""
    words = [(kind, len(list(group))) for kind, group in groupby(types)]
    return words[0][0] if len(words) == 1 else " ".join(f"{kind}*{count}" for kind, count in words)


def layer_text(layers: range | tuple[int, ...] | None) -> str | None:
    """``first:stop:step`` of a range, else the layers themselves."""
    if layers is None:
        return None
    return f"{layers.start}:{layers.stop}:{layers.step}" if isinstance(layers, range) else ",".join(map(str, layers))


def answers(ask: Ask, case: Case, model: Path, imatrix: Path | None, kinds: list[FileType]) -> dict[str, list[str] | str]:
    """For every file type, one entry per row: the types of its tensors."""
    tensors = list(expand(case.rows))
    found: dict[str, list[str] | str] = {}
    for kind in kinds:
        types = ask(model, kind, imatrix)
        if types is None:
            found[kind.name] = FAILED
            continue
        if set(types) != {tensor for _, tensor, _ in tensors}:
            raise SystemExit(f"{case.name} as {kind.name}: other tensors were printed")
        grouped = groupby(tensors, key=lambda entry: entry[0])
        found[kind.name] = [runs([types[tensor] for _, tensor, _ in group]) for _, group in grouped]
    return found


def record(case: Case, engine: str, imatrix: bool, types: dict[str, list[str] | str]) -> str:
    """One line of the oracle."""
    return json.dumps(
        {
            "case": case.name + (" with importance matrix" if imatrix else ""),
            "engine": engine,
            "facts": {
                "architecture": case.architecture,
                "n_layers": case.n_layers,
                "n_heads": case.heads[0],
                "n_kv_heads": case.heads[1],
                "n_experts": case.n_experts,
                "imatrix": imatrix,
            },
            "rows": [[pattern, shape, layer_text(layers)] for pattern, shape, layers in case.rows],
            "types": types,
        },
        separators=(",", ":"),
    )


def newer_types() -> dict[str, dict[str, list[str] | str]]:
    """The answers by today's rules, by case."""
    lines = (TARGET / NEWER).read_text("utf-8").splitlines()
    return {line["case"]: line["types"] for line in map(json.loads, lines)}


def main() -> None:
    """Ask about every case and write the answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine_path", type=Path, help="llama-quantize with --dry-run, or a libllama.so")
    parser.add_argument("--engine", required=True, help="name and version of the engine it belongs to")
    parser.add_argument("--before-march-2026", action="store_true", help="the engine has the older rules")
    arguments = parser.parse_args()
    older, path = arguments.before_march_2026, arguments.engine_path.absolute()
    is_library = ".so" in path.suffixes
    ask: Ask = partial(ask_library, load(path)) if is_library else partial(ask_program, path)
    kinds = [kind for kind in FILE_TYPES.values() if kind.weight is not None and not (older and kind.name in SINCE_MARCH_2026)]
    newer = newer_types() if older else {}
    lines = []
    with tempfile.TemporaryDirectory() as scratch:
        importance = Path(scratch) / "imatrix.gguf"
        write_importance(importance)
        for case in CASES:
            if older and case.since_march_2026:
                continue
            model = Path(scratch) / f"{case.name}.gguf"
            write_model(case, model)
            for imatrix in (None, importance) if case.with_imatrix and not is_library else (None,):
                types = answers(ask, case, model, imatrix, kinds)
                if older:
                    types = {name: row for name, row in types.items() if row != newer[case.name][name]}
                lines.append(record(case, arguments.engine, bool(imatrix), types))
            model.unlink()
            print(case.name, flush=True)
    (TARGET / (OLDER if older else NEWER)).write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
