"""Asks llama.cpp for the compute buffers of random models, and writes the answers down for the tests of ``mmpredict.cost.graph``.

Usage: ``python benchmarks/oracle_graph.py PROBE tests/cost/graph/data/known.csv --seed 1 --each 3 --engine "..."``, where PROBE is
the built ``benchmarks/oracle_graph.cpp``. Only headers of models are written, to a temporary directory.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import random
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from oracle_graph_cases import ARCHITECTURES, ENCODERS, draw_options, draw_shape

from mmpredict.models.architectures import tensor_shapes
from mmpredict.models.cache import CacheOptions
from mmpredict.models.gguf.weights_file import write_header_only
from mmpredict.models.quantization.weight_types import WEIGHT_TYPES, storable_type
from mmpredict.models.shape import Shape
from mmpredict.models.spec import ModelSpec, Tensor

COLUMNS = (
    "architecture", "context", "slots", "ubatch", "unified", "flash", "key", "value", "outputs", "bytes", "host_bytes",
    "device_bytes", "weights", "threads", "work_bytes", "shape", "engine",
)  # fmt: skip
DEVICE_ALIGNMENT_BYTES = 128
THREADS = 4
WEIGHTS = ("q8_0", "q6_k", "f16")  # types of which the probe, which loads nothing, knows what scratch memory they need
_UNTOUCHED = ("norm", "conv", "ssm_a", "ssm_d", ".bias", ".scale", "layer_output_scale")


class Probe:
    """The running probe."""

    def __init__(self, program: Path) -> None:
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        self._process = subprocess.Popen([program], stdin=pipe, stdout=pipe, stderr=nowhere, text=True)

    def stop(self) -> None:
        """End the probe."""
        self._process.kill()
        self._process.communicate()

    def ask(self, path: Path, options: CacheOptions, outputs: int, embeddings: bool, device: bool) -> list[int]:
        """Bytes on the host, on the device, of scratch memory, and number of operations.

        Raises:
            RuntimeError: the engine refuses the model or the options, or crashes over them.
        """
        types = (WEIGHT_TYPES[name].gguf_id for name in (options.key_type, options.value_type))
        words = (
            path, options.context_tokens, options.slots, options.ubatch_tokens, max(2048, options.ubatch_tokens),
            int(options.unified), int(options.flash_attention), *types, outputs, int(embeddings), THREADS,
            DEVICE_ALIGNMENT_BYTES if device else 0, 0,
        )  # fmt: skip
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None and answers is not None
        print(*words, file=requests, flush=True)
        lines = []
        for line in answers:  # ends with the process
            if line.strip() == "---":
                break
            lines.append(line)
        if not lines or not lines[0][:1].isdigit():
            raise RuntimeError(f"{path.name} {options}: {lines or 'the probe is gone'}")
        return [int(word) for word in lines[0].split()]


def spec_of(shape: Shape, weights: str) -> ModelSpec:
    """A model of which all matrices have one type."""
    wanted, plain = WEIGHT_TYPES[weights], WEIGHT_TYPES["f32"]
    tensors = []
    for name, extents in tensor_shapes(shape):
        matrix = len(extents) > 1 and not any(part in name for part in _UNTOUCHED)
        tensors.append(Tensor(name, extents, storable_type(wanted, extents[0]) if matrix else plain))
    return ModelSpec(shape.name, shape, tuple(tensors))


def without_defaults(value: Any) -> Any:
    """A dataclass as a mapping, without the fields that have their default values."""
    if not dataclasses.is_dataclass(value):
        return value
    fields = {field.name: (getattr(value, field.name), field.default) for field in dataclasses.fields(value)}
    return {name: without_defaults(own) for name, (own, default) in fields.items() if own != default}


def _more_metadata(shape: Shape) -> dict[str, Any]:
    """What real files say besides."""
    name = shape.architecture
    if name == "granitehybrid":
        return {f"{name}.rope.scaling.finetuned": False}
    if name.startswith("qwen3vl"):
        return {f"{name}.n_deepstack_layers": 3}
    return {f"{name}.pooling_type": 1, f"{name}.attention.causal": False} if name == "gemma-embedding" else {}


def rows(program: Path, seed: int, each: int, engine: str, directory: Path) -> Iterator[Mapping[str, Any]]:
    """One row per model and options."""
    rng = random.Random(seed)
    for architecture in ARCHITECTURES:
        for number in range(each):
            shape, weights = draw_shape(rng, architecture), rng.choice(WEIGHTS)
            options = draw_options(rng, shape)
            embeddings = architecture in ENCODERS
            outputs = 0 if embeddings else rng.choice((options.slots, options.slots, options.ubatch_tokens))
            path = directory / f"{architecture}-{number}.gguf"
            write_header_only(spec_of(shape, weights), path, _more_metadata(shape))
            probe = Probe(program)  # one per model: the engine does not survive every question
            try:
                whole = probe.ask(path, options, outputs, embeddings, device=False)
                split = probe.ask(path, options, outputs, embeddings, device=True)
            except RuntimeError as refusal:
                print(refusal)
                continue
            finally:
                probe.stop()
                path.unlink()
            yield {
                "architecture": shape.architecture, "context": options.context_tokens, "slots": options.slots,
                "ubatch": options.ubatch_tokens, "unified": int(options.unified), "flash": int(options.flash_attention),
                "key": options.key_type, "value": options.value_type, "outputs": outputs, "bytes": whole[0], "host_bytes": split[0],
                "device_bytes": split[1], "weights": weights, "threads": THREADS, "work_bytes": whole[2],
                "shape": json.dumps(without_defaults(shape), separators=(",", ":")), "engine": engine,
            }  # fmt: skip


def write(rows: Iterator[Mapping[str, Any]], output: IO[str]) -> int:
    """Write rows as CSV, and return how many there were."""
    writer = csv.DictWriter(output, COLUMNS, lineterminator="\n")
    writer.writeheader()
    count = 0
    for row in rows:
        writer.writerow(row)
        count += 1
    return count


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("probe", type=Path, help="the built benchmarks/oracle_graph.cpp")
    parser.add_argument("output", type=Path, help="CSV file to write")
    parser.add_argument("--seed", type=int, default=1, help="chooses shapes and options")
    parser.add_argument("--each", type=int, default=3, help="models per architecture")
    parser.add_argument("--engine", required=True, help="build of llama.cpp that the probe is linked with")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, arguments.output.open("w", newline="") as output:
        count = write(rows(arguments.probe.resolve(), arguments.seed, arguments.each, arguments.engine, Path(directory)), output)
    print(f"{count} rows in {arguments.output}")


if __name__ == "__main__":
    main()
