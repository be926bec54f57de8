"""The fronts by the rules that plans name. Adding one is one file, its options and one line here."""

from __future__ import annotations

from collections.abc import Callable

from mmpredict.simulation.fronts.front import Front
from mmpredict.simulation.fronts.llama_swap import LlamaSwap
from mmpredict.simulation.fronts.ollama import Ollama
from mmpredict.simulation.fronts.pool import pool
from mmpredict.simulation.fronts.router import Router
from mmpredict.simulation.fronts.setting import Setting
from mmpredict.simulation.fronts.stages import Stages
from mmpredict.simulation.fronts.swap_server import swap_server

FRONTS: dict[str, Callable[[Setting], Front]] = {
    "stages": Stages,
    "ollama": Ollama,
    "llama-server-router": Router,
    "llama-swap": LlamaSwap,
    "pool": pool,
    "swap": swap_server,
}
