"""``[recommend]``: what a plan is to be chosen for, and what it must keep to."""

from __future__ import annotations

from pydantic import Field

from mmpredict.scenario.strict import Strict


class RecommendSection(Strict):
    """What ``mmpredict recommend`` is asked; options of the command and arguments of the function go before.

    Attributes:
        goal: one of ``planning.goals.GOALS``.
        max_memory: of all servers together, a number of bytes or a size (``5GiB``); what the machine lets models use if not given.
        max_cores: threads that may work at the same time [1].
        objectives: limits on times, as ``chat:ttft_p95=2s``.
        resident: models that must stay loaded.
        deadlines_met: least part of the requests with a deadline that must meet it [1].
        quantizations: file types that all models may have instead of their own.
        families: of plans, of ``planning.space.FAMILIES``.
        thorough: whether slots, contexts, keep-alives and divided layers are varied too.
    """

    goal: str = "makespan"
    max_memory: str | float | None = None
    max_cores: int | None = Field(default=None, ge=1, le=1024)
    objectives: tuple[str, ...] = ()
    resident: tuple[str, ...] = ()
    deadlines_met: float = Field(default=0.0, ge=0.0, le=1.0)
    quantizations: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    thorough: bool = False
