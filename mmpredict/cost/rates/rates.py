"""Fitted prices of one processor of one machine with one backend, and how they are stored."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from mmpredict.cost.rates.parameters import ProcessorClass
from mmpredict.cost.rates.term import Term, sensitivity, total_s
from mmpredict.errors import FileFormatError, InputError

SCHEMA_VERSION = 3
MAX_FILE_BYTES = 4_000_000

Phase = Literal["prompt", "decode"]
PHASES: tuple[Phase, ...] = ("prompt", "decode")


@dataclass(frozen=True, slots=True)
class Rate:
    """A parameter as it was fitted.

    Attributes:
        log: logarithm of its value, or the power itself (``cost.rates.parameters``).
        spread: standard deviation of ``log``.
    """

    log: float
    spread: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.log) and 0 <= self.spread < math.inf):
            raise ValueError(f"{self.log} ± {self.spread} is no rate")


@dataclass(frozen=True, slots=True)
class PhaseError:
    """Errors of predictions for models that a fit had not seen, |predicted ÷ measured − 1|.

    Attributes:
        rows: measurements behind it [1].
        median, p90: of the absolute error [1].
        bias: median of the signed error of the time [1].
        scale: half-width of the 80 % interval of the logarithm, in units of its computed spread (conformal).
        covered: share of left-out measurements inside intervals whose scale came from the other models [1].
    """

    rows: int
    median: float
    p90: float
    bias: float
    scale: float
    covered: float

    def __post_init__(self) -> None:
        if not (0 < self.scale < math.inf and all(map(math.isfinite, (self.median, self.p90, self.bias, self.covered)))):
            raise ValueError("an error is no number, or the scale of intervals is not above 0")


@dataclass(frozen=True)
class Rates:
    """Prices of one processor.

    Attributes:
        machine, mode: profile that they are of, and its power mode (empty for machines without modes).
        processor: class of processor.
        backend: programming interface (``vulkan``, ``cuda``, …).
        rows: measurements used [1].
        bandwidth_bytes_per_s, compute_flop_per_s: what the machine's data sheet says; scales the prices to relatives.
        rates: parameter → value.
        errors: by phase.
        engines, builds: as stated by the sources.
        first_date, last_date: of the measurements.
        models: models measured.
        rejected: measurements left out, by reason [1].
        sources: where the measurements were published.
    """

    machine: str
    mode: str
    processor: ProcessorClass
    backend: str
    rows: int
    bandwidth_bytes_per_s: float
    compute_flop_per_s: float
    rates: Mapping[str, Rate]
    errors: Mapping[Phase, PhaseError]
    engines: tuple[str, ...] = ()
    builds: str = ""
    first_date: str = ""
    last_date: str = ""
    models: tuple[str, ...] = ()
    rejected: Mapping[str, int] = field(default_factory=dict)
    sources: tuple[str, ...] = ()

    @cached_property
    def logs(self) -> Mapping[str, float]:
        """Logarithms of all parameters."""
        return {name: rate.log for name, rate in self.rates.items()}

    def seconds(self, terms: Sequence[Term]) -> float:
        """Time of some work [s]."""
        return total_s(terms, self.logs)

    def log_halfwidth(self, terms: Sequence[Term], phase: Phase) -> float:
        """Half-width of the 80 % interval of the logarithm of that time."""
        return self.errors[phase].scale * spread(sensitivity(terms, self.logs), {n: r.spread for n, r in self.rates.items()})

    def to_json(self) -> str:
        """The file's content."""
        data = {"schema_version": SCHEMA_VERSION} | {one.name: getattr(self, one.name) for one in fields(self)}
        data["errors"] = {phase: asdict(error) for phase, error in self.errors.items()}
        del data["rates"]
        head = json.dumps(data, indent=1, ensure_ascii=False).removesuffix("\n}")
        rates = ",\n".join(f"  {json.dumps(name)}: [{rate.log}, {rate.spread}]" for name, rate in self.rates.items())
        return f'{head},\n "rates": {{\n{rates}\n }}\n}}\n'


MODEL_SPREAD = 0.05
"""What remains from one model to another however well the parameters are known; only sets the balance, scales are conformal."""


def spread(slopes: Mapping[str, float], spreads: Mapping[str, float]) -> float:
    """Standard deviation of the logarithm of a time, errors of parameters taken as independent."""
    return math.sqrt(MODEL_SPREAD**2 + sum((slope * spreads[name]) ** 2 for name, slope in slopes.items()))


def read_rates(path: Path) -> Rates:
    """Read a file of rates.

    Raises:
        InputError: the file cannot be read.
        FileFormatError: it is no such file, or one of another schema version.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise FileFormatError(f"{path} is larger than {MAX_FILE_BYTES} bytes; it is no file of rates")
        data = json.loads(path.read_bytes())
        if data["schema_version"] != SCHEMA_VERSION:
            raise FileFormatError(f"{path} has schema version {data['schema_version']}, this is {SCHEMA_VERSION}; fit again")
        return _rates(data)
    except OSError as error:
        raise InputError(f"cannot read rates {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FileFormatError(f"{path} is no file of rates ({error}); fit again") from error


def _rates(data: dict[str, Any]) -> Rates:
    """Rates of a file; a key that is missing, unknown or of another kind is an error."""
    known = {one.name for one in fields(Rates)}
    if set(data) != known | {"schema_version"}:
        raise ValueError(f"its keys are not {', '.join(sorted(known))}")
    if data["processor"] not in ("gpu", "cpu"):
        raise ValueError(f"processor is {data['processor']!r}")
    values = dict(data)
    del values["schema_version"]
    values |= {name: float(data[name]) for name in ("bandwidth_bytes_per_s", "compute_flop_per_s")}
    if not all(0 < values[name] < math.inf for name in ("bandwidth_bytes_per_s", "compute_flop_per_s")):
        raise ValueError("a peak is not above 0")
    values |= {name: str(data[name]) for name in ("machine", "mode", "backend", "builds", "first_date", "last_date")}
    values |= {name: tuple(map(str, data[name])) for name in ("engines", "models", "sources")}
    values["rows"] = int(data["rows"])
    values["errors"] = {phase: PhaseError(**data["errors"][phase]) for phase in PHASES}
    values["rates"] = {str(name): Rate(float(log), float(deviation)) for name, (log, deviation) in data["rates"].items()}
    values["rejected"] = {str(reason): int(count) for reason, count in data["rejected"].items()}
    return Rates(**values)
