"""The single-model predictor of the multi-model execution guide: throughput, latency and memory of one model on one platform.

The guide's interface with its names and units; what is behind it is the cost model of this project, so every figure has an
interval and a source, and a model or platform that is not known is an error instead of a guess.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mmpredict.cost.rates.rates import Phase
from mmpredict.cost.rates.step_terms import Conditions, cross_terms, decode_terms, encode_terms, prompt_terms
from mmpredict.cost.rates.term import Term
from mmpredict.cost.speed import Duration
from mmpredict.errors import InputError
from mmpredict.models.resolve import resolve
from mmpredict.models.shape import Kind, Shape
from mmpredict.models.spec import ModelSpec
from mmpredict.sizing.find_machine import find_machine
from mmpredict.sizing.speed import choice_of

MEGABYTE = 1e6
MAX_BATCH = 4096
TEXT_TOKENS, OUTPUT_TOKENS = 128, 128
_ENCODER_PREFIXES = ("enc.", "encoder.")
_KINDS: dict[str, tuple[Kind, ...]] = {
    "text_generation": ("text-generation", "encoder-decoder", "multimodal"),
    "text_embedding": ("text-embedding",),
    "vision": ("vision", "multimodal"),
    "audio": ("audio",),
    "multimodal": ("multimodal",),
}
_ITEMS: dict[Kind, str] = {
    "text-generation": "one request",
    "encoder-decoder": "one request",
    "multimodal": "one image and its text",
    "text-embedding": "one text",
    "vision": "one image",
    "audio": "one stretch of sound",
}


class PerformancePredictor:
    """Predicts one model alone.

    Args:
        text_tokens: of a prompt or a text to embed [tokens].
        output_tokens: generated per request [tokens].
        backend: programming interface of a GPU; by default the one that most people run.

    Example:
        >>> PerformancePredictor().predict("bert-base-uncased", "text_embedding", "cuda", batch_size=4)["latency"]
    """

    def __init__(self, text_tokens: int = TEXT_TOKENS, output_tokens: int = OUTPUT_TOKENS, backend: str | None = None) -> None:
        if text_tokens < 1 or output_tokens < 1:
            raise InputError(f"text_tokens and output_tokens are {text_tokens} and {output_tokens}; both must be at least 1")
        self._text_tokens, self._output_tokens, self._backend = text_tokens, output_tokens, backend

    def predict(
        self, model_name: str, model_type: str | None = None, hardware_platform: str = "cpu", batch_size: int = 1
    ) -> dict[str, Any]:
        """Throughput [items/s], latency of a batch [ms] and memory [MB] of one model alone.

        Args:
            model_name: as ``mmpredict models list`` has it, an Ollama tag, or a file.
            model_type: the guide's word for its kind; checked where it is given.
            hardware_platform: a machine, or one of the guide's words (``cpu``, ``cuda``, ``rocm``, ``mps``, ``openvino``, …).
            batch_size: items processed together [1].

        Returns:
            ``throughput``, ``latency``, ``memory``; ``intervals`` of throughput and latency (80 %); ``item``, ``hardware``,
            ``basis`` and ``source``.

        Raises:
            InputError: an unknown model, kind, platform, or a batch size that is not possible.
        """
        if not 1 <= batch_size <= MAX_BATCH:
            raise InputError(f"batch_size is {batch_size}; it must be from 1 to {MAX_BATCH}")
        spec = resolve(model_name)
        _check_kind(spec.shape, model_type)
        machine = find_machine(hardware_platform)
        choice = choice_of(machine, hardware_platform, self._backend)
        work: list[tuple[Phase, list[Term]]] = list(self._work(spec, batch_size))
        durations = [Duration(choice.rates.seconds(terms), choice.rates.log_halfwidth(terms, phase)) for phase, terms in work]
        whole = durations[0]
        for one in durations[1:]:
            whole += one
        return {
            "throughput": batch_size / whole.value,
            "latency": whole.value * 1e3,
            "memory": self._memory_bytes(spec, batch_size, hardware_platform) / MEGABYTE,
            "intervals": {
                "throughput": (batch_size / whole.high, batch_size / whole.low),
                "latency": (whole.low * 1e3, whole.high * 1e3),
            },
            "item": _ITEMS[spec.shape.kind],
            "hardware": machine.name,
            "basis": choice.basis,
            "source": choice.sentence,
        }

    def _work(self, spec: ModelSpec, batch: int) -> list[tuple[Phase, list[Term]]]:
        """What a batch is made of."""
        shape, text, output = spec.shape, self._text_tokens, self._output_tokens
        how = Conditions()
        if shape.kind == "text-embedding":
            return [("prompt", encode_terms(spec, text, batch, how))]
        if shape.kind == "vision" or (shape.kind == "multimodal" and shape.signal is not None):
            towers = encode_terms(spec, _patches(shape), batch, how)
            return [("prompt", towers)]
        if shape.kind in ("encoder-decoder", "audio"):
            encoder, decoder = _halves(spec)
            seen = _patches(shape) if shape.kind == "audio" else text
            steps = decode_terms(decoder, batch, 0, output, how) + cross_terms(decoder, batch, seen, output, how)
            return [("prompt", encode_terms(encoder, seen, batch, how)), ("decode", steps)]
        prompts = [term for _ in range(batch) for term in prompt_terms(spec, text, 0, how)]
        return [("prompt", prompts), ("decode", decode_terms(spec, batch, text, output, Conditions(sampled=True)))]

    def _memory_bytes(self, spec: ModelSpec, batch: int, hardware: str) -> float:
        """Memory of the process: as a server has it where one serves the model, else weights and intermediate results."""
        if spec.shape.kind in ("text-generation", "text-embedding"):
            from mmpredict.sizing.estimate import estimate

            tokens = (self._text_tokens + self._output_tokens) * batch
            context = min(tokens, spec.shape.context_length * batch)
            return estimate(spec, hardware, engine="llama-server", context_tokens=context, slots=batch, unified=True).total.value
        from mmpredict.cost.graph import compute_buffer
        from mmpredict.models.cache import CacheOptions

        tokens = max(_patches(spec.shape), self._text_tokens)
        return spec.weight_bytes + batch * compute_buffer(spec.shape, CacheOptions(tokens, ubatch_tokens=tokens)).bytes


def _check_kind(shape: Shape, model_type: str | None) -> None:
    if model_type is None:
        return
    kinds = _KINDS.get(model_type.lower().replace("-", "_"))
    if kinds is None:
        raise InputError(f"model type {model_type!r} is not known; known: {', '.join(_KINDS)}")
    if shape.kind not in kinds:
        raise InputError(f"{shape.name} is a model of kind {shape.kind}, not {model_type}; leave model_type out or correct it")


def _patches(shape: Shape) -> int:
    """Tokens that an encoder of images or sound makes of one input [tokens]; 0 where there is no such encoder."""
    signal = shape.signal
    if signal is None:
        return 0
    return signal.size if not signal.patch else (signal.size // signal.patch) ** 2 + 1


def _halves(spec: ModelSpec) -> tuple[ModelSpec, ModelSpec]:
    """Encoder and decoder as models of their own."""
    encoder = tuple(tensor for tensor in spec.tensors if tensor.name.startswith(_ENCODER_PREFIXES))
    names = {tensor.name for tensor in encoder}
    decoder = tuple(tensor for tensor in spec.tensors if tensor.name not in names)
    return replace(spec, tensors=encoder), replace(spec, tensors=decoder)
