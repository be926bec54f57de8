"""A running Ollama as an engine: models are loaded and unloaded through the time that it keeps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mmpredict.errors import EngineError
from mmpredict.hardware import warmth
from mmpredict.live.answer import Completion
from mmpredict.live.describe import OLLAMA, ollama_address
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.live.held import HeldServer
from mmpredict.live.ollama_client import OllamaClient, OllamaOptions
from mmpredict.live.server_state import slot_tokens
from mmpredict.live.text_server import UNKNOWN_MEMORY, TextServer
from mmpredict.live.word_prompt import Alphabet, Texts, find_alphabet
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import DEFAULT_CACHE_TYPE, InstancePlan, Plan

COUNT_TIMEOUT_S = 600.0
LOADED_AGAIN_S = 0.2
"""A request to a loaded model waits milliseconds for it; a load is looked at every 250 ms only (``llm/llama_server.go``)."""
TOO_MANY = "it keeps fewer models at a time than the plan has (OLLAMA_MAX_LOADED_MODELS), or others use it"


@dataclass(slots=True)
class OllamaEngine:
    """Has an Ollama load the models of a plan (see ``Engine``).

    Attributes:
        url: its address; ``OLLAMA_HOST`` or the usual one if empty.
        names: model → its tag, where that is another one.
        chat: whether requests go through ``/api/chat`` and the models' templates.
        gpu_layers: layers on the GPU; ``None`` leaves it to Ollama [1].
        notes: see ``Engine``.
    """

    url: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    chat: bool = False
    gpu_layers: int | None = None
    notes: list[str] = field(default_factory=list)
    _alphabets: dict[str, Alphabet] = field(default_factory=dict)
    _loaded_again: set[str] = field(default_factory=set)

    def prepare(self, plan: Plan, specs: Mapping[str, ModelSpec], cold: bool) -> None:
        """Count words with every model, unload all of the plan, and bring their files into the page cache, or out if ``cold``.

        Raises:
            EngineError: no Ollama answers, or a model cannot be loaded even alone.
            UnknownNameError: it does not have a model.
        """
        with OllamaClient(self.url or ollama_address()) as client:
            version = client.version()
            for one in plan.instances:
                client.require(self._tag(one))
            for one in plan.instances:
                client.unload(self._tag(one))
            for one in plan.instances:
                self._note_differences(version, one)
                self._find_alphabet(client, one)
                self._warm(client.file(self._tag(one)), cold)

    def load(self, instance: InstancePlan, log_path: Path) -> TextServer:
        """See ``Engine``."""
        client, tag, options = OllamaClient(self.url or ollama_address()), self._tag(instance), self._options(instance)
        held = HeldServer(client, partial(client.unload, tag))
        try:
            client.load(tag, options)
            process = client.process(tag)
            if process is None:
                raise EngineError(f"the Ollama at {client.url} loaded {tag} and has let it go already: {TOO_MANY}")
        except BaseException:
            with suppress(EngineError):
                held.stop()
            raise
        if process.context_length not in (0, options.context_tokens):
            self.notes.append(f"{tag} has a context of {process.context_length} tokens, the plan's of {options.context_tokens}")
        return TextServer(
            ask=partial(self._ask, client, tag, options),
            texts=Texts(self._alphabets[tag]),
            attached=False,
            memory=float(process.size) or UNKNOWN_MEMORY,
            held=held,
            notes=self.notes,
        )

    def _ask(
        self,
        client: OllamaClient,
        tag: str,
        options: OllamaOptions,
        text: str,
        output_tokens: int,
        timeout_s: float,
        on_token: Callable[[float], None] | None,
        reuse: bool,
    ) -> Completion:
        answer = client.stream(tag, text, output_tokens, timeout_s, options, on_token, reuse, self.chat)
        if answer.load_s > LOADED_AGAIN_S and tag not in self._loaded_again:
            self._loaded_again.add(tag)
            self.notes.append(
                f"{client.url} had let {tag} go, and a request waited {answer.load_s:.2g} s until it was back: {TOO_MANY}"
            )
        return answer

    def _find_alphabet(self, client: OllamaClient, instance: InstancePlan) -> None:
        tag = self._tag(instance)
        if tag not in self._alphabets:
            try:
                self._alphabets[tag] = find_alphabet(partial(self._count, client, tag, self._options(instance)))
            finally:
                client.unload(tag)

    def _count(self, client: OllamaClient, tag: str, options: OllamaOptions, text: str) -> int:
        counted = client.stream(tag, text, 1, COUNT_TIMEOUT_S, options, chat=self.chat).prompt_tokens
        if counted < 0:
            raise RequestFailure(FailureReason.SERVER_ERROR, f"Ollama does not count the tokens of a prompt to {tag}")
        return counted

    def _options(self, instance: InstancePlan) -> OllamaOptions:
        return OllamaOptions(slot_tokens(instance), instance.ubatch_tokens, instance.threads, self.gpu_layers)

    def _tag(self, instance: InstancePlan) -> str:
        return self.names.get(instance.model, instance.model.removeprefix(OLLAMA))

    def _note_differences(self, version: str, instance: InstancePlan) -> None:
        """What no request can ask Ollama for."""
        found = {
            f"{instance.slots} slots (OLLAMA_NUM_PARALLEL)": instance.slots != 1,
            f"a cache in {instance.key_type} (OLLAMA_KV_CACHE_TYPE)": instance.key_type != DEFAULT_CACHE_TYPE,
            f"a logical batch of {instance.batch_tokens} tokens (it is the physical one of {instance.ubatch_tokens})": (
                instance.batch_tokens != instance.ubatch_tokens
            ),
            "how threads wait (GOMP_SPINCOUNT)": instance.spincount is not None,
        }
        for what in (what for what, differs in found.items() if differs):
            self.notes.append(f"ollama {version} cannot be asked for {what}; {instance.name} has what the server was started with")

    def _warm(self, file: str, cold: bool) -> None:
        path = Path(file)
        try:
            if cold and not warmth.drop(path):
                self.notes.append(f"the system forgets no cached pages on request: the load of {file} may be warm")
            elif not cold:
                warmth.warm(path)
        except OSError as error:
            self.notes.append(
                f"{file or 'a file of Ollama'} cannot be read here ({error.strerror}): its load is as it happens to be"
            )
