"""Prefills and decodes as the protocol asks for them, with durations from known coefficients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from mmpredict.calibrate.fit_steps import CACHE_CANDIDATES_BYTES
from mmpredict.calibrate.measurement import MASKED_CELLS, ROUND, Kind, Measurement
from mmpredict.calibrate.protocol import LARGE, Protocol, thread_counts
from mmpredict.cost.coefficients import Coefficients, Kernel, StepCoefficients
from mmpredict.cost.piece import PromptPiece
from mmpredict.cost.step import (
    StepCost,
    StepFeatures,
    batch_features,
    decode_features,
    masking_heads,
)
from mmpredict.models.cache import CacheOptions
from mmpredict.models.spec import ModelSpec
from mmpredict.models.synthetic import synthetic_spec
from mmpredict.simulation.plan import DEFAULT_CONTEXT_TOKENS, DEFAULT_SLOTS, DEFAULT_UBATCH_TOKENS

PROTOCOL = Protocol()
SPECS: dict[str, ModelSpec] = {name: synthetic_spec(name) for name in PROTOCOL.models}
CORES = 2
HEADER = {"machine": "invented", "engine": "none", "cores": CORES, "measured_on": "2026-01-01"}
CACHE_BYTES = CACHE_CANDIDATES_BYTES[5]  # holds the small probe, not the narrow one
MASKED_S = {"masked_decode_s": 1.3e-9, "masked_prefill_s": 4e-10}
ROW_S = {"q8_0": 6e-8, "q5_0": 3e-8, "f16": 9e-8}
AGAIN_S = 4e-11
SINGLE_ROW_S = 1.5e-8
CELL_ROW_S = 4e-8
FAR_S = {"q4_0": 3e-11, "q8_0": 1e-11}
SLOWER = {"q8_0": 1.0, "q4_0": 0.8, "q4_k": 1.1, "q5_0": 1.4, "q6_k": 1.2, "f16": 1.7}
UNSEEN = [
    f"synthetic:{name}"
    for name in (
        "qwen2.5-0.5b@q8_0",
        "smollm2-360m@q4_0",
        "gemma3-270m@q4_0",
        "llama3.2-1b@q4_k",
        "qwen2.5-3b@q6_k",
        "tinyllama-1.1b@f16",
    )
]
WORK = {
    **{f"prompt of {tokens}": ([], [PromptPiece(0, tokens, True)]) for tokens in (4, 20, 100, 333, 512)},
    "long prompt": ([], [PromptPiece(0, 2000, True)]),
    "prompt and decodes": ([70, 900], [PromptPiece(0, 60, True)]),
}
OPTIONS = CacheOptions(DEFAULT_CONTEXT_TOKENS, DEFAULT_SLOTS, DEFAULT_UBATCH_TOKENS)


@pytest.fixture(scope="module")
def truth(coefficients: Coefficients) -> dict[int, StepCoefficients]:
    """Number of threads → the coefficients from which measurements are made."""

    def all_types(own: StepCoefficients) -> StepCoefficients:
        shape = own.kernels["q8_0"]
        values = {name: tuple(factor * value for value in shape.weight_s) for name, factor in SLOWER.items()}
        kernels = {
            name: Kernel(batch_tokens=shape.batch_tokens, weight_s=found, weight_low_s=found, weight_high_s=found)
            for name, found in values.items()
        }
        return own.model_copy(
            update={
                "kernels": kernels,
                "cache_bytes": CACHE_BYTES,
                **MASKED_S,
                "row_s": ROW_S,
                "again_s": AGAIN_S,
                "single_row_s": SINGLE_ROW_S,
                "cell_row_s": CELL_ROW_S,
                "far_s": FAR_S,
            }
        )

    return {threads: all_types(coefficients.steps[threads]) for threads in thread_counts(CORES)}


def measure_steps(
    truth: dict[int, StepCoefficients], noise_frac: float, repeats: int, spincount: int | None = None
) -> list[Measurement]:
    """Prefills and decodes as the protocol asks for them, with durations from the step equation."""
    random = np.random.default_rng(1)
    rows: list[Measurement] = []
    for name in PROTOCOL.models:
        spec, first = SPECS[name], name == PROTOCOL.first
        deep = name in PROTOCOL.deep_models
        for threads, own in truth.items():
            cost = StepCost(own)

            def add(kind: Kind, features: StepFeatures, number: int, masked: int = 0, **values: float) -> None:
                tokens = values["tokens"] if kind == "prefill" else values["sequences"] * values["steps"]
                passed = masked * tokens * masking_heads(spec)  # noqa: B023
                features = (
                    replace(features, masked_prefill=passed) if kind == "prefill" else replace(features, masked_decode=passed)
                )
                duration_s = cost.duration_s(features) * float(1 + noise_frac * random.standard_normal())  # noqa: B023
                found = {**values, ROUND: number, MASKED_CELLS: masked, "duration_s": duration_s}
                rows.append(Measurement(kind, name, threads, spincount, found))  # noqa: B023

            once = name in PROTOCOL.once_models
            long = PROTOCOL.long_prompt_tokens if (threads == max(truth) or first) and not once else ()
            lengths = PROTOCOL.prefill_tokens[:2] if LARGE in name else (*PROTOCOL.prefill_tokens, *long)
            decodes = [(count, lengths[0]) for count in PROTOCOL.sequences(name)]
            depths = PROTOCOL.depth_tokens if deep and threads in (1, max(truth)) else ()
            left = [(PROTOCOL.prefill_tokens[-1], sum(depths))] if depths else []
            for number in range(1 if once else repeats):
                for tokens, masked in (*((tokens, 0) for tokens in (*lengths, *depths)), *left):
                    add("prefill", prefill(spec, tokens, threads), number, masked, tokens=tokens)
                others = [(1, depth, 0) for depth in depths] + [(1, depth, masked) for depth, masked in left]
                for count, depth, masked in (*((*decode, 0) for decode in decodes), *others):
                    features = decode_features(spec, [depth] * count, PROTOCOL.decode_steps, threads)
                    add("decode", features, number, masked, sequences=count, depth=depth, steps=PROTOCOL.decode_steps)
    return rows


def prefill(spec: ModelSpec, tokens: int, threads: int) -> StepFeatures:
    return batch_features(spec, [], [PromptPiece(0, tokens, True)], DEFAULT_UBATCH_TOKENS, threads)


def errors_on_unseen(found: StepCoefficients, true: StepCoefficients) -> Iterator[tuple[str, float]]:
    """(what, relative error) over models that were not measured."""
    fitted, exact = StepCost(found), StepCost(true)
    for name in UNSEEN:
        spec = synthetic_spec(name)
        work = {label: batch_features(spec, depths, pieces, DEFAULT_UBATCH_TOKENS) for label, (depths, pieces) in WORK.items()}
        for depths in ([0], [300], [3000], [50, 60], [10, 400, 20, 700]):
            work[f"decode at {depths}"] = decode_features(spec, depths, 32)
        for label, features in work.items():
            yield f"{name}, {label}", fitted.duration_s(features) / exact.duration_s(features) - 1
    assert not fitted.unmeasured
