"""Options that say which build of llama.cpp is meant."""

from __future__ import annotations

from typing import Annotated

import typer

Engine = Annotated[
    str, typer.Option("--engine", help="Whose build: embedded, llama-server (a program of this machine), ollama (what it runs).")
]
Binary = Annotated[
    str, typer.Option("--binary", metavar="PROGRAM", help="llama-server or ollama, a path; looked for on PATH when not given.")
]
