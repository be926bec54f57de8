"""Models that a running server describes, where a model's name is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmpredict.models.spec import ModelSpec


def model_of(name: str) -> str | ModelSpec:
    """The name as it is, or what the running server that it stands for says of its model.

    Raises:
        EngineError: no server answers as it should.
        InputError: the answer cannot be used.
    """
    from mmpredict.live.describe import describe, is_served

    return describe(name) if is_served(name) else name
