"""Which graph an architecture has, and which one stands in for those that are not modelled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mmpredict.cost.graph.building import Building
from mmpredict.cost.graph.decoder import Style, attention_mixer, decoder
from mmpredict.cost.graph.encoder import BERT, GEMMA_EMBEDDING, NOMIC_BERT, NOMIC_BERT_MOE, bert, bidirectional_mixer, embedding_of
from mmpredict.cost.graph.feed_forward import Routing
from mmpredict.cost.graph.gemma3n import gemma3n
from mmpredict.cost.graph.gemma4 import gemma4
from mmpredict.cost.graph.hybrid import GRANITE, GRANITE_RECURRENT, LFM2, NEMOTRON_H, QWEN_LINEAR, alternating, hybrid_mixer
from mmpredict.cost.graph.latent import latent_mixer
from mmpredict.cost.graph.recurrent import delta_net, delta_net_joint, mamba2, short_convolution
from mmpredict.cost.graph.styles import STYLES
from mmpredict.cost.graph.translation import t5
from mmpredict.models.shape import Shape

SIGNAL_ENCODERS = ("clip", "whisper")  # of images and sound; engines of their own compute them


@dataclass(frozen=True, slots=True)
class Family:
    """How the graph of an architecture is built.

    Attributes:
        build: fills an empty graph.
        positions: position numbers per token [1].
        all_outputs: whether the result of every token is wanted.
        needs: the part of a shape without which this graph cannot be built.
    """

    build: Callable[[Building], None]
    positions: int = 1
    all_outputs: bool = False
    needs: str = ""


def family_of(shape: Shape) -> tuple[str, Family, bool]:
    """The architecture whose graph a model has: its name, the graph, and whether it is the model's own or only the nearest."""
    known = FAMILIES.get(shape.architecture)
    if known is not None and (not known.needs or getattr(shape, known.needs) is not None):
        return shape.architecture, known, True
    name = _nearest(shape)
    return name, FAMILIES[name], False


def wants_all_outputs(shape: Shape, family: Family) -> bool:
    """Whether a server wants the result of every token: that of an encoder, or of a decoder that makes embeddings."""
    return family.all_outputs or shape.kind == "text-embedding"


def _nearest(shape: Shape) -> str:
    if shape.architecture in SIGNAL_ENCODERS or shape.kind in ("text-embedding", "vision", "audio"):
        return "bert"
    if shape.n_decoder_layers:
        return "t5"
    if shape.latent is not None:
        return "deepseek2"
    if shape.recurrent is not None:
        return "granitehybrid" if any(map(shape.ff, range(shape.n_layers))) or shape.experts else "nemotron_h"
    if shape.experts is not None:
        return "qwen2moe" if shape.experts.n_ff_shared else "qwen3moe"
    return "llama"


def _plain(style: Style) -> Family:
    return Family(lambda building: decoder(building, style), style.positions)


def _deepseek2(building: Building) -> None:
    latent = building.shape.latent
    assert latent is not None, "family_of sees to it"
    style = Style(routing=Routing(normalized=True, biased="expert_bias" in building.shape.parts))
    decoder(building, style, latent_mixer(building, latent))


def _granite_hybrid(building: Building) -> None:
    if building.shape.recurrent is None:
        decoder(building, GRANITE)
    else:
        decoder(building, GRANITE_RECURRENT, hybrid_mixer(building, attention_mixer(building, GRANITE_RECURRENT), mamba2))


def _qwen_linear(building: Building) -> None:
    mixer = delta_net_joint if building.shape.architecture == "qwen3next" else delta_net
    decoder(building, QWEN_LINEAR, hybrid_mixer(building, attention_mixer(building, QWEN_LINEAR), mixer))


def _lfm2(building: Building) -> None:
    decoder(building, LFM2, hybrid_mixer(building, attention_mixer(building, LFM2), short_convolution))


def _diffusion(building: Building) -> None:
    style = Style(head_norm="rms" if building.shape.experts else "none", routing=Routing(normalized=True))
    decoder(building, style, bidirectional_mixer(building, style))


def _gemma_embedding(building: Building) -> None:
    decoder(building, GEMMA_EMBEDDING, bidirectional_mixer(building, GEMMA_EMBEDDING), embedding_of)


FAMILIES: dict[str, Family] = {
    **{name: _plain(style) for name, style in STYLES.items()},
    "deepseek2": Family(_deepseek2, needs="latent"),
    "gemma3n": Family(gemma3n),
    "gemma4": Family(gemma4),
    **dict.fromkeys(("nemotron_h", "nemotron_h_moe", "mamba2"), Family(lambda building: alternating(building, NEMOTRON_H))),
    "granitehybrid": Family(_granite_hybrid),
    "qwen3next": Family(_qwen_linear, needs="recurrent"),
    **dict.fromkeys(("qwen35", "qwen35moe"), Family(_qwen_linear, positions=4, needs="recurrent")),
    **dict.fromkeys(("lfm2", "lfm2moe"), Family(_lfm2, needs="recurrent")),
    **dict.fromkeys(("rnd1", "llada-moe", "llada", "dream"), Family(_diffusion)),
    "gemma-embedding": Family(_gemma_embedding, all_outputs=True),
    "bert": Family(lambda building: bert(building, BERT), all_outputs=True),
    "nomic-bert": Family(lambda building: bert(building, NOMIC_BERT), all_outputs=True),
    "nomic-bert-moe": Family(lambda building: bert(building, NOMIC_BERT_MOE), all_outputs=True),
    "t5": Family(t5, all_outputs=True),
}
