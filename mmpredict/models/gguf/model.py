"""Models in GGUF files, in one or in several parts.

Parts: llama.cpp ``src/llama-model-loader.cpp``, ``llama_split_path`` in ``src/llama.cpp``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmpredict.errors import FileFormatError, InputError
from mmpredict.models.gguf.header import GgufHeader, read_header
from mmpredict.models.metadata.doubts import doubts
from mmpredict.models.metadata.keys import LongArray, Value
from mmpredict.models.metadata.translation import shape_from_metadata
from mmpredict.models.spec import ModelSpec, Tensor

MAX_PARTS = 1024  # the largest published models have about 200
_PART_NAME = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
_NUMBER, _COUNT, _TENSORS = "split.no", "split.count", "split.tensors.count"
_OTHER_KINDS = {
    "adapter": "an adapter, which is loaded onto a model",
    "imatrix": "an importance matrix, from which models are quantized",
    "vocab": "a vocabulary",
}
SOURCE = "GGUF header"


@dataclass(frozen=True, slots=True)
class Parts:
    """The files of one model, first part first; most models are in one."""

    paths: tuple[Path, ...]
    headers: tuple[GgufHeader, ...]

    @property
    def metadata(self) -> dict[str, Value]:
        """Keys and values; those of the model are in the first part."""
        return self.headers[0].metadata

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Tensors of all parts."""
        return tuple(tensor for header in self.headers for tensor in header.tensors)

    @property
    def file_bytes(self) -> int:
        """All files together [bytes]."""
        return sum(header.file_bytes for header in self.headers)


def spec_from_gguf(path: Path) -> ModelSpec:
    """Describe the model in a GGUF file, or in several of which ``path`` is any; its path is then that of the first.

    Raises:
        InputError: there is no readable file at ``path``, or a part of the model is missing.
        FileFormatError: a file cannot be read, or they hold no complete model.
    """
    parts = read_parts(path)
    first = parts.paths[0]
    kind = parts.metadata.get("general.type")
    if isinstance(kind, str) and kind in _OTHER_KINDS:
        raise FileFormatError(f"{path} cannot be used as a model: it is {_OTHER_KINDS[kind]}")
    named = _PART_NAME.fullmatch(first.name)
    name = named["stem"] if named and len(parts.paths) > 1 else first.stem
    tensors = parts.tensors
    if not tensors:
        raise FileFormatError(f"{path} cannot be used as a model: it holds no tensors, only a vocabulary or settings")
    shape = shape_from_metadata(parts.metadata, tensors, name, SOURCE, complain_about=str(path))
    return ModelSpec(
        name=name,
        shape=shape,
        tensors=tensors,
        metadata_bytes=parts.file_bytes - sum(tensor.size_bytes for tensor in tensors),
        path=first,
        source=SOURCE,
        n_merges=_length(parts.metadata.get("tokenizer.ggml.merges")),
        doubts=doubts(parts.metadata, shape, tensors),
    )


def read_parts(path: Path) -> Parts:
    """Read the header of a GGUF file, and of the other parts beside it if it is one of several.

    Raises:
        InputError: a file is missing or cannot be read.
        FileFormatError: a file is damaged, or the parts do not belong together.
    """
    header = read_header(path)
    count = _whole(path, header, _COUNT, 0)
    if count <= 1:
        return Parts((path,), (header,))
    if count > MAX_PARTS:
        raise FileFormatError(f"{path} is damaged: it claims to be one of {count} parts; at most {MAX_PARTS} are plausible")
    own_number = _whole(path, header, _NUMBER, -1)
    named = _PART_NAME.fullmatch(path.name)
    if named is None or int(named["number"]) != own_number + 1 or int(named["count"]) != count:
        expected = f"NAME-{own_number + 1:05d}-of-{count:05d}.gguf"
        raise FileFormatError(f"{path} is part {own_number + 1} of {count}; call it {expected}, or its other parts are not found")
    paths = tuple(path.with_name(f"{named['stem']}-{number:05d}-of-{count:05d}{path.suffix}") for number in range(1, count + 1))
    missing = [other.name for other in paths if other != path and not other.is_file()]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise InputError(f"{path} is one of {count} parts; missing beside it: {', '.join(missing[:3])}{more}")
    headers = tuple(header if other == path else read_header(other) for other in paths)
    _check_parts(paths, headers)
    return Parts(paths, headers)


def _check_parts(paths: Sequence[Path], headers: Sequence[GgufHeader]) -> None:
    """Complain unless the parts belong together and hold every tensor once."""
    total = _whole(paths[0], headers[0], _TENSORS, -1)
    names: set[str] = set()
    for index, (path, header) in enumerate(zip(paths, headers, strict=True)):
        for key, expected in ((_NUMBER, index), (_COUNT, len(paths)), (_TENSORS, total)):
            if (found := _whole(path, header, key, -1)) != expected:
                raise FileFormatError(f"{path} does not belong to {paths[0]}: its key {key!r} is {found} instead of {expected}")
        for tensor in header.tensors:
            if tensor.name in names:
                raise FileFormatError(f"{path} does not belong to {paths[0]}: tensor {tensor.name!r:.80} is in two parts")
            names.add(tensor.name)
    if len(names) != total:
        raise FileFormatError(f"{paths[0]} and its other parts hold {len(names)} tensors instead of {total}")


def _whole(path: Path, header: GgufHeader, key: str, default: int) -> int:
    value = header.metadata.get(key, default)
    if type(value) is not int:
        raise FileFormatError(f"{path} is damaged: its key {key!r} is {value!r:.80}; expected a whole number")
    return value


def _length(value: Value | None) -> int:
    return value.length if isinstance(value, LongArray) else len(value) if isinstance(value, tuple) else 0
