"""Prices of a server's steps by rates (``cost.rates``): of published runs, of relatives, or of the data sheet."""

from __future__ import annotations

from mmpredict.cost.prices import StepPrices
from mmpredict.cost.rates.attention import AttentionLayers, attention_layers, is_cached
from mmpredict.cost.rates.rates import Rates
from mmpredict.cost.rates.step_terms import (
    FAR_DEPTH,
    USUAL,
    Conditions,
    cell_terms,
    decode_terms,
    encoded_term,
    pass_terms,
    piece_terms,
    prompt_terms,
    sampling_terms,
)
from mmpredict.cost.rates.term import Term
from mmpredict.models.spec import ModelSpec

LAUNCHES = frozenset(
    f"{when}{what}" for when in ("", "prompt_") for what in ("step_s", "operation_s", "expert_layer_s", "recurrent_layer_s")
)
"""Parameters that price the starting of work, whatever its size."""


class PublishedPrices(StepPrices):
    """Prices at their best known values, each the sum of the terms that ``decode_terms`` and ``prompt_terms`` are made of.

    With ``sampled`` among the conditions, every token whose logits are taken is sampled by the server, first tokens included.

    Args:
        spec: the model, or the part of it that a processor has.
        rates: of the processor.
        how: conditions.

    Attributes:
        sampling_s: sampling one token [s].
        cell_read_share: part of the price of a cell in which memory is read [1].
    """

    def __init__(self, spec: ModelSpec, rates: Rates, how: Conditions = USUAL) -> None:
        super().__init__(how.ubatch_tokens)
        self._spec, self._rates, self._how = spec, rates, how
        self._cached = is_cached(spec.shape)
        prices: dict[float, float] = {}
        read_s = whole_s = 0.0
        for layers in attention_layers(spec.shape):
            terms = cell_terms(layers, 1.0, how)
            seconds = rates.seconds(terms)
            prices[layers.limit] = prices.get(layers.limit, 0.0) + seconds
            read_s += _reading_s(terms, rates)
            whole_s += seconds
        self.limits = tuple(prices)
        self.decode_cell_s = self.batch_cell_s = tuple(prices.values())
        self.cell_read_share = read_s / whole_s if whole_s else 0.0
        self.sampling_s = rates.seconds(sampling_terms(spec, 1.0, how))
        self._pieces = [self._piece(layers) for layers in attention_layers(spec.shape)]
        self._far_power = rates.logs["far_depth"]
        self._decode_read_s: dict[int, float] = {}
        self._decode_launch_s: dict[int, float] = {}
        self._decode_spread: dict[int, float] = {}
        self._prompt_known: tuple[float, float, float] | None = None

    def piece_s(self, start: int, tokens: int) -> float:
        """See ``StepPrices``; what far cells cost besides grows with a power of how deep the piece lies."""
        if not self._cached:
            layers_of = attention_layers(self._spec.shape)
            return self._rates.seconds([encoded_term(layers, tokens, how=self._how) for layers in layers_of])
        found = 0.0
        for layers, near_s, far_s in self._pieces:
            cells = layers.cells(start, tokens)
            found += near_s * cells
            if far_s:
                found += far_s * cells * (cells / tokens / FAR_DEPTH) ** self._far_power
        return found

    def decode_read_s(self, sequences: int) -> float:
        """Of ``decode_pass_s``, what reading from memory takes [s]."""
        found = self._decode_read_s.get(sequences)
        if found is None:
            found = self._decode_read_s[sequences] = _reading_s(self._decode_pass(sequences), self._rates)
        return found

    def decode_launch_s(self, sequences: int) -> float:
        """Of ``decode_pass_s``, what starting its operations takes [s]."""
        found = self._decode_launch_s.get(sequences)
        if found is None:
            found = self._decode_launch_s[sequences] = _launching_s(self._decode_pass(sequences), self._rates)
        return found

    @property
    def batch_launch_share(self) -> float:
        """Part of the time of a full batch of prompt tokens in which operations are started [1]."""
        return self._of_a_prompt()[2]

    @property
    def batch_read_share(self) -> float:
        """Part of the time of a full batch of prompt tokens in which memory is read [1]."""
        return self._of_a_prompt()[0]

    def decode_log_halfwidth(self, sequences: int) -> float:
        """Half-width of the 80 % interval of the logarithm of a decode step, a physical batch from the beginning."""
        found = self._decode_spread.get(sequences)
        if found is None:
            terms = decode_terms(self._spec, sequences, float(self.ubatch_tokens), 1.0, self._how)
            found = self._decode_spread[sequences] = self._rates.log_halfwidth(terms, "decode")
        return found

    @property
    def prompt_log_halfwidth(self) -> float:
        """Half-width of the 80 % interval of the logarithm of a prompt that fills a physical batch."""
        return self._of_a_prompt()[1]

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """At which memory is read [bytes/s]."""
        return self._rates.seconds([Term(1.0, {"bandwidth": 1.0})])

    def _price_decode_pass(self, sequences: int) -> float:
        return self._rates.seconds(self._decode_pass(sequences))

    def _price_batch_pass(self, tokens: int, sampled: int) -> float:
        passed = pass_terms(self._spec, 1.0, tokens, sampled if self._cached else 0, self._how)
        return self._rates.seconds([*passed, *sampling_terms(self._spec, sampled, self._how)])

    def _decode_pass(self, sequences: int) -> list[Term]:
        passed = pass_terms(self._spec, 1.0, sequences, sequences, self._how)
        return [*passed, *sampling_terms(self._spec, sequences, self._how)]

    def _piece(self, layers: AttentionLayers) -> tuple[AttentionLayers, float, float]:
        """Alike layers with the price of a cell, and that of the far part of one at the depth where it has its unit [s]."""
        near, *far = piece_terms(layers, 1.0, 1.0 / FAR_DEPTH, self._how)
        return layers, self._rates.seconds([near]), self._rates.seconds(far)

    def _of_a_prompt(self) -> tuple[float, float, float]:
        if self._prompt_known is None:
            terms = prompt_terms(self._spec, self.ubatch_tokens, 0.0, self._how)
            whole_s = self._rates.seconds(terms)
            shares = _reading_s(terms, self._rates) / whole_s, _launching_s(terms, self._rates) / whole_s
            self._prompt_known = shares[0], self._rates.log_halfwidth(terms, "prompt"), shares[1]
        return self._prompt_known


def _reading_s(terms: list[Term], rates: Rates) -> float:
    """What terms that are priced by the memory's bandwidth take [s]."""
    return rates.seconds([term for term in terms if term.powers.get("bandwidth", 0.0) < 0])


def _launching_s(terms: list[Term], rates: Rates) -> float:
    """What terms that count steps, operations and layers take, whatever these work on [s]."""
    return rates.seconds([term for term in terms if not LAUNCHES.isdisjoint(term.powers)])
