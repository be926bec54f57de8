"""What the vocabulary of a file comes to: published counts of merges, and room that grows with the number of tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmpredict.models.catalog import catalog_spec, shape
from mmpredict.models.vocabulary import MERGES, TOKENIZERS, merge_count, tokenizer_bytes


@pytest.mark.parametrize(
    ("name", "merges"),
    [
        ("llama3.1-8b", 280_147),
        ("qwen2.5-7b", 151_387),
        ("gpt-oss-20b", 446_189),
        ("llama2-7b", 0),
        ("gemma2-2b", 0),
        ("phi4-14b", 100_000),
    ],
)
def test_merges_are_those_that_loaders_print(name: str, merges: int) -> None:
    assert catalog_spec(name, "Q8_0").n_merges == merges


def test_an_unknown_tokenizer_is_taken_to_have_a_merge_per_token() -> None:
    unknown = replace(shape("llama3.1-8b"), n_vocab=99_999)
    assert merge_count(unknown) == 99_999
    assert tokenizer_bytes(unknown) == 40 * 99_999


def test_tables_name_the_same_tokenizers() -> None:
    assert set(MERGES) <= set(TOKENIZERS)
