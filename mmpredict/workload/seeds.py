"""Random numbers of a workload: a stream of its own for everything that is drawn.

A stream depends on the seed and the name of what is drawn alone, so that other prompt lengths leave the arrivals as they were.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from mmpredict.errors import InputError

if TYPE_CHECKING:
    import numpy as np

MAX_SEED = 2**63 - 1


def generator(seed: int, name: str) -> np.random.Generator:
    """The stream of one name.

    Raises:
        InputError: the seed is negative or too large.
    """
    if not 0 <= seed <= MAX_SEED:
        raise InputError(f"seed is {seed}; it must be between 0 and {MAX_SEED}")
    from numpy.random import default_rng  # not before something is drawn: reading a scenario stays quick

    return default_rng([seed, int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")])


def fraction(seed: int, name: str) -> float:
    """One number of a name without a stream, between 0 and 1, evenly distributed [1]."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8, key=seed.to_bytes(8, "little")).digest()
    return (int.from_bytes(digest, "little") >> 11) / 2**53  # as many bits as a float has: never rounded up to 1
