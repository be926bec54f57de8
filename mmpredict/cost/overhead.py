"""What a server's process takes beside the buffers that it logs: program, libraries, vocabulary, samplers.

Measured on 2026-11-20 as proportional set size less all logged buffers, for models of 8 192 to 262 144 tokens with and without
merges, after prompts of 600 and 3 000 tokens on one and on four slots (Linux, x86-64). ``docs/memory.md`` has the table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mmpredict.errors import UnknownNameError
from mmpredict.models.spec import ModelSpec
from mmpredict.units import MIB


@dataclass(frozen=True, slots=True)
class Overhead:
    """Memory of a server process beside its buffers.

    Attributes:
        engine: whose it is.
        shared_bytes: pages of program and libraries, which processes of one engine share [bytes].
        base_bytes: its own, whatever the model [bytes].
        token_bytes: per token of the vocabulary [bytes].
        merge_bytes: per merge of a byte-pair vocabulary [bytes].
        candidate_bytes: per token of the vocabulary and slot that has served a request [bytes].
        source: where the figures come from.
    """

    engine: str
    shared_bytes: float
    base_bytes: float
    token_bytes: float
    merge_bytes: float
    candidate_bytes: float
    source: str

    def private_bytes(self, spec: ModelSpec, slots: int) -> float:
        """Its own memory with one model [bytes]."""
        vocabulary = spec.shape.n_vocab * (self.token_bytes + slots * self.candidate_bytes)
        return self.base_bytes + vocabulary + spec.n_merges * self.merge_bytes


EMBEDDED = Overhead(
    engine="embedded",
    shared_bytes=14.5 * MIB,
    base_bytes=12 * MIB,
    token_bytes=202,
    merge_bytes=170,
    candidate_bytes=14.5,
    source="measured: xllamacpp 2026.10.11549 in CPython 3.11",
)
LLAMA_SERVER = Overhead(
    engine="llama-server",
    shared_bytes=13.4 * MIB,
    base_bytes=8 * MIB,
    token_bytes=160,
    merge_bytes=111,
    candidate_bytes=13,
    source="measured: llama-server built from llama.cpp b11549, CPU backend",
)
OLLAMA = replace(LLAMA_SERVER, engine="ollama", source="Ollama runs each model in a llama-server: as measured for that")
OVERHEADS = {overhead.engine: overhead for overhead in (EMBEDDED, LLAMA_SERVER, OLLAMA)}


def overhead_of_build(*names: str) -> Overhead:
    """The overhead of a build's process, by the first of its names that begins with a known engine (``ollama 0.33.0``): of all
    others the embedded engine's."""
    found = (OVERHEADS.get(name.partition(" ")[0]) for name in names)
    return next((overhead for overhead in found if overhead is not None), EMBEDDED)


def overhead_of(engine: str) -> Overhead:
    """The overhead of an engine's process.

    Raises:
        UnknownNameError: no such engine.
    """
    try:
        return OVERHEADS[engine]
    except KeyError:
        raise UnknownNameError("engine", engine, OVERHEADS) from None
