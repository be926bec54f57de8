"""Models that take an input in whole and then write, beside the same sums written out."""

from __future__ import annotations

import pytest

from mmpredict.cost.encoder_decoder import EncoderDecoderPrices, halves, writes
from mmpredict.cost.published_prices import PublishedPrices
from mmpredict.cost.rates.step_terms import Conditions, cross_terms, decode_terms, encode_terms
from mmpredict.hardware.library import find_profile
from mmpredict.models.resolve import resolve
from mmpredict.sizing.costs import UncalibratedMachine

HOW = Conditions(ubatch_tokens=4096, sampled=True)


@pytest.mark.parametrize("name", ["t5-small", "whisper-base"])
def test_halves_hold_every_tensor_once(name: str) -> None:
    spec = resolve(name)
    encoder, decoder = halves(spec)
    assert writes(spec.shape) and not writes(encoder.shape)
    assert sorted(t.name for t in (*encoder.tensors, *decoder.tensors)) == sorted(t.name for t in spec.tensors)
    assert encoder.output_matrix is None
    assert all("dec" not in tensor.name.split(".")[0] for tensor in encoder.tensors)
    assert decoder.shape.n_layers == spec.shape.n_decoder_layers


def test_a_model_that_only_encodes_or_only_writes_is_none() -> None:
    assert not any(writes(resolve(name).shape) for name in ("bert-base-uncased", "llama3.2:1b", "vit-base-patch16-224"))


@pytest.mark.parametrize("name", ["t5-small", "whisper-base"])
@pytest.mark.parametrize("platform", ["cuda", "cpu"])
def test_a_batch_costs_what_its_operations_cost(name: str, platform: str) -> None:
    inputs, seen, steps = 3, 100, 20
    machine = UncalibratedMachine(find_profile(platform))
    rates = machine._choice(machine._main).rates
    encoder, decoder = halves(resolve(name))
    prices = EncoderDecoderPrices(PublishedPrices(encoder, rates, HOW), PublishedPrices(decoder, rates, HOW))
    encoding_s = prices.batch_pass_s(inputs * seen, inputs) + inputs * prices.piece_s(0, seen)
    assert encoding_s == pytest.approx(rates.seconds(encode_terms(encoder, seen, inputs, HOW)))
    # a token attends to the inputs and to the tokens before it
    writing_s = prices.decode_s([float(seen)] * inputs, steps)
    written = decode_terms(decoder, inputs, 0, steps, HOW) + cross_terms(decoder, inputs, seen, steps, HOW)
    assert writing_s == pytest.approx(rates.seconds(written))
