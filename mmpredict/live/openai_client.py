"""Talking to a server of OpenAI's protocol: llama-swap, LM Studio, vLLM, llama-server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmpredict.errors import EngineError
from mmpredict.live.answer import Completion
from mmpredict.live.failure import RequestFailure
from mmpredict.live.openai_answer import openai_answer
from mmpredict.live.reading import Reading
from mmpredict.live.server_client import ServerClient, check_asked

COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"


class OpenAIClient(ServerClient):
    """A client of one server; several threads may use it at a time.

    Args:
        base_url: its address, with or without ``/v1``.

    Attributes:
        url: without it.
    """

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url.rstrip("/").removesuffix("/v1"))

    def models(self, timeout_s: float = 10.0) -> tuple[str, ...]:
        """Names of the models that it has.

        Raises:
            EngineError: no such server answers.
        """
        try:
            answer = self.ask("/v1/models", timeout_s=timeout_s)
        except RequestFailure as failure:
            raise EngineError(
                f"no server of OpenAI's protocol answers at {self.url} ({failure}); correct [engine] url"
            ) from failure
        return tuple(str(entry["id"]) for entry in _objects(answer, "data") if "id" in entry)

    def tokens(self, model: str, text: str) -> int | None:
        """Tokens of ``text``, without what stands around prompts, where the server has a ``/tokenize`` (llama.cpp, vLLM)."""
        body = {"model": model, "content": text, "prompt": text, "add_special": False, "add_special_tokens": False}
        try:
            answer = self.ask("/tokenize", body)
        except RequestFailure:
            return None
        tokens = answer.get("tokens") if isinstance(answer, dict) else None
        return len(tokens) if isinstance(tokens, list) else None

    def stream(
        self,
        model: str,
        text: str,
        output_tokens: int,
        timeout_s: float,
        on_token: Callable[[float], None] | None = None,
        reuse: bool = False,
        chat: bool = False,
        endless: bool = True,
    ) -> Completion:
        """Have a model generate up to ``output_tokens`` tokens after ``text``, and time them.

        Args:
            model: its name there.
            text: the prompt, as the model gets it; with ``chat``, what a user says.
            output_tokens: tokens to generate, 1 or more.
            timeout_s: for the whole answer [s].
            on_token: called with the ``perf_counter()`` value [s] of each event that carries text.
            reuse: whether the texts are asked for.
            chat: whether the prompt is put into the model's template.
            endless: whether to ask for all tokens even after the model's token of the end, which is no part of the protocol.

        Raises:
            RequestFailure: there is no complete answer; its ``reason`` says why.
            InputError: ``output_tokens`` or ``timeout_s`` is out of range.
        """
        check_asked(output_tokens, timeout_s)
        said: dict[str, object] = {"messages": [{"role": "user", "content": text}]} if chat else {"prompt": text}
        body = {
            "model": model,
            **said,
            "max_tokens": output_tokens,
            "temperature": 0,
            "seed": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            **({"ignore_eos": True} if endless else {}),
        }

        def read(sent_s: float) -> Reading:
            return openai_answer(sent_s, output_tokens, on_token, reuse)

        return self.send(CHAT if chat else COMPLETIONS, body, timeout_s, read)


def _objects(answer: object, name: str) -> list[dict[str, Any]]:
    listed = answer.get(name) if isinstance(answer, dict) else None
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
