"""Every error that a person can meet, in one tree.

::

    MmpredictError                 exit code 1
    ├── InputError                 2   a value that cannot be used: its name, what is allowed, the remedy
    │   ├── UnknownNameError       2   a name that is not in a table; carries the nearest match
    │   └── FileFormatError        2   a file that is not what it should be
    ├── DoesNotFitError            3   the plan needs more of a resource than the machine has
    ├── EngineError                1   a model server could not be started or did not answer as it should
    │   ├── EngineMissingError     1   the engine is not installed
    │   └── ServerDiedError        1   a server's process ended while it was needed
    ├── NotCalibratedError         1   no coefficients for this machine and engine
    └── StorageError               1   a file could not be written (disk full, permission)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MmpredictError(Exception):
    """Base of every error that is reported as one line, without a traceback."""

    exit_code = 1


class InputError(MmpredictError):
    """A value given by the user cannot be used."""

    exit_code = 2


class UnknownNameError(InputError):
    """A name is in none of the tables; the message carries the nearest matches."""

    def __init__(self, what: str, name: str, known: Iterable[str], hint: str = "") -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        advice = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names[:20])}"
        super().__init__(f"unknown {what} {name!r}; {advice}{' ' + hint if hint else ''}")


class FileFormatError(InputError):
    """A file is damaged, truncated or of another kind."""


class DoesNotFitError(MmpredictError):
    """A plan needs more of a resource than the machine has."""

    exit_code = 3


class EngineError(MmpredictError):
    """A model server could not be started, or did not answer as it should."""


class EngineMissingError(EngineError):
    """The engine is not installed on this machine."""


class ServerDiedError(EngineError):
    """A server's process ended while it was still needed."""


class NotCalibratedError(MmpredictError):
    """There are no cost coefficients for this machine and engine."""


class StorageError(MmpredictError):
    """A file could not be written."""
