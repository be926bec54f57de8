"""What all fronts have in common."""

from __future__ import annotations

from typing import Protocol

from mmpredict.simulation.fleet import Instance
from mmpredict.simulation.job import Job


class Front(Protocol):
    """Takes requests, has servers loaded and unloaded, and sends requests to them.

    A front never blocks: what takes time is a SimPy event or process of its own.
    """

    def open(self) -> None:
        """Begin, before the first request."""

    def arrive(self, job: Job) -> None:
        """A request comes in; its ``row`` has everything but what happens to it."""

    def finished(self, job: Job, instance: Instance) -> None:
        """A request has its last token; ``instance.in_flight`` no longer counts it."""

    def close(self) -> None:
        """Nothing more will happen: what is not under way is not begun any more, and requests that still wait are refused."""
