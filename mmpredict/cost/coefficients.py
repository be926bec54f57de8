"""The fitted numbers of one machine with one engine build, and how they are stored.

A coefficient belongs to (machine, engine build): a build for other instruction sets is another engine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from mmpredict.errors import FileFormatError, InputError

SCHEMA_VERSION = 6
MAX_FILE_BYTES = 16_000_000

_ByPhase = TypeVar("_ByPhase", bound=Mapping[str, object])


def _both_phases(values: _ByPhase) -> _ByPhase:
    if set(values) != {"prefill", "decode"}:
        raise ValueError(f"must hold prefill and decode, holds {sorted(values)}")
    return values


Factor = Annotated[float, Field(gt=0)]
Threads = Annotated[int, Field(ge=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Estimate(_Frozen):
    """A fitted number and the spread of its logarithm (standard deviation, 0 = taken as exact)."""

    value: float = Field(ge=0)
    log_spread: float = Field(default=0.0, ge=0)


class Kernel(_Frozen):
    """Time that a matrix weight of one type costs in a step of n tokens.

    Attributes:
        batch_tokens: knots n, ascending [tokens].
        weight_s: time per weight of a step of n tokens [s].
        weight_low_s, weight_high_s: 80 % bootstrap bounds of the same [s].
    """

    batch_tokens: tuple[int, ...] = Field(min_length=1)
    weight_s: tuple[Annotated[float, Field(ge=0)], ...]
    weight_low_s: tuple[float, ...]
    weight_high_s: tuple[float, ...]

    @model_validator(mode="after")
    def _one_value_per_knot(self) -> Kernel:
        knots = self.batch_tokens
        if knots[0] < 1 or any(after <= before for before, after in pairwise(knots)):
            raise ValueError(f"batch_tokens {knots} must ascend from 1 or more")
        if any(len(values) != len(knots) for values in (self.weight_s, self.weight_low_s, self.weight_high_s)):
            raise ValueError(f"there must be one value for each of {len(knots)} batch_tokens")
        return self


class StepCoefficients(_Frozen):
    """One step of one server at one number of threads; see ``cost.step`` for the equation.

    Attributes:
        layer_s: per layer and step: barriers and small operations [s].
        prompt_s: once per prompt: waking threads, launching the slot [s].
        logit_s: per vocabulary entry and sampled token [s].
        sampled_s: per sampled token [s].
        attention_decode_s, attention_prefill_s: per multiply-accumulate of attention [s].
        cell_byte_s: per byte of keys and values that decoding reads [s/byte].
        written_s: per number that an operation writes for the next one [s].
        masked_decode_s, masked_prefill_s: per cell of other sequences in the same cache and attention head, which a token passes
            over [s].
        again_s: per weight that is read once more for tokens left over from groups of four [s].
        single_row_s: per row of a matrix from memory that one token is multiplied with, beside its weights [s].
        row_s: weight type → per row of a matrix from memory that a pass of several tokens reads in tiles [s].
        cell_row_s: per head's keys or values of a cell that decoding reads from memory, far from those of the next cell [s].
        far_s: weight type → per weight that comes from memory, besides what it costs in a cache [s].
        cache_bytes: weights that the processor's caches hold from one step to the next [bytes].
        kernels: weight type → time per weight.
        prefill_factor, decode_factor: what real runs made of the time of prompts and of decode steps (``Correction``) [1].
        prefill_of, decode_of: model → what they made of it besides, where that model was run [1].
    """

    layer_s: float = Field(ge=0)
    prompt_s: float = Field(ge=0)
    logit_s: float = Field(ge=0)
    sampled_s: float = Field(default=0.0, ge=0)
    attention_decode_s: float = Field(ge=0)
    attention_prefill_s: float = Field(ge=0)
    cell_byte_s: float = Field(default=0.0, ge=0)
    written_s: float = Field(default=0.0, ge=0)
    masked_decode_s: float = Field(default=0.0, ge=0)
    masked_prefill_s: float = Field(default=0.0, ge=0)
    again_s: float = Field(default=0.0, ge=0)
    single_row_s: float = Field(default=0.0, ge=0)
    row_s: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    cell_row_s: float = Field(default=0.0, ge=0)
    far_s: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    cache_bytes: float = Field(ge=0)
    kernels: dict[str, Kernel] = Field(min_length=1)
    prefill_factor: float = Field(default=1.0, gt=0)
    decode_factor: float = Field(default=1.0, gt=0)
    prefill_of: dict[str, Factor] = Field(default_factory=dict)
    decode_of: dict[str, Factor] = Field(default_factory=dict)

    def prefill_times(self, model: str) -> float:
        """What real runs make of the time of a model's prompts [1]."""
        return self.prefill_factor * self.prefill_of.get(model, 1.0)

    def decode_times(self, model: str) -> float:
        """What real runs make of the time of a model's decode steps [1]."""
        return self.decode_factor * self.decode_of.get(model, 1.0)


class ContentionCoefficients(_Frozen):
    """What company costs; see ``cost.contention``.

    Attributes:
        within_efficiency: speed ÷ speed alone, when all threads have a core of their own and memory is no bottleneck.
        memory_bytes_per_s: what one server reads from memory at most, with all cores; 0 where it is not known [bytes/s].
        crowding: how much servers that both read from memory slow each other before it is exhausted.
        yielding_efficiency: total speed ÷ fair share, more threads than cores, servers that give a core up while waiting.
        spinning_efficiency: the same for servers that wait as OpenMP does by default, by ``prefill`` and ``decode``.
        load_within_efficiency, load_beyond_efficiency: speed ÷ fair share of loads at the same time, as many as cores, and more.
        stacked_layer_s: stall per layer and step while threads of one server wait for each other on one core [s].
        stacked_probability: chance that a spinning server in company falls into that state.
    """

    within_efficiency: Estimate
    memory_bytes_per_s: float = Field(default=0.0, ge=0)
    crowding: float = Field(default=0.0, ge=0)
    yielding_efficiency: Estimate
    spinning_efficiency: Annotated[dict[str, Estimate], AfterValidator(_both_phases)]
    load_within_efficiency: Estimate = Estimate(value=1.0)
    load_beyond_efficiency: Estimate = Estimate(value=1.0)
    stacked_layer_s: Estimate
    stacked_probability: float = Field(ge=0, le=1)


class LoadCoefficients(_Frozen):
    """Loading a model: ``start + mapped + private + vocabulary (+ reading from disk)``, each per unit.

    Attributes:
        start_s: process start and engine initialisation [s].
        mapped_byte_s: per byte mapped from the page cache [s/byte].
        private_byte_s: per byte of memory of its own: matrices copied into the CPU's layout, KV cache [s/byte].
        vocabulary_s: per entry of the vocabulary [s].
        cold_byte_s: additionally per byte when the file must come from storage [s/byte].
        log_spread: of a load's duration [1].
        unload_s: ending a server, whose memory is free then [s].
        unload_byte_s: additionally per byte of memory of its own [s/byte].
        factor_of: model → what real runs made of its loads (``Correction``) [1].
    """

    start_s: float = Field(ge=0)
    mapped_byte_s: float = Field(ge=0)
    private_byte_s: float = Field(ge=0)
    vocabulary_s: float = Field(ge=0)
    cold_byte_s: float = Field(ge=0)
    log_spread: float = Field(ge=0)
    unload_s: float = Field(default=0.0, ge=0)
    unload_byte_s: float = Field(default=0.0, ge=0)
    factor_of: dict[str, Factor] = Field(default_factory=dict)


class MemoryCoefficients(_Frozen):
    """How far servers' memory is from what is computed (``cost.memory``).

    Attributes:
        log_spread: of an instance's memory [1].
    """

    log_spread: float = Field(ge=0)


class Correction(_Frozen):
    """What real runs changed in a calibration (``cost.correction``); kept so that it can be seen, and taken back.

    Attributes:
        learnt_on: date on which it was fitted (ISO).
        first, last: dates of the runs (ISO).
        runs, rounds: how many there were, and in how many rounds [1].
        models: models that were run.
        prefill, decode: number of threads of the runs → factor of the time of prompts and of decode steps, whatever the model [1].
        prefill_of, decode_of: number of threads → model → its own factor besides [1].
        load, load_of: factor of the time of loads, and model → its own besides [1].
        request: factor of what a request costs besides [1].
        calibrated_log_spread: ``machine_log_spread`` before.
        errors: median absolute error on rounds that were left out, before and after: metric → fraction.
    """

    learnt_on: str
    first: str
    last: str
    runs: int = Field(ge=1)
    rounds: int = Field(ge=1)
    models: tuple[str, ...]
    prefill: dict[Threads, Factor] = Field(default_factory=dict)
    decode: dict[Threads, Factor] = Field(default_factory=dict)
    prefill_of: dict[Threads, dict[str, Factor]] = Field(default_factory=dict)
    decode_of: dict[Threads, dict[str, Factor]] = Field(default_factory=dict)
    load: Factor = 1.0
    load_of: dict[str, Factor] = Field(default_factory=dict)
    request: Factor = 1.0
    calibrated_log_spread: float = Field(ge=0)
    errors: dict[str, float] = Field(default_factory=dict)


class Pace(_Frozen):
    """How fast the machine is now, compared with the hours of its calibration (``cost.pace``).

    Attributes:
        measured_at: when (ISO date and time).
        prefill, decode: number of threads → time of prompts and of decode steps ÷ what it was [1].
        load: time of loads ÷ what it was [1].
        figures: measured to find it out [1].
        log_spread: how far the machine may be from it over the next minutes.
        calibrated_log_spread: ``machine_log_spread`` without it.
    """

    measured_at: str
    prefill: dict[Threads, Factor] = Field(min_length=1)
    decode: dict[Threads, Factor] = Field(min_length=1)
    load: Factor = 1.0
    rest: Factor = 1.0
    figures: int = Field(ge=1)
    log_spread: float = Field(ge=0)
    calibrated_log_spread: float = Field(ge=0)


class Coefficients(_Frozen):
    """Everything fitted for one machine and engine.

    Attributes:
        machine, engine: whose they are.
        cores: cores of the machine [1].
        measured_on: date of the measurements (ISO).
        measured_at_s: when they were made, in the mean (Unix time) [s]; none where they do not say it.
        measurements: raw rows behind the fit [1].
        models: models that were measured.
        steps: number of threads → step coefficients.
        yielding_price: time with a yielding waiting rule ÷ time with the default one, alone; by ``prefill`` and ``decode``.
        request_s: client and HTTP time per request [s].
        rests: lengths of pauses, and what the first batch after each takes longer (``StepPrices.rests``) [s]; none if not measured.
        machine_log_spread: drift of the whole machine's speed from the calibration to any other hour (``cost.drift``).
        model_log_spread: error from one model to another, by ``prefill`` and ``decode``.
        errors: what the fit leaves, for people: metric → fraction.
        correction: what real runs changed in it since; all other numbers have it in them already.
        pace: how fast the machine was a moment ago, where that was measured; all other numbers have it in them already.
        lent_to: kind of engine that it answers for although it is of another program (``cost.lent``); empty for its own.
    """

    schema_version: int = SCHEMA_VERSION
    machine: str
    engine: str
    cores: int = Field(ge=1)
    measured_on: str
    measured_at_s: float | None = None
    measurements: int = Field(ge=0)
    models: tuple[str, ...]
    steps: dict[Annotated[int, Field(ge=1)], StepCoefficients] = Field(min_length=1)
    yielding_price: dict[str, float]
    request_s: float = Field(ge=0)
    rests: tuple[tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(ge=0)]], ...] = ()
    machine_log_spread: float = Field(ge=0)
    model_log_spread: Annotated[dict[str, float], AfterValidator(_both_phases)]
    contention: ContentionCoefficients
    loading: LoadCoefficients
    memory: MemoryCoefficients
    errors: dict[str, float] = Field(default_factory=dict)
    correction: Correction | None = None
    pace: Pace | None = None
    lent_to: str = ""


def read_coefficients(path: Path) -> Coefficients:
    """Read a coefficient file.

    Raises:
        InputError: the file cannot be read.
        FileFormatError: it is no coefficient file, or one of another schema version.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise FileFormatError(f"{path} is larger than {MAX_FILE_BYTES} bytes; it is no coefficient file")
        text = path.read_bytes()
        _require_version(text, path)
        return Coefficients.model_validate_json(text)
    except OSError as error:
        raise InputError(f"cannot read coefficients {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise FileFormatError(f"{path} is no coefficient file: {where or 'document'}: {first['msg']}; calibrate again") from error


def _require_version(text: bytes, path: Path) -> None:
    """Before the content: what another version holds would be called damaged."""
    try:
        version = json.loads(text).get("schema_version", SCHEMA_VERSION)
    except (ValueError, AttributeError):
        return  # no document: that is said elsewhere
    if version != SCHEMA_VERSION:
        raise FileFormatError(
            f"{path} has schema version {version}, this is {SCHEMA_VERSION}; calibrate again, or fit the measurements again: "
            "mmpredict calibrate fit FILE"
        )
