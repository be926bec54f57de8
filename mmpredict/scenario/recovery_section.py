"""``[recovery]``: what a real run does with requests that fail."""

from __future__ import annotations

from pydantic import Field

from mmpredict.scenario.strict import Strict
from mmpredict.simulation.policies.recovery import PASSING, Recovery


class RecoverySection(Strict):
    """``[recovery]`` (see ``Recovery``); without it a request that fails stays failed."""

    retries: int = 0
    backoff_s: float = 0.5
    backoff_factor: float = 2.0
    retry_on: tuple[str, ...] = PASSING
    fallback: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    smaller: bool = False

    @property
    def active(self) -> bool:
        """Whether it asks for anything."""
        return self.recovery().active

    def recovery(self) -> Recovery:
        """The rules.

        Raises:
            InputError: a number is out of range, or a class of failure unknown.
        """
        return Recovery(**self.model_dump())
