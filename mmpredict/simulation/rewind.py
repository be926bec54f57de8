"""How much of what a slot holds can be continued, by the rules of llama-server without checkpoints."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mmpredict.models.cache import CacheOptions, local_cells
from mmpredict.models.shape import Shape


@dataclass(frozen=True, slots=True)
class Rewind:
    """What a cache lets a server go back to (``tools/server/server-context.cpp``, builds of 2026).

    The server begins anew where the oldest cell of the sequence is not older than the window before the first new token; where no
    more than a window is shared that is always so.

    Attributes:
        recurrent: whether layers have a state, which is that of the last token alone.
        window: of local attention; 0 for none [tokens].
        window_cells: that a local layer keeps [tokens].
    """

    recurrent: bool = False
    window: int = 0
    window_cells: float = math.inf

    def reusable(self, shared: int, cells: int) -> int:
        """Tokens that need not be evaluated again, of ``shared`` ones at the beginning of the ``cells`` that a slot holds."""
        if self.recurrent and shared < cells:
            return 0
        if self.window and max(0.0, cells - self.window_cells) >= max(0, shared - self.window):
            return 0
        return shared


def rewind_of(shape: Shape, options: CacheOptions) -> Rewind:
    """What the cache of a model lets a server go back to."""
    window = shape.window.tokens if shape.window is not None else 0
    return Rewind(shape.recurrent is not None, window, local_cells(window, options))
