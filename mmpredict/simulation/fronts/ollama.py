"""Ollama since v0.30: one loop that loads a model at a time, another that unloads (``server/sched.go`` at commit fb3076099).

- Requests for a loaded model are granted it at once; others wait in one queue, whose head blocks all behind it.
- A model that must go for another is given no more time to live, and goes when it serves nobody: new requests for it are still
  granted, and one that brings a keep-alive of its own keeps it, for ever if it says so: then all that wait starve.
- While a process is killed nothing is granted; while a discrete GPU's memory is awaited after that, no end of a request is noticed.

Left out: a second try after a load that ran out of memory, several GPUs as places to choose from, and clients that go away.
"""

from __future__ import annotations

from collections import deque

from mmpredict.cost.admission import ollama as admission
from mmpredict.errors import InputError
from mmpredict.simulation.fleet import Instance
from mmpredict.simulation.fronts.desk import OUT_OF_MEMORY, QUEUE_FULL, STARVED, Desk
from mmpredict.simulation.fronts.ollama_unloading import Loaded, Unloading
from mmpredict.simulation.fronts.setting import Setting
from mmpredict.simulation.job import Job
from mmpredict.simulation.plan import InstancePlan
from mmpredict.simulation.policies import ollama as policy
from mmpredict.simulation.serving import OllamaServing
from mmpredict.simulation.variants import ollama_variant


class Ollama:
    """See the module.

    Args:
        setting: the run; its plan is served by ``OllamaServing``.

    Raises:
        InputError: an instance has not as many slots as ``num_parallel`` says.
    """

    def __init__(self, setting: Setting) -> None:
        options = setting.plan.serving
        assert isinstance(options, OllamaServing)
        for instance in setting.plan.instances:
            if instance.slots != options.num_parallel:
                raise InputError(
                    f"instance {instance.name!r} has {instance.slots} slots, num_parallel is {options.num_parallel}; "
                    "Ollama gives every model as many slots as that"
                )
        self._options = options
        self._site = setting.site
        self._desk = Desk(setting)
        self._env = setting.env
        self._plans = {one.name: one for one in setting.plan.instances}
        self._most = policy.most_loaded(options.max_loaded_models, setting.site.gpus)
        self._loaded: dict[str, Loaded] = {}
        discrete = setting.site.gpus and not setting.site.integrated
        recovery_s = policy.recovery_wait_s(options.recovery_s) if discrete else 0.0
        self._unloading = Unloading(self._desk, self._loaded, options.kill_s, recovery_s, self._why, self._unloaded)
        self._pending: deque[Job] = deque()
        self._head: Job | None = None
        self._stuck = False  # for ever: the head waits for a model that stays
        self._blocked_by = ""  # what the head waits for
        self._victim = ""  # that the head waits for

    def open(self) -> None:
        """See ``Front``."""

    def close(self) -> None:
        """See ``Front``."""
        self._desk.closed = True
        starved = [] if self._head is None or self._stuck else [self._head]
        self._stuck = self._stuck or bool(starved)
        starved += self._pending
        self._pending.clear()
        for job in starved:
            self._desk.refuse(job, STARVED)

    def arrive(self, job: Job) -> None:
        """See ``Front``."""
        name = self._desk.take(job)
        if self._unloading.killing:
            self._desk.blame((job,), f"unload of {self._unloading.killing}")
        self._unloading.unlocked(lambda: self._look_up(job, name))

    def _look_up(self, job: Job, name: str) -> None:
        loaded = self._loaded.get(name)
        if loaded is not None and not policy.needs_reload(loaded.context_tokens, _context_tokens(self._variant(job))):
            self._grant(job, loaded)
        elif len(self._pending) >= self._options.max_queue:
            self._desk.refuse(job, QUEUE_FULL)
        else:
            self._pending.append(job)
            if self._head is None:
                self._next()
            else:
                self._desk.blame((job,), self._blocked_by)

    def finished(self, job: Job, instance: Instance) -> None:
        """See ``Front``."""
        loaded = self._loaded[job.row.instance]
        loaded.served -= 1
        if loaded.waiting:
            self._serve(loaded.waiting.popleft(), loaded)
        self._unloading.ended(loaded)

    def _next(self) -> None:
        while self._head is None and self._pending:
            self._head = self._pending.popleft()
            self._try()

    def _try(self) -> None:
        """One round of the loop that loads, for the request at the head."""
        job = self._head
        assert job is not None
        variant = self._variant(job)
        loaded = [one.seen() for one in self._loaded.values()]
        step = policy.next_step(variant.name, _context_tokens(variant), loaded, self._most, lambda: self._crowded(variant))
        if step.kind == "grant":
            self._head = None
            self._grant(job, self._loaded[variant.name])
        elif step.kind == "load":
            self._load(job, variant)
        else:
            victim = self._loaded[step.victim]
            victim.keep_alive_s = 0.0
            victim.timer += 1
            self._victim = victim.name
            self._blame(f"unload of {victim.name}" if not victim.requests else f"{victim.name} in use")
            if not victim.requests:
                self._unloading.expire(victim)

    def _load(self, job: Job, variant: InstancePlan) -> None:
        name = variant.name
        self._desk.fleet.change(variant)

        def done(fits: bool) -> None:
            self._head = None
            if fits:
                keep_alive_s = policy.lasting_s(self._options.keep_alive_s)
                rank = policy.rank(variant.model, self._options.digests)
                loaded = Loaded(name, _context_tokens(variant), variant.slots, rank, keep_alive_s)
                self._loaded[name] = loaded
                self._grant(job, loaded)
            else:
                self._desk.refuse(job, OUT_OF_MEMORY)
            self._next()

        self._blame(f"load of {name}")
        self._desk.load(name, job.row.request, 0.0, policy.POLL_S, lambda fits: self._unloading.unlocked(lambda: done(fits)))

    def _grant(self, job: Job, loaded: Loaded) -> None:
        loaded.requests += 1
        loaded.timer += 1
        if job.keep_alive_s is not None:
            loaded.keep_alive_s = policy.lasting_s(job.keep_alive_s)
        self._desk.grant(job)
        if loaded.served < loaded.parallel:
            self._serve(job, loaded)
        else:
            loaded.waiting.append(job)
            self._desk.blame((job,), f"{loaded.name} in use")

    def _serve(self, job: Job, loaded: Loaded) -> None:
        loaded.served += 1
        self._desk.send(job)

    def _blame(self, cause: str) -> None:
        self._blocked_by = cause
        if self._head is not None:
            self._desk.blame((self._head, *self._pending), cause)

    def _why(self, name: str) -> str:
        if self._head is None or self._victim != name:
            return "keep-alive"
        self._blame(f"unload of {name}")
        return f"room for {self._head.row.request}"

    def _unloaded(self) -> None:
        if self._victim:
            self._victim = ""
            self._try()
            self._next()

    def _variant(self, job: Job) -> InstancePlan:
        """The server of a request as it would be loaded for it."""
        name = job.row.instance
        return ollama_variant(self._plans[name], self._desk.fleet.spec(name).shape, job.context_tokens)

    def _crowded(self, variant: InstancePlan) -> bool:
        site, fleet = self._site, self._desk.fleet
        if not site.gpus:
            return False
        spec, cells = fleet.spec(variant.name), variant.context_tokens
        free_bytes = site.gpu_bytes - fleet.device_bytes
        if site.integrated:
            free_bytes = min(free_bytes, site.usable_bytes - fleet.used_bytes)
        predicted = admission.predicted_bytes(spec, cells)
        batch = admission.batch_tokens(spec.shape, cells, predicted, free_bytes)
        return admission.evicts(predicted + admission.surcharge_bytes(spec.shape, batch), free_bytes, len(self._loaded))


def _context_tokens(variant: InstancePlan) -> int:
    """Context of each slot [tokens]."""
    return variant.context_tokens // variant.slots
