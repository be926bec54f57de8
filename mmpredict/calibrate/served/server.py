"""What a measurement needs of a server that runs already, whatever program it is."""

from __future__ import annotations

from typing import Protocol

from mmpredict.calibrate.importers.row import Found


class Server(Protocol):
    """A server and the one model of it that is measured. Requests raise ``RequestFailure``.

    Attributes:
        engine: program and version, for people and for names of files.
        model: the model's name there.
        context_tokens: what a sequence has room for [tokens].
        slots: sequences that can be asked for at once [1].
    """

    engine: str
    model: str
    context_tokens: int
    slots: int

    def request(self, prompt_tokens: int, output_tokens: int) -> list[Found]:
        """Rows of one request alone, whose prompt is no other's; its length may differ a little from the one asked for."""
        ...

    def together(self, sequences: int, steps: int) -> list[Found]:
        """Rows of several requests that decode at the same time."""
        ...

    def close(self) -> None:
        """Give the connections up; the server goes on."""
        ...
