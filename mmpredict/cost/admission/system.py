"""The operating system's limit: what happens when memory is needed that is not there."""

from __future__ import annotations

from typing import Literal

Outcome = Literal["fits", "reads again", "swaps", "killed"]


def outcome(needed_bytes: float, reclaimable_bytes: float, usable_bytes: float, swap_bytes: float) -> Outcome:
    """What becomes of processes that need so much of the system's memory.

    Pages of files can be dropped and are read again when they are next needed; everything else can only go to swap.

    Args:
        needed_bytes: in all [bytes].
        reclaimable_bytes: of that, pages of mapped files [bytes].
        usable_bytes: that there is for them [bytes].
        swap_bytes: size of the swap devices [bytes].

    Returns:
        ``fits``; ``reads again`` when mapped weights must give way to the rest; ``swaps`` when even without them memory does not
        suffice; ``killed`` when swap does not suffice either.
    """
    if needed_bytes <= usable_bytes:
        return "fits"
    own = needed_bytes - reclaimable_bytes
    if own <= usable_bytes:
        return "reads again"
    return "swaps" if own <= usable_bytes + swap_bytes else "killed"
