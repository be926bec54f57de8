"""Requests that come whether or not those before them are done, as from many people who do not know of each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mmpredict.workload.assignment import Assignment
from mmpredict.workload.lengths import Lengths
from mmpredict.workload.request import Request
from mmpredict.workload.source import Source, Starts


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """Independent requests.

    Attributes:
        source: what they have in common.
        starts: when they come.
        models: whom they ask.
        prompts: lengths of prompts.
        outputs: lengths of answers.
    """

    source: Source
    starts: Starts
    models: Assignment
    prompts: Lengths
    outputs: Lengths

    def stream(self) -> Iterator[Request]:
        """Requests in order of arrival, called ``<name>.1``, ``<name>.2``, …; every call gives the same."""
        source = self.source
        name, priority, deadline_s = source.name, source.priority, source.deadline_s
        models = self.models.draws(source.rng("models"))
        prompts, outputs = self.prompts.draws(source.rng("prompts")), self.outputs.draws(source.rng("outputs"))
        drawn = zip(self.starts.times_s(source), models, prompts, outputs, strict=False)
        for number, (time_s, model, prompt_tokens, output_tokens) in enumerate(drawn, start=1):
            yield Request(f"{name}.{number}", model, prompt_tokens, output_tokens, time_s, priority=priority, deadline_s=deadline_s)
