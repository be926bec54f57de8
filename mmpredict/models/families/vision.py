"""Vision transformers, CLIP, and the projectors of multimodal models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mmpredict.errors import InputError
from mmpredict.models.families.decoders import INNER
from mmpredict.models.families.fields import Fields
from mmpredict.models.shape import Kind, Shape, Signal

_CLIP_TEXT = {
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "vocab_size": 49408,
    "max_position_embeddings": 77,
}
_VISION = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}


def _tower(fields: Fields, kind: Kind, part: str, signal: Signal | None, n_layers: int | None = None) -> Shape:
    """A stack of blocks of a vision transformer."""
    n_embd, n_heads = fields.width("hidden_size"), fields.width("num_attention_heads", "num_heads")
    if n_embd % n_heads:
        raise InputError(f"{fields.where}: hidden_size {n_embd} is not a multiple of num_attention_heads {n_heads}")
    return Shape(
        name="",
        architecture="clip",
        n_layers=n_layers or fields.layers("num_hidden_layers", "depth"),
        n_embd=n_embd,
        n_vocab=fields.tokens("vocab_size", default=0) if signal is None else 0,
        context_length=fields.tokens("max_position_embeddings", default=0) if signal is None else 0,
        n_heads=n_heads,
        n_kv_heads=n_heads,
        key_dim=n_embd // n_heads,
        value_dim=n_embd // n_heads,
        n_ff=fields.width("intermediate_size"),
        kind=kind,
        parts=(part,),
        signal=signal,
    )


def _signal(fields: Fields, **more: int) -> Signal:
    size, patch = fields.width("image_size", default=224), fields.width("patch_size")
    if patch > size:
        raise InputError(f"{fields.where}: patch_size {patch} is larger than image_size {size}")
    return Signal(size, patch, fields.width("num_channels", "in_channels", default=3), **more)


def vit(root: Fields, draft: bool | None) -> Shape:
    """An image classifier."""
    labels = root.get("id2label")
    classes = len(labels) if isinstance(labels, dict) else root.width("num_labels", default=2)
    fields = root.over(_VISION)
    return _tower(fields, "vision", "classifier", _signal(fields, classes=classes))


def clip(root: Fields, draft: bool | None) -> Shape:
    """CLIP: images and text side by side."""
    vision, text = root.section("vision_config"), root.section("text_config")
    if vision is None or text is None:
        raise InputError(f"{root.where} has no {'vision_config' if vision is None else 'text_config'}; CLIP has both")
    vision, text = vision.over({**_VISION, "patch_size": 32}), text.over(_CLIP_TEXT)
    projection = root.width("projection_dim", default=512)
    seen = _tower(vision, "multimodal", "clip", _signal(vision, projection=projection))
    return replace(seen, tower=_tower(text, "text-embedding", "clip", None))


def _text_width(root: Fields) -> int:
    inner = root.section(*INNER)
    return (inner.over(root) if inner is not None else root).width("hidden_size")


def _gemma3(root: Fields, fields: Fields) -> Shape:
    return _tower(fields, "vision", "gemma3", _signal(fields, projection=_text_width(root)))


def _llava(root: Fields, fields: Fields) -> Shape:
    """The last layers that are not looked at are left out."""
    layers = fields.layers("num_hidden_layers")
    dropped = -1 - root.count("vision_feature_layer", low=-layers, high=-1, default=-2)
    return _tower(fields, "vision", "llava", _signal(fields, projection=_text_width(root)), layers - dropped)


def _pixtral(root: Fields, fields: Fields) -> Shape:
    merge = root.width("spatial_merge_size", default=1)
    return _tower(fields, "vision", "pixtral", _signal(fields, projection=_text_width(root), merge=merge))


def _qwen25vl(root: Fields, fields: Fields) -> Shape:
    width = fields.width("out_hidden_size", default=0) or _text_width(root)
    return _tower(fields, "vision", "qwen2.5vl", _signal(fields, projection=width, merge=fields.width("spatial_merge_size")))


def _llama4(root: Fields, fields: Fields) -> Shape:
    """``pixel_shuffle_ratio`` is one over the patches along an edge that are joined."""
    merge = round(1 / fields.number("pixel_shuffle_ratio", low=0.01, high=1.0, default=0.5))
    hidden = fields.width("projector_output_dim", default=4096)
    return _tower(fields, "vision", "llama4", _signal(fields, projection=_text_width(root), merge=merge, hidden=hidden))


PROJECTORS: dict[str, Callable[[Fields, Fields], Shape]] = {
    "gemma3": _gemma3,
    "llama4": _llama4,
    "llava": _llava,
    "mistral3": _pixtral,
    "qwen2_5_vl": _qwen25vl,
}
