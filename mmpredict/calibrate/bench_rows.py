"""Rows of somebody's benchmark as rows that prices are fitted to: of one machine, with the model known, and all else left out.

A row is left out where its time is not that of the work that ``cost.rates`` prices, or where a condition that matters is not as
estimates have it; every reason is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from mmpredict.calibrate.importers.row import BenchRow
from mmpredict.calibrate.rates_fit import measured_spec
from mmpredict.calibrate.speed_row import SERVER, SpeedRow
from mmpredict.cost.library import machine_key
from mmpredict.cost.placement import most_gpu_layers
from mmpredict.cost.rates.choice import PREFERRED_BACKENDS
from mmpredict.cost.rates.parameters import ProcessorClass
from mmpredict.errors import InputError
from mmpredict.hardware.profile import HardwareProfile
from mmpredict.models.printed import PrintedModel, chosen_model, printed_model
from mmpredict.models.quantization.resized import CLOSE_FRAC
from mmpredict.models.spec import ModelSpec
from mmpredict.units import format_bytes

CPU = "cpu"
MAX_REASON = 200
OLLAMA = "ollama"
LEAST_THREADS = 2  # a thread for so many of what the system calls cores: engines take one for each physical core
MOST_TIMES_THE_SIZE = 1.4  # what publishers' own mixes differ by from the type that they are named after

_SAME_BACKEND = {"hip": "rocm", "hipblas": "rocm", "mtl": "metal", "blas": CPU, "accelerate": CPU, "": CPU}
_REMOTE = "rpc"


@dataclass(frozen=True, slots=True)
class Sorted:
    """What can be fitted of a benchmark, and what cannot.

    Attributes:
        rows: that can, in an order that does not depend on that of the files.
        left_out: reason → number of rows [1].
    """

    rows: tuple[SpeedRow, ...]
    left_out: Counter[str]


class _LeftOutError(Exception):
    """A row is no measure of what is fitted; the text says why."""


def speed_rows(rows: Iterable[BenchRow], profile: HardwareProfile, model: str | None = None, backend: str | None = None) -> Sorted:
    """Rows of one machine, ready to be fitted.

    Args:
        rows: as imported.
        profile: the machine, in its power mode.
        model: of all rows, whatever they say: a name of the catalog, a tag of Ollama, or a GGUF file.
        backend: programming interface of rows that do not say theirs; by default the one that most people run there.

    Raises:
        InputError: ``model`` is not known.
    """
    if model:
        _require(model)
    reader = _Reader(profile, model, backend.lower() if backend else None)
    found, left_out = [], Counter[str]()
    seen: set[BenchRow] = set()
    for row in rows:
        try:
            if row in seen:
                raise _LeftOutError("it was given twice")
            seen.add(row)
            found.append(reader.speed_row(row))
        except (_LeftOutError, InputError) as error:
            left_out[str(error)[:MAX_REASON]] += 1
    return Sorted(tuple(sorted(found, key=astuple)), left_out)


def _require(model: str) -> None:
    """Refuse a name that no row could make sense of; a missing type is each row's own matter."""
    chosen_model(model, "Q8_0")


class _Reader:
    """What is the same for all rows."""

    def __init__(self, profile: HardwareProfile, model: str | None, backend: str | None) -> None:
        self._profile = profile
        self._model = model
        self._gpu = backend or _usual_backend(profile)
        self._machine, self._mode = machine_key(profile), profile.mode or ""
        self._models: dict[tuple[object, ...], PrintedModel | str] = {}

    def speed_row(self, row: BenchRow) -> SpeedRow:
        """The row to fit.

        Raises:
            _LeftOutError, InputError: it cannot be used.
        """
        tokens = _comparable(row)
        model = self._of(row)
        spec = measured_spec(model.name, model.file_type, 0)
        processor, backend = self._processor(row, spec)
        if processor == "gpu" and row.flash_attention is False:
            raise _LeftOutError("without flash attention, which prices are of runs with")
        if processor == "cpu" and row.threads and row.threads * LEAST_THREADS < self._profile.cpu.cores:
            raise _LeftOutError(f"fewer threads than a half of the {self._profile.cpu.cores} cores")
        return SpeedRow(
            machine=self._machine,
            mode=self._mode,
            processor=processor,
            engine=row.engine,
            backend=backend,
            build=row.build or "",
            model=model.name,
            file_type=model.file_type,
            size_bytes=_file_bytes(row, spec),
            n_prompt=tokens if row.test == "pp" else 0,
            n_gen=0 if row.test == "pp" else tokens,
            depth=row.depth or 0,
            parallel=row.parallel or 1,
            n_ubatch=row.n_ubatch or 0,
            threads=row.threads or 0,
            flash_attention="" if row.flash_attention is None else str(int(row.flash_attention)),
            key_type=row.key_type or "",
            tokens_per_s=row.tokens_per_s,
            stddev=row.stddev or 0.0,
            source=row.file,
            date=(row.date or "")[:10],
            note=SERVER if row.served else "",
        )

    def _of(self, row: BenchRow) -> PrintedModel:
        """The model of a row, looked up once for all rows that print it alike."""
        printed = (row.model, row.model_file, row.file_type, row.n_params, row.engine == OLLAMA)
        if printed not in self._models:
            try:
                self._models[printed] = chosen_model(self._model, row.file_type) if self._model else printed_model(*printed)
            except InputError as error:
                self._models[printed] = str(error)
        found = self._models[printed]
        if isinstance(found, str):
            raise _LeftOutError(found)
        return found

    def _processor(self, row: BenchRow, spec: ModelSpec) -> tuple[ProcessorClass, str]:
        """What computed, and with which programming interface.

        Raises:
            _LeftOutError: more than one processor did, or the machine has no such processor.
        """
        backend, stated = _backend(row.backend), row.backend is not None
        if not stated:
            backend = self._gpu if self._profile.gpu is not None and row.gpu_layers != 0 else CPU
        if backend == CPU:
            return "cpu", CPU
        gpu, most = self._profile.gpu, most_gpu_layers(spec)
        if gpu is None:
            raise _LeftOutError(f"measured on a GPU with {backend}, and {self._profile.name} has none")
        if row.gpu_layers == 0:
            if row.test == "pp":
                raise _LeftOutError(f"prompts with no layers on the GPU, which a build for {backend} computes there all the same")
            return "cpu", CPU
        if row.gpu_layers is not None and 0 < row.gpu_layers < most:
            raise _LeftOutError("layers on two processors")
        usable = self._profile.usable_of(gpu)
        if row.gpu_layers is None and spec.weight_bytes > usable.upper:
            raise _LeftOutError(f"the GPU of {self._profile.name} does not hold the model, so two processors computed")
        return "gpu", backend


def _comparable(row: BenchRow) -> int:
    """Tokens of the test, where its time is that of one kind of step.

    Raises:
        _LeftOutError: it is not.
    """
    tokens = row.n_prompt if row.test == "pp" else row.n_gen
    if row.doubt is not None:
        raise _LeftOutError(f"doubtful: {row.doubt}")
    if row.test == "pp+tg":
        raise _LeftOutError("prompt and generation in one time")
    if not tokens:
        raise _LeftOutError("it is not said how many tokens there were")
    if row.test == "pp" and (row.parallel or 1) > 1:
        raise _LeftOutError("prompts of several sequences at once")
    if row.expert_layers_on_cpu or row.tensor_overrides:
        raise _LeftOutError("parts of the model were kept with the CPU")
    if (row.key_type or "f16") != (row.value_type or "f16"):
        raise _LeftOutError("keys and values of different types")
    return tokens


def _backend(printed: str | None) -> str:
    """A programming interface as profiles call it; what runs beside it on the CPU does not matter.

    Raises:
        _LeftOutError: several, or another machine's.
    """
    names = {word.strip().lower() for word in (printed or "").replace(";", ",").split(",")}
    names = {_SAME_BACKEND.get(name, name) for name in names}
    if _REMOTE in names:
        raise _LeftOutError("a part was computed on another machine (RPC)")
    names = names - {CPU} or {CPU}
    if len(names) > 1:
        raise _LeftOutError(f"it is not said which of {', '.join(sorted(names))} computed")
    return names.pop()


def _usual_backend(profile: HardwareProfile) -> str:
    known = profile.gpu.backends if profile.gpu is not None else ()
    return next((name for name in PREFERRED_BACKENDS if name in known), next(iter(known), PREFERRED_BACKENDS[0]))


def _file_bytes(row: BenchRow, spec: ModelSpec) -> int:
    """Size of the file where the rules do not give it; what is printed is the size of its tensors [bytes].

    Ollama prints what a loaded model takes, which is no size of a file.

    Raises:
        _LeftOutError: it is the size of another model.
    """
    size = row.size_bytes or 0
    if row.engine == OLLAMA or not size or abs(size - spec.weight_bytes) < CLOSE_FRAC * spec.weight_bytes:
        return 0
    if not 1 / MOST_TIMES_THE_SIZE < size / spec.weight_bytes < MOST_TIMES_THE_SIZE:
        raise _LeftOutError(f"its file has {format_bytes(size)}, that of {spec.name} {format_bytes(spec.weight_bytes)}")
    return 0 if spec.path is not None else size + spec.metadata_bytes
