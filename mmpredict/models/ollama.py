"""Ollama's library: which model, quantization and projector a tag such as ``qwen2.5:7b`` stands for.

A tag is looked up in ``ollama_library.json`` (the library as of 2026), never on the network. Sources: the tags and sizes of
https://ollama.com/library that https://github.com/Jeffser/Alpaca lists (2024 to 2026), Ollama ``types/model/name.go``.
In the table, ``models`` holds the beginnings of tags, ``tags`` whole ones, ``always`` the types kept in every quantization.
What the library does otherwise than its rules say, the table says too: the dense models of ``qwen3`` keep ``attn_v`` in 16 bits
(log in https://github.com/ollama/ollama/issues/14774), and the smallest two repeat the embedding table as output matrix.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.models.catalog import projector_spec, shape, spec_of
from mmpredict.models.quantization.mixture import Rules, file_type
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.models.rows import row
from mmpredict.models.spec import ModelSpec

_LIBRARY = Path(__file__).parent / "ollama_library.json"
_MAX_TAG = 200
_REGISTRY = re.compile(r"^(https?://)?(registry\.ollama\.ai/|ollama\.com/)?(library/)?")
_LATEST = "latest"
_QUANTIZATION = re.compile(r"(?:^|-)(fp16|fp32|bf16|f16|f32|mxfp4|i?q\d_\d|i?q\d_k(?:_[a-z]+)?|iq\d_[a-z]+)$")
_VARIANT_WORDS = ("instruct", "chat", "text", "it", "base", "code", "python")
_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class OllamaModel:
    """What a tag stands for.

    Attributes:
        tag: the tag in full, lower case (``qwen2.5:7b``).
        name: the model's name in the catalog.
        quantization: file type of its weights.
        rules: whose rules gave each tensor its type.
        precise: parts of tensors' names, and the float types that these tensors kept.
        copied_output: whether the file repeats a tied embedding table as output matrix.
        tokenizer: tokenizer of the file where Ollama writes another one than llama.cpp; empty otherwise.
    """

    tag: str
    name: str
    quantization: str
    rules: Rules
    precise: tuple[tuple[str, str], ...] = ()
    copied_output: bool = False
    tokenizer: str = ""

    @property
    def projector(self) -> bool:
        """Whether the model has eyes: a vision transformer in 16 bits, within or beside the file."""
        return projector_spec(self.name) is not None

    def specs(self) -> tuple[ModelSpec, ...]:
        """The language model, and the projector where there is one.

        Raises:
            InputError: no rule makes such a file.
        """
        eyes = projector_spec(self.name)
        return (_text_spec(self),) if eyes is None else (_text_spec(self), eyes)


def resolve_tag(text: str) -> OllamaModel:
    """What a tag of Ollama's library stands for; case, ``library/`` and the registry's name in front do not matter.

    Args:
        text: such as ``llama3.1``, ``qwen2.5:7b-instruct-q8_0``, ``registry.ollama.ai/library/gemma3:4b``.

    Raises:
        UnknownNameError: no such model or tag; the nearest are named.
        InputError: it is no tag of the library.
    """
    asked = text.strip().lower()
    if not asked or len(asked) > _MAX_TAG:
        raise InputError(f"{text[:_MAX_TAG]!r} is no Ollama tag; allowed: MODEL or MODEL:TAG, such as qwen2.5:7b")
    family, _, tag = _REGISTRY.sub("", asked, count=1).partition(":")
    if "/" in family:
        raise InputError(f"{text!r} is not in Ollama's own library, so what it is made of is not known here; give its GGUF file")
    library = _library()
    if family not in library:
        raise UnknownNameError("model of Ollama's library", family, library, "(a GGUF file or a catalog name works too)")
    return _resolved(family, tag or _LATEST, library[family])


def tags_of(name: str) -> tuple[str, ...]:
    """Tags of Ollama's library that stand for a model of the catalog, those that bear its name first, then the shortest."""
    found = []
    for family, entry in _library().items():
        exact = entry.get("tags", {})
        for size, listed in entry["models"].items():
            tag = _LATEST if size == entry["default"] else size
            model = exact.get(tag, listed)
            if (model if isinstance(model, str) else model["model"]) == name:
                alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(family, name, strict=False)))
                text = family if tag == _LATEST else f"{family}:{tag}"
                found.append((not name.startswith(family), -alike, len(tag), text))
    return tuple(tag for *_, tag in sorted(found))


@lru_cache(1)
def _library() -> dict[str, dict[str, Any]]:
    library: dict[str, dict[str, Any]] = json.loads(_LIBRARY.read_bytes())
    return library


def _resolved(family: str, tag: str, entry: dict[str, Any]) -> OllamaModel:
    exact = entry.get("tags", {})
    found = _QUANTIZATION.search(tag) if tag not in entry["models"] else None
    stem = tag[: found.start()] if found else tag
    size, words = (None, ()) if tag in exact else _size(entry, stem)
    if size is None and tag not in exact:
        allowed = [f"{family}:{known}" for known in (_LATEST, *entry["models"])]
        raise UnknownNameError(
            "tag", f"{family}:{tag}", allowed, f"; known: {', '.join(allowed)}, also with -q8_0, -fp16 and so on"
        )
    model = exact[tag] if size is None else entry["models"][size]
    values: dict[str, Any] = {**{key: entry[key] for key in ("quantization", "rules", "tokenizer") if key in entry}}
    values |= {"model": model} if isinstance(model, str) else model
    for word in words:
        values |= entry.get("variants", {}).get(word, {})
    if found and (asked := file_type(found[1]).name) != values["quantization"]:
        values.pop("precise", None)
        values["quantization"] = asked
    name = values["model"]
    return OllamaModel(
        tag=f"{family}:{tag}",
        name=name,
        quantization=values["quantization"],
        rules=values.get("rules") or row(name).rules,
        precise=tuple((values.get("precise", {}) | values.get("always", {})).items()),
        copied_output=values.get("copied_output", False),
        tokenizer=values.get("tokenizer", ""),
    )


def _size(entry: dict[str, Any], stem: str) -> tuple[str | None, tuple[str, ...]]:
    """Which of a family's models the beginning of a tag names, and the words after it (``instruct``, ``it``, ``qat``)."""
    if stem in (_LATEST, ""):
        return entry["default"], ()
    fitting = [size for size in entry["models"] if stem == size or stem.startswith(f"{size}-")]
    if fitting:
        size = max(fitting, key=len)
        return size, tuple(stem[len(size) + 1 :].split("-"))
    return (entry["default"], (stem,)) if stem in _VARIANT_WORDS else (None, ())


@lru_cache(_REMEMBERED)
def _text_spec(model: OllamaModel) -> ModelSpec:
    known, listed = row(model.name), shape(model.name)
    if model.copied_output:
        listed = replace(listed, tied=False)
    spec = spec_of(listed, model.quantization, model.rules, tokenizer=model.tokenizer or known.tokenizer, quantized=known.quantized)
    tensors = spec.tensors
    for part, kept in model.precise:
        precise = weight_type(kept)
        tensors = tuple(replace(tensor, type=precise) if f"{part}.weight" in tensor.name else tensor for tensor in tensors)
    return replace(spec, name=model.tag, tensors=tensors, source=f"https://ollama.com/library, {known.source}")
