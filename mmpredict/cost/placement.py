"""Which parts of a model lie in which memory, and how many layers fit onto a GPU.

llama.cpp's rules (``src/llama-model.cpp``, load_tensors): of ``n`` layers and the output, which counts as one more, the last
``gpu_layers`` go to the GPU; the embedding table always stays with the CPU, so a tied output matrix exists a second time on
the GPU; keys and values follow their layer.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import lru_cache

from mmpredict.models.quantization.repacking import WHEEL_FEATURES, repacks_tensor
from mmpredict.models.quantization.tensor_roles import layer_of
from mmpredict.models.spec import EMBEDDING, ModelSpec, Tensor

REMEMBERED = 256  # answers for models and placements
ALIGNMENT_BYTES = 32  # of tensors in a file and in a buffer


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a server keeps a model.

    Attributes:
        gpu_layers: layers on the GPU, the output counted as one (``--n-gpu-layers``); 0 for none [1].
        mapped: whether the CPU's part stays mapped from the file, rather than being read into memory of the process.
        repacking: whether the CPU copies matrices into a layout of its own; llama.cpp does so only where no GPU is used.
        features: what processor and build can do, which decides what is copied.
        kept: names of tensors that stay with the CPU although their layer is on the GPU (``--override-tensor``).
    """

    gpu_layers: int = 0
    mapped: bool = True
    repacking: bool = True
    features: frozenset[str] = WHEEL_FEATURES
    kept: frozenset[str] = frozenset()


def most_gpu_layers(spec: ModelSpec) -> int:
    """Layers of a full offload: all, and the output [1]."""
    return spec.shape.n_layers + spec.shape.n_decoder_layers + 1


def on_gpu(spec: ModelSpec, layer: int | None, gpu_layers: int) -> bool:
    """Whether a layer is on the GPU; ``None`` stands for the output and its norm."""
    position = most_gpu_layers(spec) - 1 if layer is None else layer
    return position >= most_gpu_layers(spec) - gpu_layers


def loaded(spec: ModelSpec) -> tuple[Tensor, ...]:
    """Tensors that are loaded: all but those of layers that only draft."""
    trunk = spec.shape.n_layers - spec.shape.n_draft_layers
    return tuple(tensor for tensor in spec.tensors if (layer := _layer(tensor.name)) is None or layer < trunk)


@lru_cache(maxsize=1 << 16)
def _layer(name: str) -> int | None:
    """The block that a tensor belongs to, remembered: finding out how many layers fit asks for each of them many times."""
    number = layer_of(name)
    return None if number < 0 else number


def is_input(tensor: Tensor) -> bool:
    """Whether a tensor belongs to the input, which stays with the CPU."""
    return _layer(tensor.name) is None and (
        tensor.name == EMBEDDING or tensor.name.startswith(("position_embd", "token_types", "token_embd"))
    )


def device_tensor_bytes(spec: ModelSpec, gpu_layers: int, kept: Collection[str] = ()) -> int:
    """Weights on the GPU, all of the last ``gpu_layers`` layers but those named in ``kept`` [bytes]."""
    if not gpu_layers:
        return 0
    layers = (t for t in loaded(spec) if not is_input(t) and on_gpu(spec, _layer(t.name), gpu_layers))
    placed = sum(t.size_bytes for t in layers if t.name not in kept)
    output = spec.output_matrix
    return placed + (output.size_bytes if output and output.name == EMBEDDING else 0)


@lru_cache(REMEMBERED)
def host_weights(spec: ModelSpec, placement: Placement) -> tuple[int, int]:
    """Weights on the host [bytes]: (mapped from the file, private copies)."""
    kept = placement.kept
    stay = [t for t in loaded(spec) if is_input(t) or t.name in kept or not on_gpu(spec, _layer(t.name), placement.gpu_layers)]
    copies = {t.name for t in stay if _is_copied(spec, t, placement)}
    copied = sum(t.size_bytes for t in stay if t.name in copies)
    in_place = [t for t in stay if is_input(t) or t.name not in copies]
    if not placement.mapped:
        return 0, copied + sum(t.size_bytes for t in in_place)
    if not in_place or placement.gpu_layers:
        return sum(t.size_bytes for t in in_place), copied
    # A file is mapped from the first to the last tensor that is used in place: what is copied in between stays mapped.
    names = [t.name for t in spec.tensors]
    span = spec.tensors[names.index(in_place[0].name) : names.index(in_place[-1].name) + 1]
    return sum(-(-t.size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES for t in span), copied


def in_place_bytes(spec: ModelSpec, placement: Placement) -> float:
    """Weights on the host that the CPU uses as they are [bytes]."""
    copied = host_weights(spec, replace(placement, mapped=True))[1]
    return host_weights(spec, replace(placement, mapped=False))[1] - copied


def repacked_bytes(spec: ModelSpec, features: Collection[str] = WHEEL_FEATURES) -> int:
    """Matrices that the CPU copies into its own layout [bytes]."""
    return host_weights(spec, Placement(features=frozenset(features)))[1]


def streamed_bytes(spec: ModelSpec, gpu_layers: int, kept: Collection[str] = ()) -> int:
    """Room on the GPU for the largest matrix that a partial offload sends there during prompts [bytes]."""
    if not gpu_layers or (gpu_layers >= most_gpu_layers(spec) and not kept):
        return 0
    sent = (t for t in loaded(spec) if t.is_matrix and (t.name in kept or not on_gpu(spec, _layer(t.name), gpu_layers)))
    return max((t.size_bytes for t in sent), default=0)


def _is_copied(spec: ModelSpec, tensor: Tensor, placement: Placement) -> bool:
    """Whether the CPU copies a tensor; a tied embedding is copied as the output matrix that it also is."""
    if not placement.repacking or placement.gpu_layers:
        return False
    tied = spec.tied_output and tensor.name == EMBEDDING
    return repacks_tensor(tensor, placement.features, as_output=tied)
