"""Prompts of words: the alphabet is what a tokenizer has, and their lengths are exact."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.errors import EngineError, InputError
from mmpredict.live.word_prompt import CANDIDATES, Alphabet, Texts, find_alphabet

AROUND = 7


class Tokenizer:
    """One token per word that it knows, one per letter of the others."""

    def __init__(self, unknown: set[str]) -> None:
        self.unknown = unknown
        self.asked = 0

    def count(self, text: str) -> int:
        self.asked += 1
        return AROUND + sum(len(word) + 1 if word in self.unknown else 1 for word in text.split())


@given(st.sets(st.sampled_from(CANDIDATES), max_size=40))
def test_exactly_the_words_of_one_token_are_found(unknown: set[str]) -> None:
    tokenizer = Tokenizer(unknown)
    alphabet = find_alphabet(tokenizer.count)
    assert {word.strip() for word in alphabet.words} == set(CANDIDATES) - unknown
    assert alphabet.around_tokens == AROUND


def test_a_vocabulary_with_all_words_is_found_in_three_questions() -> None:
    tokenizer = Tokenizer(set())
    find_alphabet(tokenizer.count)
    assert tokenizer.asked == 3


def test_a_vocabulary_without_words_is_refused() -> None:
    with pytest.raises(EngineError, match="only 3 of"):
        find_alphabet(Tokenizer(set(CANDIDATES[3:])).count)


@given(st.integers(AROUND + 1, 500), st.integers(0, 10_000))
def test_prompts_have_the_length_asked_for_and_are_repeatable(tokens: int, seed: int) -> None:
    tokenizer = Tokenizer({"time"})
    alphabet = find_alphabet(tokenizer.count)
    numbers = alphabet.prompt(tokens, seed)
    assert tokenizer.count(Texts(alphabet).text(numbers)) == tokens
    assert numbers == alphabet.prompt(tokens, seed)


def test_prompts_differ_at_their_beginning() -> None:
    alphabet = Alphabet(tuple(f" {word}" for word in CANDIDATES), 0)
    beginnings = {tuple(alphabet.prompt(9, seed)[:2]) for seed in range(len(CANDIDATES) ** 2)}
    assert len(beginnings) == len(CANDIDATES) ** 2
    assert len({alphabet.prompt(1, seed)[0] for seed in range(len(CANDIDATES))}) == len(CANDIDATES)


def test_a_prompt_without_room_for_a_word_is_refused() -> None:
    with pytest.raises(InputError, match="ask for 8 or more"):
        Alphabet((" a",) * 20, AROUND).prompt(AROUND, 0)


def test_pieces_of_answers_are_part_of_a_conversation() -> None:
    texts = Texts(Alphabet((" a", " b"), 0))
    first, second = texts.numbers((" x", "yz")), texts.numbers(("w",))
    assert texts.text([1, *first, 0, *second]) == " b xyz aw"
