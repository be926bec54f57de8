"""``[server]``."""

from __future__ import annotations

from mmpredict.scenario.strict import Strict
from mmpredict.simulation.plan import (
    DEFAULT_BATCH_TOKENS,
    DEFAULT_CONTEXT_TOKENS,
    DEFAULT_SLOTS,
    DEFAULT_UBATCH_TOKENS,
)


class ServerSection(Strict):
    """``[server]``: options of every server (see ``InstancePlan``)."""

    context_tokens: int = DEFAULT_CONTEXT_TOKENS
    slots: int = DEFAULT_SLOTS
    batch_tokens: int = DEFAULT_BATCH_TOKENS
    ubatch_tokens: int = DEFAULT_UBATCH_TOKENS
