"""Predicted speed against a real server, of models that no calibration measures: real shapes with random weights."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from mmpredict.calibrate.bench import SHORT_PROMPT_TOKENS, Bench
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.speed import CalibratedSpeed, Duration
from mmpredict.live.embedded import EmbeddedServer
from mmpredict.models.catalog import shape, spec_of
from mmpredict.models.spec import ModelSpec
from mmpredict.results.speed_check import Phase, TimedRow
from mmpredict.simulation.plan import DEFAULT_UBATCH_TOKENS, InstancePlan
from mmpredict.validation.each_model import Progress, measure_each
from mmpredict.validation.memory_cases import cut

QUICK_MODELS = 2
REPEATS = 3
PROMPTS = (128, 512)
DECODES = ((1, SHORT_PROMPT_TOKENS), (1, 512), (4, SHORT_PROMPT_TOKENS))
"""Sequences, and prompt tokens of each."""
DECODE_STEPS = 16
TEXTS = (64, 256, 512)
"""Lengths of texts to embed [tokens]."""


def speed_models() -> list[ModelSpec]:
    """What is run: dense models of several widths, types and vocabularies, one with windows, one mixture of
    experts, and an encoder.

    Calibration measures ``probe-`` shapes only, so none of these was ever fitted to.
    """
    return [
        spec_of(shape("tinyllama-1.1b"), "Q4_K_M"),
        spec_of(cut(shape("smollm2-1.7b"), 8), "Q8_0"),
        spec_of(cut(shape("mistral-7b-v0.3"), 4), "Q4_0"),
        spec_of(shape("qwen2.5-1.5b"), "Q4_0"),
        spec_of(shape("qwen3-1.7b"), "Q6_K"),
        spec_of(cut(shape("phi3-mini"), 6), "Q4_K_M"),
        spec_of(cut(shape("gemma2-2b"), 8), "Q8_0"),
        spec_of(shape("gemma3-270m"), "F16"),
        spec_of(cut(shape("olmoe-1b-7b"), 4, n_experts=64), "Q4_K_M"),
        spec_of(shape("mxbai-embed-large"), "Q8_0"),
    ]


def run_checks(
    models: Sequence[ModelSpec], own: Coefficients, directory: Path, log_directory: Path, raw_path: Path, progress: Progress
) -> list[TimedRow]:
    """Measure every model; each row is on disk as soon as it exists.

    Args:
        models: what to run.
        own: the machine's coefficients.
        directory: where model files are written, one at a time; they are removed again.
        log_directory: where servers log.
        raw_path: file of the rows, one JSON object per line; replaced if it exists.
        progress: called with (what is happening, fraction done).

    Raises:
        EngineError: a server could not be started or used.
        StorageError: a file could not be written.
    """

    def measured(number: int, spec: ModelSpec, path: Path) -> list[TimedRow]:
        return measure(spec, own, path, log_directory / f"speed-{number}.log")

    return measure_each(models, measured, directory, raw_path, progress)


def measure(spec: ModelSpec, own: Coefficients, path: Path, log_path: Path) -> list[TimedRow]:
    """Every test of one model on a server of its own with all cores; rounds of all tests, so that drift meets them alike."""
    if spec.output_matrix is None:
        return _measure_embedding(spec, own, path, log_path)
    instance = InstancePlan(spec.name, spec.name, own.cores)
    speed = CalibratedSpeed(spec, own, own.cores, DEFAULT_UBATCH_TOKENS)
    prompts: dict[int, list[float]] = {tokens: [] for tokens in PROMPTS}
    decodes: dict[tuple[int, int], list[tuple[float, float, int]]] = {one: [] for one in DECODES}
    with EmbeddedServer.start(instance, path, log_path) as server, closing(Bench(server.url, spec.shape.n_vocab)) as bench:
        bench.decode(1, SHORT_PROMPT_TOKENS, 2)
        for _ in range(REPEATS):
            for tokens, seen in prompts.items():
                seen.append(bench.prefill(tokens).prompt_s)
            for (sequences, length), runs in decodes.items():
                run = bench.decode(sequences, length, DECODE_STEPS)
                if run.steps:
                    runs.append((run.duration_s / run.steps, run.depth, run.steps))
    rows = [_row(spec, f"pp{tokens}", "prompt", tokens, speed.prompt(tokens), seen) for tokens, seen in prompts.items()]
    for (sequences, _), runs in decodes.items():
        if runs:
            _, depth, steps = runs[0]
            predicted = speed.decode(sequences, round(depth), steps)
            name = f"tg{steps} @ d{round(depth)}" + (f" × {sequences}" if sequences > 1 else "")
            rows.append(_row(spec, name, "decode", sequences * steps, predicted, [one * steps for one, _, _ in runs]))
    return rows


def _measure_embedding(spec: ModelSpec, own: Coefficients, path: Path, log_path: Path) -> list[TimedRow]:
    """Texts to embed; the server tells no times of its own, so requests are timed, and predicted, as a whole."""
    longest = min(max(TEXTS), spec.shape.context_length)
    instance = InstancePlan(spec.name, spec.name, own.cores, None, longest, 1, longest, longest, embedding=True)
    speed = CalibratedSpeed(spec, own, own.cores, longest)
    seen: dict[int, list[float]] = {min(tokens, longest): [] for tokens in TEXTS}
    with EmbeddedServer.start(instance, path, log_path) as server, closing(Bench(server.url, spec.shape.n_vocab)) as bench:
        bench.embed(longest)
        for _ in range(REPEATS):
            for tokens, times in seen.items():
                times.append(bench.embed(tokens))
    return [
        _row(spec, f"text of {tokens}", "prompt", tokens, speed.prompt(tokens, served=True), times)
        for tokens, times in seen.items()
    ]


def _row(spec: ModelSpec, test: str, phase: Phase, tokens: int, predicted: Duration, measured: Sequence[float]) -> TimedRow:
    return TimedRow(spec.name, test, phase, tokens, predicted.value, predicted.low, predicted.high, tuple(measured))
