"""What a stage needs is added up exactly, and a stage that is too large is refused by name."""

from __future__ import annotations

import pytest

from mmpredict.cost.placement import repacked_bytes
from mmpredict.errors import DoesNotFitError
from mmpredict.models.cache import CacheOptions, cache_bytes
from mmpredict.models.resolve import resolve
from mmpredict.simulation.residency import check_memory, largest_private_bytes
from mmpredict.strategy.table import make_plan

MODELS = ("synthetic:smollm2-135m@q8_0", "synthetic:qwen2.5-0.5b@q4_0")
SPECS = {name: resolve(name) for name in MODELS}


def private_bytes(name: str) -> int:
    return repacked_bytes(SPECS[name]) + cache_bytes(SPECS[name].shape, CacheOptions(4096, 4, 512))


@pytest.mark.parametrize(("strategy", "together"), [("parallel", True), ("sequential", False)])
def test_stages_hold_what_is_resident_together(strategy: str, together: bool) -> None:
    plan = make_plan(strategy, MODELS, 2)
    each = [private_bytes(name) for name in MODELS]
    totals = [private + SPECS[name].weight_bytes for private, name in zip(each, MODELS, strict=True)]
    assert largest_private_bytes(plan, SPECS) == (sum(each) if together else max(each))
    needed = sum(totals) if together else max(totals)
    check_memory(plan, SPECS, needed)
    with pytest.raises(DoesNotFitError, match=strategy):
        check_memory(plan, SPECS, needed - 1)
