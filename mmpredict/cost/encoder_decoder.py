"""Models that take an input in whole and then write: translation (T5) and speech (Whisper), as the simulator's servers.

Two halves, each priced as a model of its own. The encoder sees all of its input at once, as BERT does; the decoder works token by
token, and each of its tokens attends to the encoder's outputs and to the decoder's tokens before it::

    cells of a token = inputs + tokens before it

With as many heads in both attentions a cell costs the same in either, so that a server whose "prompt" is the input, and whose
decoding begins after it, sees exactly these cells. The encoder itself gives no token: its end counts as the first one, so that a
request for n tokens has n + 1.
"""

from __future__ import annotations

from dataclasses import replace

from mmpredict.cost.contention import Demand, Phase
from mmpredict.cost.prices import StepPrices
from mmpredict.cost.server_cost import ServerCost
from mmpredict.models.shape import Shape
from mmpredict.models.spec import ModelSpec

_ENCODER_PREFIXES = ("enc.", "encoder.")
_LIKE_BERT, _LIKE_T5 = "bert", "t5"


def writes(shape: Shape) -> bool:
    """Whether a model takes its input in whole and then writes."""
    return shape.n_decoder_layers > 0


def halves(spec: ModelSpec) -> tuple[ModelSpec, ModelSpec]:
    """Encoder and decoder as models of their own, with the graphs of BERT and of T5's decoder."""
    encoder = tuple(tensor for tensor in spec.tensors if tensor.name.startswith(_ENCODER_PREFIXES))
    names = {tensor.name for tensor in encoder}
    decoder = tuple(tensor for tensor in spec.tensors if tensor.name not in names)
    shape = spec.shape
    return (
        replace(spec, tensors=encoder, shape=replace(shape, architecture=_LIKE_BERT, n_decoder_layers=0)),
        replace(spec, tensors=decoder, shape=replace(shape, architecture=_LIKE_T5, n_layers=shape.n_decoder_layers)),
    )


class EncoderDecoderPrices(StepPrices):
    """Inputs at the encoder's prices, steps at the decoder's.

    Args:
        encoder, decoder: prices of the halves.
    """

    def __init__(self, encoder: StepPrices, decoder: StepPrices) -> None:
        super().__init__(encoder.ubatch_tokens)
        self._encoder, self._decoder = encoder, decoder
        self.begun_s, self.rests = encoder.begun_s, encoder.rests
        self.limits, self.decode_cell_s, self.batch_cell_s = decoder.limits, decoder.decode_cell_s, decoder.batch_cell_s

    def piece_s(self, start: int, tokens: int) -> float:
        """See ``StepPrices``."""
        return self._encoder.piece_s(start, tokens)

    def _price_decode_pass(self, sequences: int) -> float:
        return self._decoder.decode_pass_s(sequences)

    def _price_batch_pass(self, tokens: int, sampled: int) -> float:
        return self._encoder.batch_pass_s(tokens, 0)


class EncoderDecoderServer:
    """A server of such a model (see ``ServerCost``).

    Args:
        whole: has its memory, and is loaded.
        encoder, decoder: servers of the halves, on the same processor.
    """

    def __init__(self, whole: ServerCost, encoder: ServerCost, decoder: ServerCost) -> None:
        self._whole, self._encoder, self._decoder = whole, encoder, decoder
        self.prices: StepPrices = EncoderDecoderPrices(encoder.prices, decoder.prices)
        self.memory = whole.memory
        self.program_bytes = whole.program_bytes
        self.device_bytes = whole.device_bytes
        self.stacked = False
        self.unload_s = whole.unload_s

    def load_s(self, cold: bool) -> float:
        """See ``ServerCost``."""
        return self._whole.load_s(cold)

    def load_demand(self, solo_s: float, cold: bool) -> Demand:
        """See ``ServerCost``."""
        return self._whole.load_demand(solo_s, cold)

    def demand(self, phase: Phase, solo_s: float, passes: int, sequences: int) -> Demand:
        """See ``ServerCost``."""
        half = self._decoder if phase == "decode" else self._encoder
        return replace(half.demand(phase, solo_s, passes, sequences), stacked=self.stacked)
