"""The models that a running Ollama has, as it describes them."""

from __future__ import annotations

from dataclasses import dataclass

from mmpredict.errors import MmpredictError
from mmpredict.live.describe import describe_tag, ollama_address
from mmpredict.live.ollama_client import OllamaClient, full


@dataclass(frozen=True, slots=True)
class OllamaModelRow:
    """One model; what could not be found out is 0 or empty.

    Attributes:
        tag: as Ollama lists it.
        architecture: of the model.
        parameters: weights [1].
        quantization: as Ollama calls it.
        weight_bytes: all tensors [bytes].
        file_bytes: what it takes in the store [bytes].
        context_tokens: that it was trained for [tokens].
        digest: of its manifest.
        loaded: whether it is in memory.
        problem: why it cannot be described; empty if it can.
    """

    tag: str
    architecture: str
    parameters: int
    quantization: str
    weight_bytes: int
    file_bytes: int
    context_tokens: int
    digest: str
    loaded: bool
    problem: str = ""


def ollama_models() -> list[OllamaModelRow]:
    """All models of the Ollama at ``OLLAMA_HOST``, or its usual address, in its order.

    Raises:
        EngineError: no Ollama answers.
    """
    with OllamaClient(ollama_address()) as client:
        client.version()
        tags, loaded = client.tags(), {full(one.name) for one in client.loaded()}
    rows = []
    for tag in tags:
        quantization, in_memory = tag.details.quantization_level, full(tag.name) in loaded
        try:
            spec = describe_tag(tag.name)
        except MmpredictError as error:
            rows.append(OllamaModelRow(tag.name, "", 0, quantization, 0, tag.size, 0, tag.digest, in_memory, str(error)))
            continue
        shape, weights = spec.shape, (spec.parameters, quantization, spec.weight_bytes)
        rows.append(OllamaModelRow(tag.name, shape.architecture, *weights, tag.size, shape.context_length, tag.digest, in_memory))
    return rows
