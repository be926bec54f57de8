"""Vision transformers: classifiers, CLIP, and the projectors that give a language model eyes (``mmproj-*.gguf``).

Source: llama.cpp ``tools/mtmd/clip.cpp``, ``tools/mtmd/models/*.cpp``, ``conversion/base.py`` (``MmprojModel``). The text side
of CLIP is named as clip.cpp named it. Which row of ``EYES`` a model is, its ``Shape.parts`` say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mmpredict.models.architectures.parts import Named, in_block, linear, norm
from mmpredict.models.shape import Shape, Signal


@dataclass(frozen=True, slots=True)
class Eye:
    """How a vision transformer is made.

    Attributes:
        class_token: whether a token for the whole image goes before the patches.
        positions: whether positions are a table, rather than rotary.
        patch_bias: whether the patch embedding has a bias.
        frames: patch embeddings, one per frame that is read at once [1].
        pre_norm, post_norm: norms before the first and after the last block.
        bias: whether attention and feed-forward have biases.
        norm_bias: whether norms have biases.
        gate: whether the feed-forward has a gate.
    """

    class_token: bool = False
    positions: bool = True
    patch_bias: bool = True
    frames: int = 1
    pre_norm: bool = False
    post_norm: bool = True
    bias: bool = True
    norm_bias: bool = True
    gate: bool = False


EYES: dict[str, Eye] = {
    "classifier": Eye(class_token=True),
    "clip": Eye(class_token=True, patch_bias=False, pre_norm=True),
    "llava": Eye(class_token=True, patch_bias=False, pre_norm=True, post_norm=False),
    "gemma3": Eye(),
    "llama4": Eye(class_token=True, patch_bias=False, pre_norm=True),
    "qwen2.5vl": Eye(positions=False, patch_bias=False, frames=2, norm_bias=False, gate=True),
    "pixtral": Eye(
        positions=False, patch_bias=False, pre_norm=True, post_norm=False, bias=False, norm_bias=False, gate=True
    ),
}  # fmt: skip


def clip(shape: Shape) -> Iterator[Named]:
    """A vision transformer and what is put on top of it."""
    kind = next(name for name in EYES if name in shape.parts)
    eye, signal = EYES[kind], shape.signal
    assert signal is not None, "a vision transformer sees"
    yield from _embeddings(shape, eye, signal)
    for layer in range(shape.n_layers):
        yield from in_block(layer, _block(shape, eye), "v.blk.")
    if eye.post_norm:
        yield from norm("v.post_ln", shape.n_embd, eye.norm_bias)
    yield from _TOPS[kind](shape, signal)


def _embeddings(shape: Shape, eye: Eye, signal: Signal) -> Iterator[Named]:
    if eye.class_token:
        yield "v.class_embd", (shape.n_embd,)
    for frame in range(eye.frames):
        suffix = f".{frame}" if frame else ""
        yield f"v.patch_embd.weight{suffix}", (signal.patch, signal.patch, signal.channels, shape.n_embd)
    if eye.patch_bias:
        yield "v.patch_embd.bias", (shape.n_embd,)
    if eye.positions:
        patches = (signal.size // signal.patch) ** 2 + eye.class_token
        yield "v.position_embd.weight", (shape.n_embd, patches)
    if eye.pre_norm:
        yield from norm("v.pre_ln", shape.n_embd, eye.norm_bias)


def _block(shape: Shape, eye: Eye) -> Iterator[Named]:
    n_embd, n_ff = shape.n_embd, shape.ff(0)
    for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
        yield from linear(name, n_embd, n_embd, eye.bias)
    for name in ("ln1", "ln2"):
        yield from norm(name, n_embd, eye.norm_bias)
    if eye.gate:
        yield from linear("ffn_gate", n_embd, n_ff, eye.bias)
    yield from linear("ffn_up", n_embd, n_ff, eye.bias)
    yield from linear("ffn_down", n_ff, n_embd, eye.bias)


def _classifier(shape: Shape, signal: Signal) -> Iterator[Named]:
    yield from linear("cls.output", shape.n_embd, signal.classes, bias=True)


def _clip(shape: Shape, signal: Signal) -> Iterator[Named]:
    yield from linear("visual_projection", shape.n_embd, signal.projection)
    text = shape.tower
    if text is None:
        return
    yield "t.token_embd.weight", (text.n_embd, text.n_vocab)
    yield "t.position_embd.weight", (text.n_embd, text.context_length)
    for layer in range(text.n_layers):
        yield from in_block(layer, _block(text, EYES["clip"]), "t.blk.")
    yield from norm("t.post_ln", text.n_embd, bias=True)
    yield from linear("text_projection", text.n_embd, signal.projection)
    yield "logit_scale", (1,)


def _llava(shape: Shape, signal: Signal) -> Iterator[Named]:
    yield from linear("mm.0", shape.n_embd, signal.projection, bias=True)
    yield from linear("mm.2", signal.projection, signal.projection, bias=True)


def _gemma3(shape: Shape, signal: Signal) -> Iterator[Named]:
    yield "mm.input_projection.weight", (signal.projection, shape.n_embd)
    yield from norm("mm.soft_emb_norm", shape.n_embd)


def _qwen25vl(shape: Shape, signal: Signal) -> Iterator[Named]:
    joined = shape.n_embd * signal.merge**2
    yield from linear("mm.0", joined, joined, bias=True)
    yield from linear("mm.2", joined, signal.projection, bias=True)


def _llama4(shape: Shape, signal: Signal) -> Iterator[Named]:
    """Neighbouring patches are joined before two matrices, and a third leads to the language model."""
    joined = shape.n_embd * signal.merge**2
    yield from linear("mm.model.mlp.1", joined, signal.hidden)
    yield from linear("mm.model.mlp.2", signal.hidden, signal.hidden)
    yield from linear("mm.model.fc", signal.hidden, signal.projection)


def _pixtral(shape: Shape, signal: Signal) -> Iterator[Named]:
    if signal.merge > 1:
        yield from norm("mm.input_norm", shape.n_embd)
        yield from linear("mm.patch_merger", shape.n_embd * signal.merge**2, shape.n_embd)
    yield from linear("mm.1", shape.n_embd, signal.projection)
    yield from linear("mm.2", signal.projection, signal.projection)
    yield "v.token_embd.img_break", (signal.projection,)


_TOPS: dict[str, Callable[[Shape, Signal], Iterator[Named]]] = {
    "classifier": _classifier,
    "clip": _clip,
    "llava": _llava,
    "gemma3": _gemma3,
    "llama4": _llama4,
    "qwen2.5vl": _qwen25vl,
    "pixtral": _pixtral,
}
