"""A vocabulary of any size whose tokens are all printable text, the simplest that llama.cpp accepts for every architecture."""

from __future__ import annotations

from collections.abc import Mapping

from mmpredict.errors import InputError
from mmpredict.models.gguf.write import Packed
from mmpredict.models.metadata.keys import Value

SPECIAL = ("<unk>", "<s>", "</s>")
MERGES = ("t 0", "t 1")
_CONTROL, _NORMAL = 3, 1  # LLAMA_TOKEN_TYPE
_LENGTH_BYTES, _TYPE_BYTES = 8, 4


def plain_vocabulary(n_vocab: int) -> Mapping[str, Value | Packed]:
    """Metadata of a byte-pair vocabulary.

    Args:
        n_vocab: tokens [1].

    Raises:
        InputError: too few tokens for the special ones.
    """
    others = _others(n_vocab)
    tokens = Packed.strings([*SPECIAL, *(f"t{number:x}" for number in range(others))])
    return _keys(tokens, Packed.numbers([_CONTROL] * len(SPECIAL) + [_NORMAL] * others))


def vocabulary_outline(n_vocab: int) -> tuple[Mapping[str, Value | Packed], int]:
    """The same without the tokens, and how many bytes those would take; quick, however many they are.

    Raises:
        InputError: as ``plain_vocabulary``.
    """
    others, digits, first = _others(n_vocab), 1, 0
    size_bytes = sum(map(len, SPECIAL)) + (_LENGTH_BYTES + _TYPE_BYTES) * n_vocab
    while first < others:
        beyond = min(others, 16**digits)
        size_bytes += (beyond - first) * (1 + digits)
        first, digits = beyond, digits + 1
    return _keys(Packed.strings(()), Packed.numbers(())), size_bytes


def _others(n_vocab: int) -> int:
    others = n_vocab - len(SPECIAL)
    if others < 1:
        raise InputError(f"a vocabulary of {n_vocab} tokens cannot be made; it takes {len(SPECIAL) + 1} or more")
    return others


def _keys(tokens: Packed, types: Packed) -> dict[str, Value | Packed]:
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": Packed.strings(MERGES),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.add_bos_token": False,
    }
