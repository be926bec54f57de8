"""What a batch is made of: which model, how many tokens go in and come out, on which server.

Every model is a server of the simulator. A language model answers requests. An encoder of texts, images or sound is asked for
one "token", which is its vector: nobody decodes. A model that takes its input in whole and then writes does both, one after the
other (``cost.encoder_decoder``). The inputs of a batch are there at the same moment, and nothing is sent over HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from mmpredict.cost.encoder_decoder import writes
from mmpredict.errors import InputError
from mmpredict.models.shape import Kind, Shape
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import InstancePlan
from mmpredict.workload.request import Request

TEXT_TOKENS, OUTPUT_TOKENS = 128, 128
MAX_SLOTS = 256  # sequences of a llama.cpp context
MAX_BATCH_TOKENS = 65_536
_LEAST_CONTEXT = 16
_USUAL_BATCH, _USUAL_PASS = 2048, 512  # llama-server's

KINDS: dict[str, tuple[Kind, ...]] = {
    "text_generation": ("text-generation", "encoder-decoder", "multimodal"),
    "text_embedding": ("text-embedding",),
    "vision": ("vision", "multimodal"),
    "audio": ("audio",),
    "multimodal": ("multimodal",),
}
"""The guide's words → kinds of models."""
ITEMS: dict[Kind, str] = {
    "text-generation": "one request",
    "encoder-decoder": "one request",
    "multimodal": "one image and its text",
    "text-embedding": "one text",
    "vision": "one image",
    "audio": "one stretch of sound",
}
"""What is counted in items/s."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long texts are.

    Attributes:
        text: of a prompt, or of a text to embed [tokens].
        output: generated per request [tokens].

    Raises:
        InputError: less than one token.
    """

    text: int = TEXT_TOKENS
    output: int = OUTPUT_TOKENS

    def __post_init__(self) -> None:
        if self.text < 1 or self.output < 1:
            raise InputError(f"text_tokens and output_tokens are {self.text} and {self.output}; both must be at least 1")


@dataclass(frozen=True)
class Member(ModelSpec):
    """A model as one of a company.

    Attributes:
        label: its name there; several members can be the same model.
    """

    label: str = ""

    __hash__ = ModelSpec.__hash__


def member(spec: ModelSpec, label: str) -> Member:
    """A model with its name in a company."""
    return Member(**{field.name: getattr(spec, field.name) for field in fields(spec)}, label=label)


@dataclass(frozen=True, slots=True)
class Work:
    """A batch of one model.

    Attributes:
        inputs: how many [1].
        tokens_in: of each [tokens].
        tokens_out: of each [tokens].
        in_one_pass: whether an input must not be divided among passes: its tokens see each other.
    """

    inputs: int
    tokens_in: int
    tokens_out: int
    in_one_pass: bool

    @property
    def slots(self) -> int:
        """Inputs that are worked on at a time [1]."""
        room = max(1, MAX_BATCH_TOKENS // self.tokens_in) if self.in_one_pass else MAX_SLOTS
        return min(self.inputs, room, MAX_SLOTS)

    def instance(self, label: str, threads: int, spincount: int | None) -> InstancePlan:
        """A server that takes the batch."""
        together = self.slots * self.tokens_in
        return InstancePlan(
            label,
            label,
            threads,
            spincount,
            context_tokens=max(_LEAST_CONTEXT, self.slots * (self.tokens_in + self.tokens_out)),
            slots=self.slots,
            batch_tokens=together if self.in_one_pass else _USUAL_BATCH,
            ubatch_tokens=together if self.in_one_pass else _USUAL_PASS,
            embedding=self.tokens_out == 1,
        )

    def requests(self, label: str) -> list[Request]:
        """Its inputs, which come at once."""
        return [Request(f"{label}/{number}", label, self.tokens_in, self.tokens_out) for number in range(self.inputs)]


def work_of(spec: ModelSpec, inputs: int, lengths: Lengths) -> Work:
    """What a batch of a model is made of.

    Raises:
        InputError: texts are longer than the model takes, or an input is too long for one pass.
    """
    shape = spec.shape
    seen, text = patches(shape), lengths.text
    if shape.kind == "text-embedding":
        _check_length(spec, text)
        return Work(inputs, text, 1, True)
    if shape.kind == "vision" or (shape.kind == "multimodal" and seen) or (shape.kind == "audio" and not writes(shape)):
        return Work(inputs, seen, 1, True)
    if writes(shape):
        if not seen:
            _check_length(spec, text)
        return Work(inputs, seen or text, 1 + lengths.output, True)  # the encoder's end counts as a token
    return Work(inputs, text, lengths.output, False)


def patches(shape: Shape) -> int:
    """Tokens that an encoder of images or sound makes of one input [tokens]; 0 where there is no such encoder."""
    signal = shape.signal
    if signal is None:
        return 0
    return signal.size if not signal.patch else (signal.size // signal.patch) ** 2 + 1


def check_kind(shape: Shape, model_type: str | None) -> None:
    """Whether a model is what it is said to be.

    Raises:
        InputError: it is not, or there is no such kind.
    """
    if model_type is None:
        return
    kinds = KINDS.get(model_type.lower().replace("-", "_"))
    if kinds is None:
        raise InputError(f"model type {model_type!r} is not known; known: {', '.join(KINDS)}")
    if shape.kind not in kinds:
        raise InputError(f"{shape.name} is a model of kind {shape.kind}, not {model_type}; leave model_type out or correct it")


def _check_length(spec: ModelSpec, tokens: int) -> None:
    most = min(spec.shape.context_length or MAX_BATCH_TOKENS, MAX_BATCH_TOKENS)
    if tokens > most:
        raise InputError(f"text_tokens is {tokens}; {spec.name} takes texts of at most {most} tokens")
