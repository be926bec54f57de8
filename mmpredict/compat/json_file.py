"""Tables in JSON files that a person gives by their path."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mmpredict.errors import FileFormatError, InputError

MAX_BYTES = 1_000_000


def read_table(path: Any, what: str) -> dict[str, Any]:
    """The table in a file.

    Args:
        path: of the file.
        what: it is, for people.

    Raises:
        InputError: it cannot be read.
        FileFormatError: it is no table.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"the path of the {what} is {path!r:.80}; it must be a text")
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"cannot read the {what} {str(path)!r:.200}: {reason}") from error
    if len(content) > MAX_BYTES:
        raise FileFormatError(f"{path} is larger than {MAX_BYTES} bytes; it is no {what}")
    try:
        table = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path} is no JSON ({error}); it must be a table") from error
    if not isinstance(table, dict):
        raise FileFormatError(f"{path} holds a {type(table).__name__}; it must be a table")
    return table
