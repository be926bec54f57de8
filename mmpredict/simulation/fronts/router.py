"""llama-server's router mode: a child per model, by number only (``tools/server/server-models.cpp``, commit 0c1e57098).

- Requests for a loaded model are sent to it at once; others wait in one queue, in which those of one model stand together.
- Only the head may begin a load. When there are as many models as allowed, the idle one used longest ago goes, unless somebody
  waits for it; a busy one never does. The head then leaves the queue, so that the load of the next may begin meanwhile.
- Those that wait look every 200 ms. Memory is not looked at.
- An idle model may be put to sleep: its memory is freed, it still counts, and the next request loads it again.

Left out: a child's ``--fit``, which makes contexts smaller and layers stay with the CPU where memory is short.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from mmpredict.simulation.fleet import Instance
from mmpredict.simulation.fronts.keeper import Keeper
from mmpredict.simulation.fronts.setting import Setting
from mmpredict.simulation.job import Job
from mmpredict.simulation.policies.shelf import Counted
from mmpredict.simulation.serving import RouterServing

POLL_S = 0.2


class Router(Keeper):
    """See the module.

    Args:
        setting: the run; its plan is served by ``RouterServing``.
    """

    def __init__(self, setting: Setting) -> None:
        options = setting.plan.serving
        assert isinstance(options, RouterServing)
        super().__init__(setting, Counted(options.models_max), options.stop_s, POLL_S)
        self._sleep_s = options.sleep_idle_s
        self._asleep: set[str] = set()
        self._sent: Counter[str] = Counter()

    def arrive(self, job: Job) -> None:
        """See ``Front``."""
        name = self._desk.take(job)
        self._sent[name] += 1
        if name in self._asleep:
            self._asleep.remove(name)
            self._load(name, [job])
        else:
            super().arrive(job)

    def finished(self, job: Job, instance: Instance) -> None:
        """See ``Front``."""
        super().finished(job, instance)
        name = instance.plan.name
        if self._sleep_s >= 0 and not instance.in_flight:
            mark = self._sent[name]
            self._env.timeout(self._sleep_s).callbacks.append(lambda _: self._sleep(name, mark))

    def _sleep(self, name: str, mark: int) -> None:
        if self._sent[name] == mark and self._is_ready(name) and not self._desk.closed:
            self._asleep.add(name)
            self._desk.fleet.unload(name, cause="sleep")

    def _unload(self, name: str, cause: str) -> Any:
        if name in self._asleep:
            self._asleep.remove(name)  # only the empty process goes
            return self._env.timeout(self._unload_s)
        return super()._unload(name, cause)
