"""The encoder of images or sound that goes with a language model (``mmproj-*.gguf``), read from and written to metadata.

Keys: llama.cpp ``gguf-py/gguf/constants.py`` (``ClipVision``, ``ClipAudio``).
"""

from __future__ import annotations

from collections.abc import Mapping

from mmpredict.models.metadata.keys import MAX_LAYERS, Keys, Value
from mmpredict.models.shape import Shape, Signal

_HEADS, _FEED_FORWARD = "attention.head_count", "feed_forward_length"


def read_projector(metadata: Mapping[str, Value], label: str, name: str, source: str) -> Shape:
    """What memory follows from, of the encoder.

    Args:
        metadata: of the file.
        label: what complaints call the model.
        name, source: of the shape.

    Raises:
        FileFormatError: a key is missing, or holds something impossible.
    """
    sees = "clip.vision.block_count" in metadata
    keys = Keys(metadata, "clip.vision" if sees else "clip.audio", label)
    n_layers = keys.number("block_count", least=1, most=MAX_LAYERS)
    n_embd, n_heads = keys.number("embedding_length", least=1), keys.number(_HEADS, least=1)
    size, patch = keys.number("image_size", 0), keys.number("patch_size", 0)
    return Shape(
        name=name,
        architecture="clip",
        n_layers=n_layers,
        n_embd=n_embd,
        n_vocab=0,
        context_length=(size // patch) ** 2 if patch else 0,
        n_heads=n_heads,
        n_kv_heads=n_heads,
        key_dim=n_embd // n_heads,
        value_dim=n_embd // n_heads,
        n_ff=keys.number(_FEED_FORWARD, 0),
        kind="vision" if sees else "audio",
        source=source,
        signal=Signal(size, patch, projection=keys.number("projection_dim", 0)),
    )


def write_projector(shape: Shape) -> dict[str, Value]:
    """The keys from which ``read_projector`` would get an encoder."""
    signal, prefix = shape.signal or Signal(0), "clip.audio" if shape.kind == "audio" else "clip.vision"
    found: dict[str, Value] = {"block_count": shape.n_layers, "embedding_length": shape.n_embd, _HEADS: shape.n_heads}
    found |= {_FEED_FORWARD: shape.n_ff, "image_size": signal.size, "patch_size": signal.patch, "projection_dim": signal.projection}
    return {f"{prefix}.{key}": value for key, value in found.items()}
