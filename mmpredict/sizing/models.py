"""From names to models whose memory can be estimated."""

from __future__ import annotations

from functools import lru_cache

from mmpredict.cost.overhead import overhead_of
from mmpredict.errors import InputError
from mmpredict.models.cache import WITHOUT_CACHE
from mmpredict.models.shape import Kind
from mmpredict.models.spec import ModelSpec
from mmpredict.sizing.gauge import Gauge
from mmpredict.sizing.machine import METAL, Machine
from mmpredict.sizing.wish import Engine
from mmpredict.units import format_bytes

_UNSERVED: tuple[Kind, ...] = ("vision", "audio")
_KEPT_GAUGES = 256
_gauges: dict[tuple[int, Engine, int, bool], Gauge] = {}


def described(model: str | ModelSpec) -> ModelSpec:
    """The model of this name, ready for an estimate.

    Raises:
        InputError: no such model, or one whose memory is not modelled.
    """
    spec = model if isinstance(model, ModelSpec) else _resolved(model)
    kind = spec.shape.kind
    if kind in _UNSERVED:
        raise InputError(
            f"{spec.name!r} is a model for {kind}: neither llama-server nor Ollama serves it by itself, and the memory of what "
            f"does is not modelled; its weights alone are {format_bytes(spec.weight_bytes)}"
        )
    return spec


def notes(spec: ModelSpec) -> tuple[str, ...]:
    """What an estimate of this model leaves out, one sentence each."""
    found = list(spec.doubts)
    if spec.shape.kind == "encoder-decoder":
        found.append("llama-server and Ollama do not serve encoder–decoder models; the figures are those of llama.cpp's library")
    if spec.shape.kind == "multimodal" and not any("encoder" in sentence for sentence in found):
        found.append("the projector for images or sound, a file of its own with its own buffers, is not counted")
    if spec.shape.n_draft_layers:
        found.append("the layers that draft ahead are not loaded; a server with --spec-type draft-mtp loads them too")
    return tuple(f"{spec.name}: {sentence}" for sentence in found)


def is_encoder(spec: ModelSpec) -> bool:
    """Whether it turns texts into vectors, with no cache."""
    return spec.shape.kind == "text-embedding" or spec.shape.architecture in WITHOUT_CACHE


def gauge_of(spec: ModelSpec, machine: Machine, engine: Engine) -> Gauge:
    """The gauge of a model, the same one for the same description."""
    key = (id(spec), engine, machine.threads, machine.backend == METAL)
    found = _gauges.get(key)
    if found is None:
        if len(_gauges) >= _KEPT_GAUGES:
            _gauges.clear()
        found = _gauges[key] = Gauge(spec, overhead_of(engine), machine.threads, machine.backend == METAL)
    return found


def _resolved(name: str) -> ModelSpec:
    from mmpredict.models.resolve import resolve

    # What stands in a file, or may come from a server, can change between two calls.
    from_outside = any(sign in name.lower() for sign in ("/", "\\", ".gguf", ".json"))
    return resolve(name) if from_outside else _known(name)


@lru_cache(maxsize=256)
def _known(name: str) -> ModelSpec:
    from mmpredict.models.resolve import resolve

    return resolve(name)
