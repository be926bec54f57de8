"""A server with one active model, which is exchanged when a request asks for another.

Requests are taken strictly in their order; an exchange waits until the active model has answered all that it was sent. Memory is
not looked at: a model that is larger than it is swapped, or fails.
"""

from __future__ import annotations

from mmpredict.simulation.fronts.keeper import Keeper
from mmpredict.simulation.fronts.setting import Setting
from mmpredict.simulation.policies.shelf import Single
from mmpredict.simulation.serving import SwapServing


def swap_server(setting: Setting) -> Keeper:
    """The front of a plan that is served by ``SwapServing``."""
    options = setting.plan.serving
    assert isinstance(options, SwapServing)
    return Keeper(setting, Single(), options.unload_s)
