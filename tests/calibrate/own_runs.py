"""Runs as llama-bench would print them on a machine whose speed is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mmpredict.calibrate.bench_rows import speed_rows
from mmpredict.calibrate.importers.row import BenchRow
from mmpredict.calibrate.rates_fit import measured_spec, terms_of
from mmpredict.cost.rates.rates import Rates
from mmpredict.hardware.profile import HardwareProfile

USUAL_TESTS = ((512, 0, 0), (0, 128, 0), (0, 128, 4096))  # prompt, generated, depth [tokens]


def run(model: str, kind: str, n_prompt: int = 0, n_gen: int = 0, depth: int = 0, line: int = 1) -> BenchRow:
    """A run without a speed of its own."""
    spec = measured_spec(model, kind, 0)
    return BenchRow(
        file="bench.json",
        line=line,
        engine="llama.cpp",
        test="pp" if n_prompt else "tg",
        tokens_per_s=100.0,
        n_prompt=n_prompt,
        n_gen=n_gen,
        depth=depth,
        parallel=1,
        build="1a2b3c4d (8900)",
        backend="CUDA",
        model=f"{spec.shape.architecture} ?B {kind}",
        file_type=kind,
        size_bytes=spec.weight_bytes,
        n_params=spec.parameters,
        n_ubatch=512,
        gpu_layers=99,
        flash_attention=True,
        date="2026-10-10T12:00:00Z",
    )


def runs(
    models: Iterable[tuple[str, str]], profile: HardwareProfile, rates: Rates, speed: float = 1.0, backend: str = "CUDA"
) -> list[BenchRow]:
    """The usual tests of models, each at ``speed`` times what rates tell."""
    found: list[BenchRow] = []
    for model, kind in models:
        for test in USUAL_TESTS:
            blank = replace(run(model, kind, *test, line=len(found) + 1), backend=backend)
            (row,) = speed_rows([blank], profile).rows
            expected = (row.n_prompt or row.n_gen) / rates.seconds(terms_of(row))
            found.append(replace(blank, tokens_per_s=speed * expected))
    return found
