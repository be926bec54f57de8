"""The formats that plans can be exported to, by their short names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mmpredict.errors import UnknownNameError
from mmpredict.models.spec import ModelSpec
from mmpredict.planning.export.llama_server import llama_server
from mmpredict.planning.export.llama_swap import llama_swap
from mmpredict.planning.export.ollama import ollama
from mmpredict.simulation.plan import Plan

Export = Callable[[Plan, Mapping[str, ModelSpec]], dict[str, str]]

FORMATS: dict[str, Export] = {"llama-server": llama_server, "llama-swap": llama_swap, "ollama": ollama}


def exported(plan: Plan, specs: Mapping[str, ModelSpec], name: str) -> dict[str, str]:
    """Configuration files of a plan: name → text.

    Args:
        plan: of any strategy.
        specs: model name → model.
        name: of the format.

    Raises:
        UnknownNameError: no such format.
        InputError: the program cannot do what the plan says.
    """
    if name not in FORMATS:
        raise UnknownNameError("format", name, FORMATS)
    return FORMATS[name](plan, specs)
