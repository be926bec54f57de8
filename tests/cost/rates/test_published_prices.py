"""Prices of a server's steps by rates: the same times as the terms of whole steps and prompts, however they are cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from invented_rates import RATES, SPECS

from mmpredict.cost.draw import Draw
from mmpredict.cost.drawn_prices import DrawnPrices, SplitPrices
from mmpredict.cost.piece import PromptPiece
from mmpredict.cost.published_prices import PublishedPrices
from mmpredict.cost.rates.step_terms import Conditions, decode_terms, prompt_terms, sampling_terms
from mmpredict.models.catalog import catalog_spec
from mmpredict.models.spec import ModelSpec

SERVED = [Conditions(sampled=True), Conditions(256, "q8_0", "q4_0", early=True, sampled=True, share=0.4)]
PRICES = {(spec.name, how): PublishedPrices(spec, RATES, how) for spec in SPECS for how in (*SERVED, Conditions())}
ENCODER = catalog_spec("bge-m3", "F16")

specs, conditions = st.sampled_from(SPECS), st.sampled_from(SERVED)
depths = st.integers(0, 131_072) | st.integers(1020, 1028)


@given(specs, conditions, st.integers(1, 64), depths, st.integers(1, 4000))
def test_equally_long_sequences_take_what_their_terms_say(
    spec: ModelSpec, how: Conditions, several: int, depth: int, steps: int
) -> None:
    found = PRICES[spec.name, how].decode_s([float(depth)] * several, steps)
    assert found == pytest.approx(RATES.seconds(decode_terms(spec, several, depth, steps, how)), rel=1e-9)


@given(specs, conditions, st.integers(1, 20_000), st.integers(0, 50_000))
def test_a_prompt_takes_what_its_terms_say(spec: ModelSpec, how: Conditions, tokens: int, depth: int) -> None:
    found = PRICES[spec.name, how].batch_s([], [PromptPiece(depth, tokens, True)])
    terms = prompt_terms(spec, tokens, depth, how) + sampling_terms(spec, 1, how)  # a server samples the first token as well
    assert found == pytest.approx(RATES.seconds(terms), rel=1e-9)


@given(st.integers(1, 512))
def test_an_encoder_takes_what_its_terms_say(tokens: int) -> None:
    found = PublishedPrices(ENCODER, RATES).batch_s([], [PromptPiece(0, tokens, True)])
    assert found == pytest.approx(RATES.seconds(prompt_terms(ENCODER, tokens, 0)), rel=1e-9)


@given(specs, st.lists(st.integers(1, 5000), min_size=1, max_size=6), st.integers(1, 50))
def test_steps_of_unequal_sequences_add_up(spec: ModelSpec, deep: list[int], steps: int) -> None:
    prices = PRICES[spec.name, SERVED[0]]
    single = sum(prices.decode_s([depth + done for depth in deep], 1) for done in range(steps))
    assert prices.decode_s(list(map(float, deep)), steps) == pytest.approx(single, rel=1e-9)


@given(specs, st.integers(1, 64))
def test_only_servers_sample(spec: ModelSpec, several: int) -> None:
    served, bare = PRICES[spec.name, SERVED[0]], PRICES[spec.name, Conditions()]
    assert bare.sampling_s == 0.0 < served.sampling_s
    extra = served.decode_pass_s(several) - bare.decode_pass_s(several)
    assert extra == pytest.approx(several * served.sampling_s, rel=1e-6)


@given(specs, st.integers(1, 64))
def test_reading_is_a_part_of_a_step(spec: ModelSpec, several: int) -> None:
    prices = PRICES[spec.name, SERVED[0]]
    assert 0.0 < prices.decode_read_s(several) < prices.decode_pass_s(several)
    assert 0.0 < prices.batch_read_share < 1.0
    assert 0.0 < prices.cell_read_share < 1.0


def test_the_bandwidth_is_that_of_the_rates() -> None:
    assert PRICES[SPECS[0].name, SERVED[0]].bandwidth_bytes_per_s == pytest.approx(200e9)


@pytest.mark.parametrize("several", [1, 9])
def test_luck_has_the_interval_of_the_rates(several: int) -> None:
    prices = PRICES[SPECS[0].name, SERVED[0]]
    drawn = [DrawnPrices(prices, Draw(0, number), "it").decode_pass_s(several) for number in range(2000)]
    logs = np.log(np.array(drawn) / prices.decode_pass_s(several))
    wide = RATES.log_halfwidth(decode_terms(SPECS[0], several, 512, 1, SERVED[0]), "decode")
    assert prices.decode_log_halfwidth(several) == pytest.approx(wide)
    assert float(np.mean(np.abs(logs) <= wide)) == pytest.approx(0.8, abs=0.03)


def test_without_luck_prices_are_the_published_ones() -> None:
    prices = PRICES[SPECS[1].name, SERVED[0]]
    same = DrawnPrices(prices, Draw(), "it")
    pieces = [PromptPiece(100, 700, True), PromptPiece(0, 30, False)]
    assert same.batch_s([10.0, 2000.0], pieces) == pytest.approx(prices.batch_s([10.0, 2000.0], pieces), rel=1e-12)
    assert same.decode_s([10.0, 2000.0], 7) == pytest.approx(prices.decode_s([10.0, 2000.0], 7), rel=1e-12)


def test_luck_of_prompts_and_of_decoding_is_not_the_same() -> None:
    prices = PRICES[SPECS[0].name, SERVED[0]]
    drawn = DrawnPrices(prices, Draw(0, 3), "it")
    prompt = drawn.batch_pass_s(512, 1) / prices.batch_pass_s(512, 1)
    assert prompt == pytest.approx(drawn.piece_s(0, 512) / prices.piece_s(0, 512))
    assert abs(prompt / (drawn.decode_pass_s(1) / prices.decode_pass_s(1)) - 1) > 0.01


@given(specs, st.integers(1, 3000), st.integers(1, 20))
def test_parts_of_a_divided_model_add_up(spec: ModelSpec, tokens: int, several: int) -> None:
    how = SERVED[0]
    parts = [PublishedPrices(spec, RATES, replace(how, share=share)) for share in (0.3, 0.7)]
    both = SplitPrices(parts)
    for question in ([], [float(tokens)] * several):
        pieces = [PromptPiece(0, tokens, True)]
        assert both.batch_s(question, pieces) == pytest.approx(sum(part.batch_s(question, pieces) for part in parts), rel=1e-12)
    deep = [float(tokens)] * several
    assert both.decode_s(deep, 5) == pytest.approx(sum(part.decode_s(deep, 5) for part in parts), rel=1e-12)
