"""From a model as benchmark programs print it to a model of the catalog and the type of its file.

Three things are printed: the name of a file (``Qwen2.5-7B-Instruct-Q4_K_M.gguf``) or of the model in it (``Qwen2.5 7B Instruct``),
a tag of Ollama (``qwen2.5:7b``), and what llama-bench says of a file: architecture, a class of sizes and the type
(``qwen2 7B Q4_K - Medium``), beside the number of parameters. Models of one architecture and size are equal for cost, so a
fine-tune that the catalog does not have is found by what it was made from.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.models.architectures import tensor_shapes
from mmpredict.models.catalog import CATALOG, canonical, row
from mmpredict.models.ollama import resolve_tag
from mmpredict.models.quantization.file_types import file_type
from mmpredict.models.quantization.resized import base_type
from mmpredict.models.resolve import GGUF_SUFFIX
from mmpredict.models.rows import raw_rows

REMEDY = "name it with --model (mmpredict models list)"
CLOSE_FRAC = 0.015
"""Numbers of parameters that differ by less are of the same shape: they are printed with three digits."""

_PROBE = "probe-"  # shapes of no real model
_SYNTHETIC = "synthetic:"
_MAX_NAME = 300
_PART = re.compile(r"-\d{5}-of-\d{5}$")
_TYPE = re.compile(
    r"[-._ @](?P<type>(?:ud-)?(?:(?:i|t)?q\d[0-9a-z_]*|bf16|fp?16|fp?32|mxfp4(?:_moe)?|nvfp4))(?:[-._](?:imat(?:rix)?))?$"
)
_WORDS = re.compile(
    r"(?:^|(?<=-))(?:instruct|chat|it|base|text|thinking|reasoning|hf|gguf|qat|imatrix|abliterated|uncensored|preview)(?:-|$)"
)


@dataclass(frozen=True, slots=True)
class PrintedModel:
    """What was recognised.

    Attributes:
        name: of a model of the catalog, or the path of a GGUF file.
        file_type: as printed (``Q4_K_M``, ``UD-Q4_K_XL``); empty for a GGUF file, which says it itself.
    """

    name: str
    file_type: str


def printed_model(
    model: str | None, file: str | None = None, type_name: str | None = None, parameters: int | None = None, tagged: bool = False
) -> PrintedModel:
    """The model that a program printed.

    Args:
        model: its name, tag, or llama-bench's description.
        file: name of its file, with or without directories; a GGUF file that is here says all itself.
        type_name: type of its file, where that is printed beside.
        parameters: how many it has, where that is printed [1].
        tagged: whether names are tags of Ollama, which say the type too.

    Raises:
        InputError: it cannot be told; the message names the nearest, or what is missing.
    """
    if file and file.lower().endswith(GGUF_SUFFIX) and Path(file).is_absolute() and Path(file).is_file():
        return PrintedModel(file, "")
    stated, problem = _checked_type(type_name), InputError(f"the model is not said; {REMEDY}")
    for text in (file, model):
        if not text or (text is model and parameters and _described(model)):
            continue
        try:
            found = _of_name(text[:_MAX_NAME], tagged)
        except InputError as error:
            problem = error
            continue
        if parameters and not _close(parameters, _parameters(found.name)):
            problem = InputError(
                f"{text[:80]!r} is called like {found.name}, which has {_billions(_parameters(found.name))} parameters, "
                f"not {_billions(parameters)}; {REMEDY}"
            )
            continue
        return _typed(found.name, stated, found.file_type, text)
    described = _described(model)
    if described is None:
        raise problem
    if not parameters:
        raise InputError(f"{model!r:.80} does not say how many parameters it has; {REMEDY}")
    return _typed(_of_shape(described[0], parameters), stated, described[1], model or "")


def chosen_model(name: str, type_name: str | None = None) -> PrintedModel:
    """The model that a person names instead of what was printed.

    Args:
        name: a model of the catalog or a tag of Ollama, both with or without ``@TYPE``, or the path of a GGUF file that is here.
        type_name: type of the file as printed; what the name says comes first.

    Raises:
        InputError: no such model, or nothing says the type.
    """
    if name.lower().endswith(GGUF_SUFFIX) and Path(name).is_file():
        return PrintedModel(name, "")
    asked, at, wanted = name.rpartition("@") if "@" in name else (name, "", "")
    if at:
        file_type(base_type(wanted))
    found = _of_name(asked[:_MAX_NAME], tagged=True)
    return _typed(found.name, _checked_type(wanted or type_name), found.file_type, name)


def _typed(name: str, stated: str, named: str, text: str) -> PrintedModel:
    """A publisher's own mix is known by the name only: what a file says of itself is the type that it began with."""
    kind = named if named.startswith("UD-") or not stated else stated
    kind = kind or row(name).quantized
    if not kind:
        raise InputError(f"{text[:80]!r} does not say how the weights are stored; name it with --model {name}@TYPE")
    return PrintedModel(name, kind)


def _checked_type(name: str | None) -> str:
    """A type that is known; others are as good as none."""
    if not name:
        return ""
    try:
        file_type(base_type(name))
    except InputError:
        return ""
    return name.upper() if name.upper().startswith("UD-") else file_type(base_type(name)).name


def _of_name(text: str, tagged: bool) -> PrintedModel:
    """By the name of a model or file; a publisher in front does not matter."""
    plain = re.split(r"[/\\]", text.strip().removeprefix(_SYNTHETIC))[-1]
    stem, colon, after = plain.partition(":")  # a tag, or hf.co/publisher/model-GGUF:Q4_K_M
    problem: InputError | None = None
    if tagged or colon:
        try:
            tag = resolve_tag(text)
        except InputError as error:
            problem = error if colon else None
        else:
            return PrintedModel(tag.name, tag.quantization)
    stem = _PART.sub("", stem.lower().removesuffix(GGUF_SUFFIX))
    kind = _TYPE.search(stem)
    stem = stem[: kind.start()] if kind else stem
    found = _catalog_name(stem)
    if found is None:
        near = difflib.get_close_matches(stem, [name for name in CATALOG if not name.startswith(_PROBE)], n=3, cutoff=0.5)
        advice = f"did you mean {' or '.join(near)}? " if near else ""
        raise problem or InputError(f"{text[:80]!r} is no model known here; {advice}{REMEDY}")
    return PrintedModel(found, _checked_type(after if colon else kind["type"] if kind else None))


def _catalog_name(stem: str) -> str | None:
    """The catalog's name of a model as files are called; None where there is none."""
    spaced = stem.replace(" ", "-").strip("-._")
    bare = [spaced]
    while "_" in bare[-1]:
        bare.append(bare[-1].partition("_")[2])
    for candidate in (*bare, *(_WORDS.sub("", one).strip("-") for one in bare)):
        try:
            return canonical(candidate) if candidate else None
        except UnknownNameError:
            continue
    return None


def _described(model: str | None) -> tuple[str, str] | None:
    """Architecture and file type of llama-bench's description; None of other texts."""
    words = (model or "")[:_MAX_NAME].split()
    if len(words) < 2 or words[0] != words[0].lower() or not re.match(r"\?|\d", words[1]):
        return None
    for first in range(2, len(words)):
        if kind := _checked_type(" ".join(words[first:])):
            return words[0], kind
    return words[0], ""


def _of_shape(architecture: str, parameters: int) -> str:
    """By architecture and number of parameters; of several with the same shape any, the shortest name."""
    known = _sizes().get(architecture)
    if known is None:
        raise UnknownNameError("architecture", architecture, _sizes(), f"({REMEDY})")
    _, _, name = min((abs(math.log(parameters / count)), len(name), name) for name, count in known.items())
    if not _close(parameters, known[name]):
        raise InputError(
            f"no model known here is a {architecture} with {_billions(parameters)} parameters; "
            f"the nearest is {name} with {_billions(known[name])}; {REMEDY}"
        )
    return name


@lru_cache(1)
def _sizes() -> dict[str, dict[str, int]]:
    """Architecture → model → number of parameters [1]."""
    sizes: dict[str, dict[str, int]] = {}
    for name in raw_rows():
        if name in CATALOG and not name.startswith(_PROBE):
            sizes.setdefault(CATALOG[name].architecture, {})[name] = _parameters(name)
    return sizes


@lru_cache(512)
def _parameters(name: str) -> int:
    return sum(math.prod(extents) for _, extents in tensor_shapes(CATALOG[name]))


def _close(first: int, second: int) -> bool:
    return abs(math.log(first / second)) < CLOSE_FRAC


def _billions(parameters: int) -> str:
    return f"{parameters / 1e9:.3g} B"
