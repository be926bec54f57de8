"""Models as running servers describe them: Ollama's ``/api/show``, llama-server's ``/props`` and ``/v1/models``.

Pure parsing of answers that somebody else fetched; nothing in them is trusted. Sources: Ollama ``api/types.go``,
``server/routes.go`` and ``fs/ggml``; llama.cpp ``tools/server/server-context.cpp``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from math import prod
from pathlib import Path

from mmpredict.errors import InputError, MmpredictError
from mmpredict.models.answers import Meta, Models, Props, Show, ShownTensor, parsed
from mmpredict.models.architectures import tensor_shapes
from mmpredict.models.catalog import CATALOG, catalog_spec, spec_of
from mmpredict.models.gguf.header import MAX_WEIGHTS
from mmpredict.models.gguf.model import spec_from_gguf
from mmpredict.models.metadata.doubts import doubts
from mmpredict.models.metadata.keys import LongArray, Scalar, Value
from mmpredict.models.metadata.recurrence import HYBRID
from mmpredict.models.metadata.translation import shape_from_metadata
from mmpredict.models.quantization.file_types import file_type
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.models.shape import Shape
from mmpredict.models.spec import ModelSpec, Tensor

OLLAMA, LLAMA_SERVER = "Ollama's /api/show", "llama-server's /props"
KEPT_LIST_LENGTH = 512
SAME_SIZE = 0.02  # relative
SAME_PARAMETERS = 1e-3  # relative; tables of the rotary encoding are counted by some and not by others
_SHAPING = (  # lists from which sizes follow; Ollama leaves lists out unless asked
    "attention.head_count", "attention.head_count_kv", "feed_forward_length", "expert_feed_forward_length", "expert_used_count",
    "attention.sliding_window_pattern", "attention.recurrent_layers",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What a llama-server says of the model that it serves; 0 and "" stand for what it does not say.

    Attributes:
        path: the file, as the server was given it.
        name: its alias.
        context_tokens: context of one slot [tokens].
        slots: sequences served at a time [1].
        build: version of llama.cpp.
        file_type: as llama.cpp prints it (``Q4_K - Medium``).
        n_params, n_embd, n_vocab: weights, width of the hidden state, tokens [1].
        size_bytes: all tensors [bytes].
    """

    path: str
    name: str
    context_tokens: int
    slots: int
    build: str
    file_type: str = ""
    n_params: int = 0
    n_embd: int = 0
    n_vocab: int = 0
    size_bytes: int = 0


def spec_from_show(answer: object, name: str) -> ModelSpec:
    """Describe the model of an answer of Ollama's ``/api/show``: exactly if it lists tensors, else by llama.cpp's rules.

    Args:
        answer: the parsed JSON.
        name: the model that was asked for.

    Raises:
        InputError: the answer is malformed, or of a model that Ollama does not run itself.
        FileFormatError: a hyperparameter is missing or impossible.
        UnknownNameError: no tensors are listed, and nothing is known of the architecture or the quantization.
    """
    show = parsed(Show, answer, OLLAMA)
    if show.remote_host:
        raise InputError(f"{name} runs at {show.remote_host!r:.200}, not on this machine; there is nothing to predict")
    if show.details.format not in ("", "gguf"):
        raise InputError(f"{name} is stored as {show.details.format!r}; only models in GGUF can be described")
    metadata = {key: value for key, raw in show.model_info.items() if (value := _value(raw)) is not None}
    lacking = [key for key, raw in show.model_info.items() if raw in (None, []) and key.partition(".")[2] in _SHAPING]
    if lacking:
        raise InputError(f'{OLLAMA} leaves out {", ".join(lacking)} of {name}; ask for it with "verbose": true')
    tensors = tuple(_tensor(listed, name) for listed in show.tensors or ())
    shape = shape_from_metadata(metadata, tensors, name, OLLAMA)
    if not tensors:
        return _by_rules(shape, show.details.quantization_level, metadata.get("general.parameter_count"), name)
    merges = metadata.get("tokenizer.ggml.merges")
    n_merges = merges.length if isinstance(merges, LongArray) else 0
    return ModelSpec(name, shape, tensors, source=OLLAMA, n_merges=n_merges, doubts=doubts(metadata, shape, tensors))


def served_model(props: object, models: object | None = None) -> ServedModel:
    """What llama-server's ``/props`` says, completed by ``/v1/models`` if that is given.

    Raises:
        InputError: an answer is malformed, or of a router, which serves no model itself.
    """
    said = parsed(Props, props, LLAMA_SERVER)
    if said.role == "router":
        raise InputError("this llama-server is a router and serves no model itself; ask it for /props?model=NAME")
    meta = Meta()
    if models is not None:
        listed = parsed(Models, models, "llama-server's /v1/models").data
        own = [model for model in listed if model.id in (said.model_alias, said.model_path)] or listed[:1]
        meta = next((model.meta for model in own if model.meta is not None), meta)
    return ServedModel(
        path=said.model_path,
        name=said.model_alias or Path(said.model_path).stem,
        context_tokens=said.default_generation_settings.n_ctx,
        slots=said.total_slots,
        build=said.build_info,
        file_type=said.model_ftype or meta.ftype,
        n_params=meta.n_params,
        n_embd=meta.n_embd,
        n_vocab=meta.n_vocab,
        size_bytes=meta.size,
    )


def spec_of_served(served: ServedModel) -> ModelSpec:
    """Describe a served model: exactly from its file if that is here, else from the catalog by its number of weights.

    Raises:
        InputError: the file is not here, and the server does not say enough.
        UnknownNameError: its quantization is not known.
    """
    local = _local_spec(served)
    if local is not None:
        return replace(local, name=served.name)
    if not served.n_params:
        raise InputError(
            f"{served.path!r:.200} is not a file of this machine, and its number of weights is not known; give /v1/models too"
        )
    fitting = [shape for shape in CATALOG.values() if _fits(shape, served)]
    if not fitting:
        raise InputError(
            f"no model of the catalog has {served.n_params} weights, a width of {served.n_embd} and {served.n_vocab} tokens, as "
            f"{served.name!r:.200} has; give its GGUF file (its header is enough; mmpredict models list shows what is known)"
        )
    best = max(fitting, key=lambda shape: (_likeness(shape.name, served.name), _likeness(shape.name, served.path)))
    spec = catalog_spec(best.name, served.file_type)
    found = [f"taken for {best.name} because of its {served.n_params} weights"]
    if served.size_bytes and abs(spec.weight_bytes - served.size_bytes) > SAME_SIZE * served.size_bytes:
        found.append(f"its tensors take {served.size_bytes} bytes, those of {spec.name} {spec.weight_bytes}")
    return replace(spec, name=served.name, source=LLAMA_SERVER, doubts=(*spec.doubts, *found))


def _value(raw: object) -> Value | None:
    """A JSON value as GGUF would have it; objects, and lists of lists, are none."""
    if isinstance(raw, list):
        kept = tuple(scalar for element in raw if (scalar := _scalar(element)) is not None)
        if len(kept) != len(raw):
            return None
        return kept if len(raw) <= KEPT_LIST_LENGTH else LongArray(len(raw))
    return _scalar(raw)


def _scalar(raw: object) -> Scalar | None:
    if isinstance(raw, float) and raw.is_integer():
        return int(raw)
    return raw if isinstance(raw, bool | int | float | str) else None


def _tensor(listed: ShownTensor, name: str) -> Tensor:
    tensor = Tensor(listed.name, tuple(listed.shape), weight_type(listed.type))
    if tensor.weights > MAX_WEIGHTS or listed.shape[0] % tensor.type.block_weights:
        raise InputError(f"{OLLAMA} lists {listed.name!r:.200} of {name} as {listed.type} of the impossible shape {tensor.shape}")
    return tensor


def _by_rules(shape: Shape, quantization: str, parameters: Value | None, name: str) -> ModelSpec:
    """The tensors that the architecture and the quantization lead to; the number of weights tells whether the output is tied."""
    _check_complete(shape, name)
    kind, candidates = file_type(quantization), [replace(shape, tied=tied) for tied in (False, True)]
    specs = [spec_of(candidate, kind.name, "llama.cpp-2025") for candidate in candidates]
    fitting = [spec for spec in specs if isinstance(parameters, int) and _near(spec.parameters, parameters, SAME_PARAMETERS)]
    said = "its tensors are not listed; those of the architecture and llama.cpp's rules are assumed"
    if not fitting:
        said += f", {specs[0].parameters} weights where it has {parameters}"
    return replace((fitting or specs)[0], name=name, source=OLLAMA, doubts=(said,))


def _check_complete(shape: Shape, name: str) -> None:
    """Complain unless the hyperparameters are there from which an architecture's tensors follow."""
    state = shape.recurrent
    needed = {
        "vocab_size": shape.n_vocab > 0,
        "expert_count": shape.experts is not None or shape.architecture not in ("gpt-oss", "qwen3moe", "qwen2moe"),
        "attention.key_length_mla": shape.latent is not None or shape.architecture != "deepseek2",
        "ssm.group_count": state is None or shape.architecture in ("lfm2", "lfm2moe") or state.groups > 0,
        "ssm.time_step_rank": state is None or shape.architecture in ("lfm2", "lfm2moe") or state.heads > 0,
        "ssm.inner_size": state is not None or shape.architecture not in HYBRID,
    }
    lacking = [f"{shape.architecture}.{key}" for key, there in needed.items() if not there]
    if lacking:
        raise InputError(f'{OLLAMA} does not list the tensors of {name}, and lacks {", ".join(lacking)}; ask with "verbose": true')


def _local_spec(served: ServedModel) -> ModelSpec | None:
    """The model of the file that the server names, if that is on this machine and is the same."""
    path = Path(served.path)
    if not path.is_absolute() or path.suffix.lower() != ".gguf":  # a relative path is meant from the server's directory
        return None
    try:
        spec = spec_from_gguf(path)
    except MmpredictError:
        return None
    same_weights = not served.n_params or spec.parameters == served.n_params
    return spec if same_weights and (not served.size_bytes or _near(spec.weight_bytes, served.size_bytes, SAME_SIZE)) else None


def _fits(shape: Shape, served: ServedModel) -> bool:
    if served.n_vocab and shape.n_vocab != served.n_vocab:
        return False
    if served.n_embd and served.n_embd % shape.n_embd:  # models that see get several widths at once
        return False
    parameters = sum(prod(extents) for _, extents in tensor_shapes(shape))
    return _near(parameters, served.n_params, SAME_PARAMETERS)


def _near(one: int, other: int, tolerance: float) -> bool:
    return abs(one - other) <= tolerance * other


def _likeness(known: str, given: str) -> float:
    return SequenceMatcher(None, known.lower(), Path(given).stem.lower()).ratio()
