"""A pool of models within a budget of memory.

A model that is there is used at once; another is loaded, one at a time, after idle models were evicted, the one used longest ago
first, until it fits. What serves requests is never evicted, so that a model which always has some can keep another waiting. A model
that is larger than the budget is refused.
"""

from __future__ import annotations

from mmpredict.simulation.fronts.keeper import Keeper
from mmpredict.simulation.fronts.setting import Setting
from mmpredict.simulation.policies.shelf import Budget
from mmpredict.simulation.serving import PoolServing


def pool(setting: Setting) -> Keeper:
    """The front of a plan that is served by ``PoolServing``."""
    options = setting.plan.serving
    assert isinstance(options, PoolServing)
    return Keeper(setting, Budget(options.budget_bytes or setting.site.usable_bytes), options.unload_s)
