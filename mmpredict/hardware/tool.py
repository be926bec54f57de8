"""Asking a program of the operating system, without waiting for it for ever."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

TIMEOUT_S = 8.0  # nvidia-smi takes seconds where no driver keeps the card awake
MAX_ANSWER = 1_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program printed.

    Attributes:
        text: its output; empty where there is none.
        trouble: why there is none, as a phrase; empty where there is.
    """

    text: str = ""
    trouble: str = ""


def ask(*command: str, timeout_s: float = TIMEOUT_S) -> Answer:
    """Run a program and return what it printed.

    Args:
        command: the program and its arguments; no shell is involved.
        timeout_s: after which it is ended [s].
    """
    name = command[0]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False)
    except FileNotFoundError:
        return Answer(trouble=f"{name} is not installed")
    except subprocess.TimeoutExpired:
        return Answer(trouble=f"{name} did not answer within {timeout_s:g} s")
    except OSError as error:
        return Answer(trouble=f"{name} could not be started ({error.strerror})")
    text = done.stdout[:MAX_ANSWER].decode("utf-8", errors="replace")
    if done.returncode != 0:
        said = (text.strip() or done.stderr[:MAX_ANSWER].decode("utf-8", errors="replace").strip()).splitlines()
        return Answer(trouble=f"{name} failed" + (f": {said[0][:120]}" if said else f" with exit code {done.returncode}"))
    return Answer(text=text)


def plain(text: str, longest: int = 120) -> str:
    """Text from a device, without what a terminal would act upon."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())[:longest]
