"""The part that a router, a pool and a swap server have in common: one queue of models, and a shelf that they are put on."""

from __future__ import annotations

import math
from typing import Any

from mmpredict.simulation.fleet import Instance
from mmpredict.simulation.fronts.desk import OUT_OF_MEMORY, Desk
from mmpredict.simulation.fronts.setting import Setting
from mmpredict.simulation.job import Job
from mmpredict.simulation.policies.shelf import Choice, Resident, Shelf


class Keeper:
    """Puts models on a shelf in the order in which they are asked for.

    Args:
        setting: the run.
        shelf: rule by which models come and go.
        unload_s: to unload a model [s].
        poll_s: interval at which those that wait look again; 0: they are told [s].
    """

    def __init__(self, setting: Setting, shelf: Shelf, unload_s: float, poll_s: float = 0.0) -> None:
        self._desk = Desk(setting)
        self._env = setting.env
        self._shelf = shelf
        self._unload_s = unload_s
        self._poll_s = poll_s
        self._entries: list[tuple[str, list[Job]]] = []
        self._loading: dict[str, list[Job]] = {}
        self._shelved: set[str] = set()  # ready, loading, or asleep
        self._leaving: set[str] = set()
        self._since_s = 0.0  # since when the head has been waiting
        self._polling = False
        self._cause = ""  # what the head waits for

    def open(self) -> None:
        """See ``Front``."""

    def close(self) -> None:
        """See ``Front``."""
        self._desk.closed = True

    def arrive(self, job: Job) -> None:
        """See ``Front``."""
        name = self._desk.take(job)
        overtakes = self._shelf.overtakes
        if overtakes and name in self._loading:
            self._loading[name].append(job)
            self._desk.blame((job,), f"load of {name}")
        elif self._is_ready(name) and (overtakes or not self._entries):
            self._serve(job)
        else:
            self._enter(name, job)
            if self._entries == [(name, [job])]:
                self._look()
            else:
                self._desk.blame((job,), self._cause)

    def finished(self, job: Job, instance: Instance) -> None:
        """See ``Front``."""
        self._changed()

    def _is_ready(self, name: str) -> bool:
        return name in self._shelved and name not in self._loading and name not in self._leaving

    def _enter(self, name: str, job: Job) -> None:
        candidates = self._entries if self._shelf.overtakes else self._entries[-1:]
        entry = next((jobs for other, jobs in candidates if other == name), None)
        if entry is None:
            if not self._entries:
                self._since_s = self._env.now
            self._entries.append((name, [job]))
        else:
            entry.append(job)

    def _serve(self, job: Job) -> None:
        self._desk.grant(job)
        self._desk.send(job)

    def _changed(self) -> None:
        """Something has become idle, ready, or gone: those that wait see it, now or when they look next."""
        if not self._entries or self._polling:
            return
        if not self._poll_s:
            self._look()
            return
        self._polling = True
        waited_s = self._env.now - self._since_s
        wait_s = self._poll_s * math.ceil(waited_s / self._poll_s - 1e-9) - waited_s
        self._env.timeout(max(0.0, wait_s)).callbacks.append(self._polled)

    def _polled(self, _: Any) -> None:
        self._polling = False
        self._look()

    def _look(self) -> None:
        """Do for the head what can be done, then for the next."""
        while self._entries:
            name, jobs = self._entries[0]
            if self._is_ready(name):
                self._leave_queue()
                for job in jobs:
                    self._serve(job)
                continue
            if self._leaving or (self._loading and self._shelf.one_load):
                doing = f"unload of {', '.join(sorted(self._leaving))}" if self._leaving else f"load of {next(iter(self._loading))}"
                self._blame(doing)
                return
            choice = self._choose(name)
            if choice.kind == "refuse":
                self._leave_queue()
                for job in jobs:
                    self._desk.refuse(job, OUT_OF_MEMORY)
            elif choice.kind == "wait":
                self._blame(f"{', '.join(sorted(one.name for one in self._residents() if not one.free))} in use")
                return
            elif choice.victims:
                for victim in choice.victims:
                    self._remove(victim, f"room for {jobs[0].row.request}")
                self._blame(f"unload of {', '.join(sorted(choice.victims))}")
                return
            else:
                self._leave_queue()
                self._load(name, jobs)

    def _choose(self, name: str) -> Choice:
        wanted = {other for other, _ in self._entries}
        return self._shelf.choose(self._desk.fleet.needs_bytes(name), self._residents(), wanted)

    def _residents(self) -> list[Resident]:
        fleet = self._desk.fleet
        return [
            Resident(
                name,
                fleet.instances[name].used_s,
                fleet.needs_bytes(name),
                name not in self._loading and name not in self._leaving and not fleet.instances[name].in_flight,
            )
            for name in sorted(self._shelved)
        ]

    def _leave_queue(self) -> None:
        del self._entries[0]
        self._since_s = self._env.now

    def _remove(self, name: str, cause: str) -> None:
        self._leaving.add(name)
        self._unload(name, cause).callbacks.append(lambda _: self._removed(name))

    def _unload(self, name: str, cause: str) -> Any:
        return self._desk.fleet.unload(name, self._unload_s, cause)

    def _removed(self, name: str) -> None:
        self._leaving.remove(name)
        self._shelved.remove(name)
        self._changed()

    def _load(self, name: str, jobs: list[Job]) -> None:
        self._shelved.add(name)
        self._loading[name] = jobs
        self._desk.blame(jobs, f"load of {name}")
        self._desk.load(name, jobs[0].row.request, 0.0, self._poll_s, lambda fits: self._loaded(name, fits))

    def _loaded(self, name: str, fits: bool) -> None:
        jobs = self._loading.pop(name)
        if not fits:
            self._shelved.remove(name)
        for job in jobs:
            if fits:
                self._serve(job)
            else:
                self._desk.refuse(job, OUT_OF_MEMORY)
        self._changed()

    def _blame(self, cause: str) -> None:
        self._cause = cause
        for _, jobs in self._entries:
            self._desk.blame(jobs, cause)
