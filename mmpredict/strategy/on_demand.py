"""Servers that are loaded when they are asked for: a plan by the rules of a program, and its options as a file spells them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.simulation.plan import DEFAULT_PROMPT_STORE_BYTES, Plan, Stage
from mmpredict.simulation.serving import SERVINGS, Group, OllamaServing, Serving
from mmpredict.strategy.options import ServerOptions, require_models
from mmpredict.units import parse_bytes, parse_duration

_SUFFIXES: dict[str, Callable[[str], float]] = {"_s": parse_duration, "_bytes": parse_bytes}
_WHOLE = re.compile(r"[+-]?[0-9]+")


def on_demand(models: Sequence[str], cores: int, options: ServerOptions, serving: Serving) -> Plan:
    """Plan of servers at their default of as many threads as cores, which ``serving`` loads and unloads.

    They are llama-servers whose store of prompts in main memory nobody has turned off. Ollama gives each model ``num_parallel``
    slots, each of them the whole context, and logical batches of one physical one.

    Args:
        models: names.
        cores: of the machine [1].
        options: of every server; for Ollama ``context_tokens`` is the context of a slot.
        serving: the program's rules and options.
    """
    names = require_models(models)
    instances = [replace(options.instance(model, cores), prompt_store_bytes=DEFAULT_PROMPT_STORE_BYTES) for model in names]
    if isinstance(serving, OllamaServing):
        slots = serving.num_parallel
        instances = [
            replace(one, context_tokens=slots * one.context_tokens, slots=slots, batch_tokens=one.ubatch_tokens, unified=False)
            for one in instances
        ]
    return Plan(serving.rules, tuple(instances), (Stage(names),), serving)


def serving_from(options: Mapping[str, Any]) -> Serving:
    """Read rules and options, as a ``[serving]`` table has them.

    Times and sizes can be given as numbers (``keep_alive_s = 300``, ``budget_bytes = 5e9``) or with their units
    (``keep_alive = "5m"``, ``budget = "5GB"``).

    Args:
        options: ``rules``, and options of their class in ``simulation.serving``.

    Raises:
        UnknownNameError: no such rules.
        InputError: an option is unknown, of the wrong type, or out of range.
    """
    rules = options.get("rules")
    if not isinstance(rules, str) or rules not in SERVINGS:
        raise UnknownNameError("serving rules", str(rules), SERVINGS)
    kind = SERVINGS[rules]
    defaults = {field.name: getattr(kind(), field.name) for field in fields(kind) if field.init}
    found: dict[str, Any] = {}
    for key, value in options.items():
        if key == "rules":
            continue
        name, read = _field(key, defaults, rules)
        if name in found:
            raise InputError(f"serving: {name} is given twice; leave one of them out")
        found[name] = read(value)
    return kind(**found)


def _field(key: str, defaults: Mapping[str, Any], rules: str) -> tuple[str, Callable[[Any], Any]]:
    """The field that a key means, and how its value is read."""
    for suffix, parse in _SUFFIXES.items():
        if f"{key}{suffix}" in defaults:
            return f"{key}{suffix}", partial(_quantity, key, parse)
    if key not in defaults:
        known = sorted({*defaults, *(name.removesuffix("_s").removesuffix("_bytes") for name in defaults)})
        near = difflib.get_close_matches(key, known, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(known)}"
        raise InputError(f"serving: unknown option {key!r} of {rules}; {advice}")
    if key == "groups":
        return key, _groups
    default = defaults[key]
    if isinstance(default, Mapping):
        return key, lambda value: _table(key, value, int if key == "priorities" else str)
    return key, lambda value: _plain(key, value, type(default))


def _quantity(key: str, parse: Callable[[str], float], value: Any) -> float:
    if isinstance(value, str) and not _WHOLE.fullmatch(value.strip()):
        return parse(value)
    return float(_plain(key, float(value) if isinstance(value, str) else value, float))


def _plain(key: str, value: Any, kind: type) -> Any:
    fits = isinstance(value, (int, float) if kind is float else kind) and (kind is bool or not isinstance(value, bool))
    if not fits:
        wanted = {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false"}[kind.__name__]
        raise InputError(f"serving: {key} is {value!r}; it must be {wanted}")
    return value


def _table(key: str, value: Any, kind: type) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"serving: {key} is {value!r}; it must be a table: model = value")
    return {str(name): _plain(f"{key}.{name}", one, kind) for name, one in value.items()}


def _groups(value: Any) -> dict[str, Group]:
    if not isinstance(value, Mapping):
        raise InputError(f"serving: groups is {value!r}; it must be a table of groups, each with members")
    return {str(name): _group(f"groups.{name}", one) for name, one in value.items()}


def _group(where: str, value: Any) -> Group:
    if not isinstance(value, Mapping) or not isinstance(value.get("members"), (list, tuple)):
        raise InputError(f"serving: {where} has no members; give members = [names of models]")
    allowed = [field.name for field in fields(Group)]
    unknown = sorted(set(value) - set(allowed))
    if unknown:
        raise InputError(f"serving: unknown option {where}.{unknown[0]}; allowed: {', '.join(allowed)}")
    flags = {name: _plain(f"{where}.{name}", one, bool) for name, one in value.items() if name != "members"}
    return Group(tuple(_plain(f"{where}.members", one, str) for one in value["members"]), **flags)
