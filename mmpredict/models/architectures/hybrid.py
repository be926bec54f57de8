"""Models in which most layers keep a state instead of keys and values.

Source: llama.cpp ``src/models/nemotron-h.cpp``, ``granite-hybrid.cpp``, ``qwen3next.cpp``, ``qwen35.cpp``, ``qwen35moe.cpp``,
``lfm2.cpp`` and ``conversion/*.py``.
"""

from __future__ import annotations

from collections.abc import Iterator

from mmpredict.models.architectures.parts import Named, Style, attention, draft, experts, feed_forward, head, in_block, linear, norm
from mmpredict.models.shape import Recurrent, Shape

_PLAIN = Style(feed_forward="plain", expert_gate=False, expert_bias=True)
_GATED = Style()
_QWEN = Style(qk_norm="head", shared_gate=True)
_LFM = Style(qk_norm="head", expert_bias=True)


def _recurrent(shape: Shape) -> Recurrent:
    assert shape.recurrent is not None, "asked of hybrid architectures only"
    return shape.recurrent


def _mamba2(shape: Shape) -> Iterator[Named]:
    state = _recurrent(shape)
    mixed = state.inner + 2 * state.groups * state.state
    yield from linear("ssm_in", shape.n_embd, state.inner + mixed + state.heads)
    yield "ssm_conv1d.weight", (state.conv, mixed)
    yield "ssm_conv1d.bias", (mixed,)
    yield "ssm_dt.bias", (state.heads,)
    yield "ssm_a", (1, state.heads)
    yield "ssm_d", (1, state.heads)
    yield "ssm_norm.weight", (state.inner // state.groups, state.groups)
    yield from linear("ssm_out", state.inner, shape.n_embd)


def nemotron_h(shape: Shape) -> Iterator[Named]:
    """Nemotron-H, dense or of experts: every block is either a Mamba 2 mixer, attention, or a feed-forward."""
    yield "token_embd.weight", (shape.n_embd, shape.n_vocab)
    first_draft = shape.n_layers - shape.n_draft_layers
    for layer in range(shape.n_layers):
        drafts = layer >= first_draft
        yield from in_block(layer, _nemotron_draft(shape, layer) if drafts else _nemotron_block(shape, layer))
    yield from head(shape, _PLAIN)


def _nemotron_block(shape: Shape, layer: int) -> Iterator[Named]:
    yield from norm("attn_norm", shape.n_embd)
    if shape.is_recurrent(layer):
        yield from _mamba2(shape)
    elif shape.has_experts(layer):
        yield from experts(shape, _PLAIN)
    elif shape.ff(layer):
        yield from feed_forward(shape, layer, _PLAIN)
    else:
        yield from attention(shape, layer, _PLAIN)


def _nemotron_draft(shape: Shape, layer: int) -> Iterator[Named]:
    yield from draft(shape)
    yield from norm("attn_norm", shape.n_embd)
    yield from attention(shape, layer, _PLAIN)
    yield from norm("post_attention_norm", shape.n_embd)
    yield from experts(shape, _PLAIN)


def granite_hybrid(shape: Shape) -> Iterator[Named]:
    """Granite 4: Mamba 2 or attention, then a feed-forward."""
    yield "token_embd.weight", (shape.n_embd, shape.n_vocab)
    for layer in range(shape.n_layers):
        yield from in_block(layer, _granite_block(shape, layer))
    yield from head(shape, _GATED)


def _granite_block(shape: Shape, layer: int) -> Iterator[Named]:
    yield from norm("attn_norm", shape.n_embd)
    yield from _mamba2(shape) if shape.is_recurrent(layer) else attention(shape, layer, _GATED)
    yield from norm("ffn_norm", shape.n_embd)
    yield from experts(shape, _GATED) if shape.has_experts(layer) else feed_forward(shape, layer, _GATED)


def qwen_linear(shape: Shape) -> Iterator[Named]:
    """Qwen 3 Next, 3.5 and 3.6: gated delta nets, and attention with gated heads in every fourth layer."""
    yield "token_embd.weight", (shape.n_embd, shape.n_vocab)
    for layer in range(shape.n_layers):
        yield from in_block(layer, _qwen_block(shape, layer))
    yield from head(shape, _QWEN)


def _qwen_block(shape: Shape, layer: int) -> Iterator[Named]:
    yield from norm("attn_norm", shape.n_embd)
    yield from norm("post_attention_norm", shape.n_embd)
    yield from _delta_net(shape) if shape.is_recurrent(layer) else attention(shape, layer, _QWEN, gated=True)
    yield from experts(shape, _QWEN) if shape.has_experts(layer) else feed_forward(shape, layer, _QWEN)
    if layer >= shape.n_layers - shape.n_draft_layers:
        yield from draft(shape)


def _delta_net(shape: Shape) -> Iterator[Named]:
    state = _recurrent(shape)
    mixed = 2 * state.groups * state.state + state.inner
    yield from linear("attn_qkv", shape.n_embd, mixed)
    yield from linear("attn_gate", shape.n_embd, state.inner)
    yield "ssm_conv1d.weight", (state.conv, mixed)
    yield "ssm_dt.bias", (state.heads,)
    yield "ssm_a", (state.heads,)
    if shape.architecture == "qwen3next":
        yield from linear("ssm_ba", shape.n_embd, 2 * state.heads)
    else:
        yield from linear("ssm_beta", shape.n_embd, state.heads)
        yield from linear("ssm_alpha", shape.n_embd, state.heads)
    yield from norm("ssm_norm", state.inner // state.heads)
    yield from linear("ssm_out", state.inner, shape.n_embd)


def lfm2(shape: Shape) -> Iterator[Named]:
    """LFM 2: short convolutions and attention."""
    yield "token_embd.weight", (shape.n_embd, shape.n_vocab)
    for layer in range(shape.n_layers):
        yield from in_block(layer, _lfm_block(shape, layer))
    yield from norm("token_embd_norm", shape.n_embd)  # the last norm goes by this name
    if not shape.tied:
        yield from linear("output", shape.n_embd, shape.n_vocab)


def _lfm_block(shape: Shape, layer: int) -> Iterator[Named]:
    yield from norm("attn_norm", shape.n_embd)
    if shape.is_recurrent(layer):
        yield "shortconv.conv.weight", (_recurrent(shape).conv, shape.n_embd)
        yield from linear("shortconv.in_proj", shape.n_embd, 3 * shape.n_embd)
        yield from linear("shortconv.out_proj", shape.n_embd, shape.n_embd)
    else:
        yield from attention(shape, layer, _LFM)
    yield from norm("ffn_norm", shape.n_embd)
    yield from experts(shape, _LFM) if shape.has_experts(layer) else feed_forward(shape, layer, _LFM)
