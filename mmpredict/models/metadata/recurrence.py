"""Which layers of which architecture keep a state instead of keys and values, and of what size; read from and written to metadata.

llama.cpp ``src/models/*.cpp`` (``load_arch_hparams``), ``n_embd_r`` and ``n_embd_s`` in ``src/llama-hparams.cpp``. States of other
kinds than Mamba's are put in its words, so that the sizes come out the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmpredict.models.metadata.keys import Keys, Value
from mmpredict.models.shape import PerLayer, Recurrent, Shape, at_layer

RWKV = ("rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7")
RECURRENT = ("mamba", "mamba2", *RWKV)
# A layer without heads of keys and values is recurrent.
_BY_HEADS = ("jamba", "granitehybrid", "lfm2", "lfm2moe", "plamo2", "kimi-linear", "kimi-k3", "bailingmoe3", "glm5-next")
_BY_HEADS_AND_WIDTH = ("nemotron_h", "nemotron_h_moe")  # one without a feed-forward, too
# Every so many layers one has attention, unless the file lists them.
_BY_INTERVAL = {"qwen3next": 4, "qwen35": 4, "qwen35moe": 4, "qwen4exp": 4, "minimax-01": 8}
HYBRID = (*_BY_HEADS, *_BY_HEADS_AND_WIDTH, *_BY_INTERVAL)
_SHORT_CONVOLUTION = ("lfm2", "lfm2moe")
_DELTA_ATTENTION = ("kimi-linear", "kimi-k3", "bailingmoe3", "glm5-next")

LISTED, INTERVAL = "attention.recurrent_layers", "full_attention_interval"
_SSM = ("conv_kernel", "inner_size", "state_size", "group_count", "time_step_rank")


@dataclass(frozen=True, slots=True)
class Layout:
    """What else is known of the layers when their recurrence is read."""

    n_layers: int
    n_draft_layers: int
    n_embd: int
    n_heads: PerLayer
    n_kv_heads: PerLayer
    key_dim: int
    n_ff: PerLayer


def read_recurrent(keys: Keys, architecture: str, layout: Layout) -> Recurrent | None:
    """The recurrent layers of a model; nothing if all layers have attention or only a feed-forward.

    Raises:
        FileFormatError: a key is missing or holds something impossible.
    """
    layers = _recurrent_layers(keys, architecture, layout)
    if not any(layers):
        return None
    heads = at_layer(layout.n_heads, 0)
    if architecture in _SHORT_CONVOLUTION:
        return Recurrent(layers, keys.number("shortconv.l_cache", least=1), layout.n_embd, 0, 0, 0)
    if architecture in RWKV:
        width = keys.number("wkv.head_size", least=1)
        return Recurrent(layers, keys.number("token_shift_count", 2) + 1, layout.n_embd, width, 0, layout.n_embd // width)
    if architecture in _DELTA_ATTENTION:
        width = keys.number("kda.head_dim", least=1)
        return Recurrent(layers, keys.number("ssm.conv_kernel") or 4, heads * width, width, heads, heads)
    if architecture == "minimax-01":  # linear attention: a square state per head and no convolution
        return Recurrent(layers, 0, heads * layout.key_dim, layout.key_dim, 0, heads)
    conv, inner, state = (keys.number(f"ssm.{name}", least=1) for name in _SSM[:3])
    return Recurrent(layers, conv, inner, state, keys.number("ssm.group_count", 0), keys.number("ssm.time_step_rank", 0))


def write_recurrent(shape: Shape) -> dict[str, Value]:
    """The keys from which ``read_recurrent`` would get a model's recurrent layers."""
    recurrent = shape.recurrent
    if recurrent is None:
        return {}
    if shape.architecture in _SHORT_CONVOLUTION:
        return {"shortconv.l_cache": recurrent.conv}
    if shape.architecture in RWKV:
        return {"wkv.head_size": recurrent.state, "token_shift_count": recurrent.conv - 1}
    found: dict[str, Value] = {}
    interval = _BY_INTERVAL.get(shape.architecture)
    if interval is not None and recurrent.layers != _between(interval, shape.n_layers, shape.n_draft_layers):
        found[LISTED] = recurrent.layers
    if shape.architecture in _DELTA_ATTENTION:
        return {"kda.head_dim": recurrent.state, "ssm.conv_kernel": recurrent.conv}
    if shape.architecture == "minimax-01":
        return found
    values = (recurrent.conv, recurrent.inner, recurrent.state, recurrent.groups, recurrent.heads)
    return found | {f"ssm.{name}": value for name, value in zip(_SSM, values, strict=True)}


def _recurrent_layers(keys: Keys, architecture: str, layout: Layout) -> tuple[bool, ...]:
    n_layers, n_trunk = layout.n_layers, layout.n_layers - layout.n_draft_layers
    if architecture in RECURRENT:
        return (True,) * n_layers
    if architecture in _BY_INTERVAL:
        listed = keys.flags(LISTED, n_layers)
        interval = keys.number(INTERVAL, _BY_INTERVAL[architecture], least=1)
        return listed if listed is not None else _between(interval, n_layers, layout.n_draft_layers)
    if architecture not in HYBRID:
        return ()
    by_width = architecture in _BY_HEADS_AND_WIDTH
    return tuple(
        layer < n_trunk and not at_layer(layout.n_kv_heads, layer) and not (by_width and at_layer(layout.n_ff, layer))
        for layer in range(n_layers)
    )


def _between(interval: int, n_layers: int, n_draft_layers: int) -> tuple[bool, ...]:
    """All layers but every ``interval``-th and those that draft."""
    return tuple(layer < n_layers - n_draft_layers and (layer + 1) % interval != 0 for layer in range(n_layers))
