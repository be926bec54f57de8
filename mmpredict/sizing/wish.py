"""What is asked of a server: options as they are given, before the engine's own defaults fill them in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.models.cache import CACHE_TYPES
from mmpredict.units import MAX_TOKENS

Engine = Literal["llama-server", "ollama", "embedded"]
ENGINES: tuple[Engine, ...] = ("llama-server", "ollama", "embedded")
GpuLayers = int | Literal["fit", "all"]
MAX_SLOTS = 256  # LLAMA_MAX_SEQ, llama.cpp src/llama-cparams.h
MAX_BATCH_TOKENS = 65_536
MAX_LAYERS = 10_000


@dataclass(frozen=True, slots=True)
class Wish:
    """Options of a server; ``None`` leaves one to the engine.

    Attributes:
        engine: whose rules and defaults hold.
        context_tokens: in the engine's sense: of all slots together for llama-server, of each slot for Ollama [tokens].
        slots: sequences served at a time [1].
        unified: whether slots share the cells of one cache.
        key_type, value_type: storage of keys and of values.
        gpu_layers: layers on the GPU, the output counted as one; ``fit`` for as many as the engine finds room for.
        batch_tokens, ubatch_tokens: logical and physical batch [tokens].
        mapped: whether files may stay mapped.
        repacking: whether the CPU may copy matrices into a layout of its own.
        flash_attention: whether attention is one fused operation.

    Raises:
        InputError: a value out of range.
        UnknownNameError: no such engine or type.
    """

    engine: Engine = "llama-server"
    context_tokens: int | None = None
    slots: int | None = None
    unified: bool | None = None
    key_type: str | None = None
    value_type: str | None = None
    gpu_layers: GpuLayers | None = None
    batch_tokens: int | None = None
    ubatch_tokens: int | None = None
    mapped: bool | None = None
    repacking: bool | None = None
    flash_attention: bool | None = None

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise UnknownNameError("engine", str(self.engine)[:40], ENGINES)
        _check("context", self.context_tokens, MAX_TOKENS, "tokens; leave it out for the engine's default")
        _check("number of slots", self.slots, MAX_SLOTS)
        _check("batch", self.batch_tokens, MAX_BATCH_TOKENS, "tokens")
        _check("physical batch", self.ubatch_tokens, MAX_BATCH_TOKENS, "tokens")
        for kind in (self.key_type, self.value_type):
            if kind is not None and kind not in CACHE_TYPES:
                raise UnknownNameError("type of the KV cache", kind[:40], CACHE_TYPES)
        if isinstance(self.gpu_layers, str) and self.gpu_layers not in ("fit", "all"):
            raise InputError(f"GPU layers {self.gpu_layers!r}: allowed are a number, all, none or fit")
        if isinstance(self.gpu_layers, int) and not 0 <= self.gpu_layers <= MAX_LAYERS:
            raise InputError(f"GPU layers: {self.gpu_layers} is not between 0 and {MAX_LAYERS}")


def parse_gpu_layers(text: str) -> GpuLayers:
    """``all``, ``none``, ``fit`` or a number.

    Raises:
        InputError: anything else.
    """
    word = text.strip().lower()
    if word in ("fit", "auto"):
        return "fit"
    if word == "all":
        return "all"
    if word == "none":
        return 0
    if word.isascii() and word.isdigit() and len(word) <= 6:
        return int(word)
    raise InputError(f"GPU layers {text[:40]!r}: allowed are a number, all, none or fit")


def parse_engine(text: str) -> Engine:
    """The engine of this name.

    Raises:
        UnknownNameError: no such engine.
    """
    for engine in ENGINES:
        if text.strip().lower() == engine:
            return engine
    raise UnknownNameError("engine", text[:40], ENGINES)


def parse_switch(option: str, text: str) -> bool | None:
    """``on`` and ``off``; ``auto`` leaves it to the engine.

    Raises:
        InputError: anything else.
    """
    words: dict[str, bool | None] = {"on": True, "off": False, "auto": None}
    if text.strip().lower() not in words:
        raise InputError(f"{option} {text[:40]!r}: allowed are on, off and auto")
    return words[text.strip().lower()]


def _check(what: str, value: int | None, most: int, remedy: str = "") -> None:
    if value is not None and not 1 <= value <= most:
        raise InputError(f"{what}: {value} is not between 1 and {most}{' ' + remedy if remedy else ''}")
