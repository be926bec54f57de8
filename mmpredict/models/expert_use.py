"""Which experts the tokens of a batch touch."""

from __future__ import annotations

import math

from mmpredict.models.shape import Experts

EVENNESS = 0.5
"""How evenly tokens use experts: shape of the distribution of an expert's share [1]; 1 ÷ its squared coefficient of variation.

Uneven use is what routers show (all experts alike would be an infinite shape). Chosen by batched decoding in published runs with
two backends: 0.4 and 0.5 are equally good, 0.7 and above worse (docs/design.md)."""


def touched_share(experts: Experts | None, tokens: float) -> float:
    """Expected share of a layer's experts that a batch touches [1]; 1 without experts.

    The share of tokens that an expert gets is beta-distributed with mean ``k/E`` and shape ``a = EVENNESS``; with
    ``b = a (E/k − 1)``::

        1 − Γ(b + n) Γ(a + b) / (Γ(b) Γ(a + b + n))

    which is ``k/E`` for one token, and tends to ``1 − (1 − k/E)^n`` for even use.

    Args:
        experts: how many there are, and how many a token passes.
        tokens: of the batch [tokens].
    """
    if experts is None or experts.used >= experts.total:
        return 1.0
    seldom = EVENNESS * (experts.total / experts.used - 1.0)
    both = EVENNESS + seldom
    return 1.0 - math.exp(math.lgamma(seldom + tokens) + math.lgamma(both) - math.lgamma(seldom) - math.lgamma(both + tokens))
