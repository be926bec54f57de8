"""Talking to an Ollama: what it has, loading and unloading, and timed answers. Source: Ollama ``server/routes.go``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mmpredict.errors import EngineError, UnknownNameError
from mmpredict.live.answer import Completion
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.live.ollama_answer import ollama_answer
from mmpredict.live.reading import Reading
from mmpredict.live.server_client import ServerClient, check_asked
from mmpredict.models.answers import ListedTags, Process, Processes, Tag, Version, parsed

FOR_EVER = -1
LOAD_TIMEOUT_S = 600.0
UNLOAD_TIMEOUT_S = 60.0
POLL_S = 0.02
LATEST = ":latest"
START_HINT = "start it with: ollama serve (its address: [engine] url, or OLLAMA_HOST)"


@dataclass(frozen=True, slots=True)
class OllamaOptions:
    """What every request to a model must ask for alike: Ollama loads a model anew when one of them changes.

    Attributes:
        context_tokens: of one sequence (``num_ctx``) [tokens].
        batch_tokens: of the logical and the physical batch (``num_batch``) [tokens].
        threads: worker threads (``num_thread``) [1].
        gpu_layers: layers on the GPU (``num_gpu``); ``None`` leaves it to Ollama [1].
    """

    context_tokens: int
    batch_tokens: int
    threads: int
    gpu_layers: int | None = None

    def to_dict(self) -> dict[str, object]:
        """As requests have it."""
        gpu = {} if self.gpu_layers is None else {"num_gpu": self.gpu_layers}
        return {"num_ctx": self.context_tokens, "num_batch": self.batch_tokens, "num_thread": self.threads, **gpu}


class OllamaClient(ServerClient):
    """A client of one Ollama; several threads may use it at a time.

    Args:
        base_url: its address.
    """

    def version(self, timeout_s: float = 10.0) -> str:
        """Its version.

        Raises:
            EngineError: no Ollama answers.
        """
        try:
            return parsed(Version, self.ask("/api/version", timeout_s=timeout_s), "Ollama's /api/version").version
        except RequestFailure as failure:
            raise EngineError(f"no Ollama answers at {self.url} ({failure}); {START_HINT}") from failure

    def tags(self) -> tuple[Tag, ...]:
        """The models that it has."""
        return tuple(parsed(ListedTags, self.ask("/api/tags"), "Ollama's /api/tags").models)

    def loaded(self) -> tuple[Process, ...]:
        """The models that are in memory."""
        return tuple(parsed(Processes, self.ask("/api/ps"), "Ollama's /api/ps").models)

    def require(self, tag: str) -> None:
        """Make sure that it has ``tag``.

        Raises:
            UnknownNameError: it does not; the nearest are named.
        """
        known = [one.name for one in self.tags()]
        if full(tag) not in map(full, known):
            raise UnknownNameError(
                f"model of the Ollama at {self.url}",
                tag,
                known,
                f"(get it with: ollama pull {tag}; [engine.names] gives a model's tag)",
            )

    def process(self, tag: str) -> Process | None:
        """What it says of ``tag`` in memory; ``None`` if it is not there."""
        return next((one for one in self.loaded() if full(tag) in (full(one.name), full(one.model))), None)

    def file(self, tag: str) -> str:
        """The file of a model's weights, as its description names it; empty if it names none."""
        answer = self.ask("/api/show", {"model": tag}, LOAD_TIMEOUT_S)
        text = answer.get("modelfile") if isinstance(answer, dict) else None
        lines = text.splitlines() if isinstance(text, str) else []
        return next((line.removeprefix("FROM ").strip() for line in lines if line.startswith("FROM ")), "")

    def load(self, tag: str, options: OllamaOptions) -> None:
        """Load a model and keep it until it is unloaded.

        Raises:
            RequestFailure: it could not be loaded; its ``reason`` says why.
        """
        self._keep(tag, FOR_EVER, "load", options.to_dict())

    def unload(self, tag: str) -> None:
        """Unload a model and wait until its memory is free.

        Raises:
            EngineError: it is still there after ``UNLOAD_TIMEOUT_S``.
        """
        self._keep(tag, 0, "unload", {})
        limit_s = time.perf_counter() + UNLOAD_TIMEOUT_S
        while self.process(tag) is not None:
            if time.perf_counter() > limit_s:
                raise EngineError(f"the Ollama at {self.url} still has {tag} {UNLOAD_TIMEOUT_S:g} s after it was to unload it")
            time.sleep(POLL_S)

    def stream(
        self,
        tag: str,
        text: str,
        output_tokens: int,
        timeout_s: float,
        options: OllamaOptions,
        on_token: Callable[[float], None] | None = None,
        reuse: bool = False,
        chat: bool = False,
    ) -> Completion:
        """Have a model generate up to ``output_tokens`` tokens after ``text``, and time them.

        Ollama has no way to go on after a model's token of the end: then there are fewer.

        Args:
            tag: the model.
            text: the prompt, as the model gets it; with ``chat``, what a user says.
            output_tokens: tokens to generate, 1 or more.
            timeout_s: for the whole answer [s].
            options: those that the model was loaded with.
            on_token: called with the ``perf_counter()`` value [s] of each line that carries text.
            reuse: whether the texts are asked for.
            chat: whether the prompt is put into the model's template (``/api/chat``).

        Raises:
            RequestFailure: there is no complete answer; its ``reason`` says why.
            InputError: ``output_tokens`` or ``timeout_s`` is out of range.
        """
        check_asked(output_tokens, timeout_s)
        said: dict[str, object] = {"messages": [{"role": "user", "content": text}]} if chat else {"prompt": text, "raw": True}
        body = {
            "model": tag,
            **said,
            **_common(FOR_EVER),
            "stream": True,
            "options": {**options.to_dict(), "num_predict": output_tokens, "temperature": 0, "seed": 0},
        }

        def read(sent_s: float) -> Reading:
            return ollama_answer(sent_s, output_tokens, on_token, reuse)

        return self.send("/api/chat" if chat else "/api/generate", body, timeout_s, read)

    def _keep(self, tag: str, keep_alive_s: int, wanted: str, options: Mapping[str, object]) -> None:
        body = {"model": tag, **_common(keep_alive_s), "stream": False, "options": options}
        answer = self.ask("/api/generate", body, LOAD_TIMEOUT_S)
        reason = answer.get("done_reason") if isinstance(answer, dict) else None
        if reason != wanted:
            raise RequestFailure(FailureReason.SERVER_ERROR, f"Ollama answers {reason!r} to the request to {wanted} {tag}")


def full(tag: str) -> str:
    """A tag as Ollama lists it: with ``:latest`` where it names no variant."""
    return tag if ":" in tag.rpartition("/")[2] else f"{tag}{LATEST}"


def _common(keep_alive_s: int) -> dict[str, object]:
    """Said in every request alike. A prompt beyond the context is an error then, not cut; the context does not shift either."""
    return {"keep_alive": keep_alive_s, "truncate": False, "shift": False}
