"""Running servers of OpenAI's protocol as an engine: what they do can be timed, what they are is mostly not told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mmpredict.errors import EngineError, InputError, UnknownNameError
from mmpredict.live.answer import Completion
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.live.held import HeldServer
from mmpredict.live.openai_client import COMPLETIONS, OpenAIClient
from mmpredict.live.text_server import UNKNOWN_MEMORY, TextServer
from mmpredict.live.word_prompt import Alphabet, Texts, find_alphabet
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import InstancePlan, Plan

PROBE_TIMEOUT_S = 600.0  # such a server may load the model for it
PROBE = " time"
NOT_THERE = (FailureReason.BAD_REQUEST, FailureReason.SERVER_ERROR)


@dataclass(frozen=True, slots=True)
class Way:
    """How a model is asked.

    Attributes:
        name: its name at the server.
        chat: whether through a chat template, where the server completes no plain text.
        endless: whether the server understands that an answer is not to end early.
    """

    name: str
    chat: bool
    endless: bool


@dataclass(slots=True)
class OpenAIEngine:
    """Asks servers that run already for the models of a plan (see ``Engine``).

    Attributes:
        url: address of the server.
        urls: model → address of its server, before ``url``.
        names: model → its name there, where that is another one.
        notes: see ``Engine``.
    """

    url: str = ""
    urls: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _found: dict[str, tuple[Way, Alphabet]] = field(default_factory=dict)

    def prepare(self, plan: Plan, specs: Mapping[str, ModelSpec], cold: bool) -> None:
        """Find the models, how they can be asked, and words of one token each; servers that load on demand load them for it.

        Raises:
            InputError: a model has no address.
            EngineError: no such server answers, or it does not say how many tokens a prompt has.
            UnknownNameError: it does not have a model.
        """
        for one in plan.instances:
            if one.model not in self._found:
                with OpenAIClient(self._address(one)) as client:
                    way = self._way(client, self._name(client, one))
                    self._found[one.model] = way, self._alphabet(client, way)
                self.notes += [f"{client.url}: {text}" for text in _untold(way, cold)]

    def load(self, instance: InstancePlan, log_path: Path) -> TextServer:
        """Ask for one token, so that a server that loads on demand has the model (see ``Engine``)."""
        way, alphabet = self._found[instance.model]
        client = OpenAIClient(self._address(instance))
        held = HeldServer(client)
        try:
            answer = client.stream(way.name, PROBE, 1, PROBE_TIMEOUT_S, chat=way.chat, endless=way.endless)
        except BaseException:
            held.stop()
            raise
        if answer.prompt_s != answer.prompt_s:
            self.notes.append(f"{client.url}: it does not tell how long a prompt took: all until the first token counts as that")
        ask = partial(_ask, client, way)
        return TextServer(ask, Texts(alphabet), attached=True, memory=UNKNOWN_MEMORY, held=held, notes=self.notes)

    def _address(self, instance: InstancePlan) -> str:
        url = self.urls.get(instance.model, self.url)
        if not url:
            raise InputError(f"[engine] names no address for {instance.model}; write url, or its line in [engine.urls]")
        return url

    def _name(self, client: OpenAIClient, instance: InstancePlan) -> str:
        known = client.models()
        name = self.names.get(instance.model, instance.model)
        if name in known:
            return name
        if len(known) == 1 and instance.model not in self.names:
            return known[0]
        raise UnknownNameError(f"model of the server at {client.url}", name, known, "([engine.names] says how it calls a model)")

    def _way(self, client: OpenAIClient, name: str) -> Way:
        """The first that is answered: plain text before chat, whole answers before such as may end early."""
        failures = []
        for way in (Way(name, chat, endless) for chat in (False, True) for endless in (True, False)):
            try:
                client.stream(name, PROBE, 1, PROBE_TIMEOUT_S, chat=way.chat, endless=way.endless)
            except RequestFailure as failure:
                if failure.reason not in NOT_THERE:
                    raise
                failures.append(failure)
                continue
            return way
        raise EngineError(f"the server at {client.url} answers neither {COMPLETIONS} nor chat with {name}: {failures[0]}")

    def _alphabet(self, client: OpenAIClient, way: Way) -> Alphabet:
        def answered(text: str) -> int:
            told = client.stream(way.name, text, 1, PROBE_TIMEOUT_S, chat=way.chat, endless=way.endless).prompt_tokens
            if told < 0:
                raise EngineError(f"the server at {client.url} does not say how many tokens a prompt has (usage.prompt_tokens)")
            return told

        def tokenized(text: str) -> int:
            counted = client.tokens(way.name, text)
            if counted is None:
                raise EngineError(f"the server at {client.url} has stopped to tokenize")
            return counted

        return find_alphabet(tokenized if client.tokens(way.name, PROBE) is not None else answered, answered)


def _ask(
    client: OpenAIClient,
    way: Way,
    text: str,
    output_tokens: int,
    timeout_s: float,
    on_token: Callable[[float], None] | None,
    reuse: bool,
) -> Completion:
    return client.stream(way.name, text, output_tokens, timeout_s, on_token, reuse, way.chat, way.endless)


def _untold(way: Way, cold: bool) -> list[str]:
    """What such a server does not tell or do, in words."""
    found = ["it runs already, so that loads are not measured; memory and slots are not told"]
    if way.chat:
        found.append("it completes no plain text, so that prompts stand within its chat template")
    if not way.endless:
        found.append("it cannot be told to go on after a model's end, so that answers may be short")
    if cold:
        found.append("its loads cannot be cold")
    return found
