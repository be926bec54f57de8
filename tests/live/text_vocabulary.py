"""Models of random weights that understand text: the words that prompts are made of are one token each, as in real ones."""

from __future__ import annotations

from pathlib import Path

from mmpredict.live.word_prompt import CANDIDATES
from mmpredict.models.gguf.weights_file import model_header
from mmpredict.models.gguf.write import Packed
from mmpredict.models.synthetic import synthetic_spec

SPECIAL = ("<unk>", "<s>", "</s>")
CONTROL, NORMAL = 3, 1  # LLAMA_TOKEN_TYPE
SPACE = "Ġ"  # how byte-pair vocabularies write a space


def with_text(plain: Path, name: str, path: Path) -> Path:
    """Write a copy of the file ``plain`` of a synthetic model, to ``path``, that understands text."""
    spec = synthetic_spec(name)
    with plain.open("rb") as file:
        file.seek(len(model_header(spec)))
        weights = file.read()
    path.write_bytes(model_header(spec, vocabulary(spec.shape.n_vocab)) + weights)
    return path


def vocabulary(n_vocab: int) -> dict[str, str | int | bool | Packed]:
    """Metadata of it, as GPT-2's kind has it: every byte is a token, and merges lead from a space to a word, letter by letter."""
    merges: list[str] = []
    tokens = [*SPECIAL, *byte_letters()]
    for word in CANDIDATES:
        made = SPACE
        for letter in word:
            if f"{made} {letter}" not in merges:
                merges.append(f"{made} {letter}")
                tokens.append(made + letter)
            made += letter
    tokens += [f"<t{number:x}>" for number in range(n_vocab - len(tokens))]
    return {
        "tokenizer.ggml.tokens": Packed.strings(tokens),
        "tokenizer.ggml.token_type": Packed.numbers([CONTROL] * len(SPECIAL) + [NORMAL] * (n_vocab - len(SPECIAL))),
        "tokenizer.ggml.merges": Packed.strings(merges),
    }


def byte_letters() -> list[str]:
    """GPT-2's letter for every byte: itself where it is printable, else one from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]
