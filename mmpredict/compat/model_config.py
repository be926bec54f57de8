"""The guide's description of models and of limits, checked."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mmpredict.errors import InputError

MAX_MODELS = 64
MAX_BATCH = 4096
MAX_NAME = 200
_KEYS = ("model_name", "model_type", "batch_size", "processor")
_PROCESSORS = ("cpu", "gpu")
_LIMITS = ("max_memory", "max_compute")
MEGABYTE, MS_PER_S = 1e6, 1e3

Processor = Literal["cpu", "gpu"]


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model of a company.

    Attributes:
        label: its name, with a number where there are several of that name.
        name: of the model.
        kind: the guide's word for what it is, or None.
        batch_size: inputs that are handed over together [1].
        processor: where it runs; None leaves it to the platform.
    """

    label: str
    name: str
    kind: str | None
    batch_size: int
    processor: Processor | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What of a machine may be used.

    Attributes:
        memory_bytes: of all models that are resident together; infinite without a limit [bytes].
        compute_frac: part of the processors' arithmetic [1].
    """

    memory_bytes: float = math.inf
    compute_frac: float = 1.0


def read_configs(given: Any) -> tuple[ModelConfig, ...]:
    """The models, in the order given.

    Raises:
        InputError: no model, no name, an unknown key, or a value out of range.
    """
    if isinstance(given, Mapping | str) or not isinstance(given, Sequence):
        raise InputError(f"model_configs is of type {type(given).__name__}; it must be a list of tables such as {_example()}")
    if not given:
        raise InputError(f"model_configs is empty; give at least one model, such as {_example()}")
    if len(given) > MAX_MODELS:
        raise InputError(f"model_configs holds {len(given)} models; at most {MAX_MODELS} are predicted together")
    read = [_config(one, f"model_configs[{position}]") for position, one in enumerate(given)]
    numbers: dict[str, int] = {}
    labels: dict[int, str] = {}
    # Numbered in an order of their own, so that the order of the list decides nothing.
    for position in sorted(range(len(read)), key=lambda at: (read[at].name, read[at].batch_size, read[at].processor or "")):
        name = read[position].name
        numbers[name] = numbers.get(name, 0) + 1
        labels[position] = name if numbers[name] == 1 else f"{name}#{numbers[name]}"
    return tuple(
        ModelConfig(labels[position], one.name, one.kind, one.batch_size, one.processor) for position, one in enumerate(read)
    )


def check_batch(batch_size: Any, where: str = "batch_size") -> int:
    """A number of inputs.

    Raises:
        InputError: it is not one, or out of range.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or not 1 <= batch_size <= MAX_BATCH:
        raise InputError(f"{where} is {batch_size!r}; it must be a whole number from 1 to {MAX_BATCH}")
    return batch_size


def check_processor(processor: Any, where: str = "processor") -> Processor | None:
    """Where a model runs.

    Raises:
        InputError: neither cpu nor gpu.
    """
    if processor is not None and processor not in _PROCESSORS:
        raise InputError(f"{where} is {processor!r}; it must be cpu or gpu, or left out")
    return processor  # type: ignore[no-any-return]


def read_limits(given: Mapping[str, Any] | None) -> Limits:
    """Limits as the guide has them: ``max_memory`` in MB (10⁶ bytes), ``max_compute`` as a fraction.

    Raises:
        InputError: an unknown key, or a value out of range.
    """
    if given is None:
        return Limits()
    if not isinstance(given, Mapping):
        raise InputError(f"resource_constraints is {given!r}; it must be a table with {' and '.join(_LIMITS)}")
    _check_keys(given, _LIMITS, "resource_constraints")
    memory, compute = given.get("max_memory"), given.get("max_compute")
    return Limits(
        math.inf if memory is None else _number(memory, "max_memory", 1.0, 1e9, "MB") * MEGABYTE,
        1.0 if compute is None else _number(compute, "max_compute", 0.01, 1.0, "(a fraction)"),
    )


def _config(given: Any, where: str) -> ModelConfig:
    if not isinstance(given, Mapping):
        raise InputError(f"{where} is {given!r:.80}; it must be a table such as {_example()}")
    _check_keys(given, _KEYS, where)
    name, kind = given.get("model_name"), given.get("model_type")
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"{where} has no 'model_name'; give one, such as {_example()}")
    if len(name) > MAX_NAME:
        raise InputError(f"{where}: model_name has {len(name)} characters; at most {MAX_NAME} are read")
    if kind is not None and not isinstance(kind, str):
        raise InputError(f"{where}: model_type is {kind!r}; it must be a word such as 'text_embedding', or left out")
    batch = check_batch(given.get("batch_size", 1), f"{where}: batch_size")
    return ModelConfig(name, name, kind or None, batch, check_processor(given.get("processor"), f"{where}: processor"))


def _check_keys(given: Mapping[str, Any], allowed: Iterable[str], where: str) -> None:
    known = list(allowed)
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(known)}"
            raise InputError(f"{where}: unknown key {str(key)[:80]!r}; {advice}")


def _number(value: Any, name: str, low: float, high: float, unit: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InputError(f"resource_constraints: {name} is {value!r}; it must be from {low:g} to {high:g} {unit}")
    return float(value)


def _example() -> str:
    return "{'model_name': 'bert-base-uncased', 'model_type': 'text_embedding', 'batch_size': 4}"
