"""Lines of a text file of any size, compressed or not: no more than one of them is ever held."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, NoReturn

from mmpredict.errors import FileFormatError, InputError

MAX_LINE_BYTES = 1_048_576
_GZIP_MAGIC = b"\x1f\x8b"


class LineError(Exception):
    """What is wrong with one line, without its number; never leaves this package."""


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not empty, with their numbers from 1; compressed by gzip if the file begins like it.

    Raises:
        InputError: the file cannot be read.
        FileFormatError: it is damaged, a line is too long, or is no text; the message names the line.
    """
    number = 0
    try:
        with _opened(path) as file:
            while raw := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(raw) > MAX_LINE_BYTES:
                    raise FileFormatError(f"{path}, line {number}: it is longer than {MAX_LINE_BYTES} bytes")
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                if text:
                    yield number, text
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}, line {number}: it is no text in UTF-8") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileFormatError(f"{path}, after line {number}: the compressed file is damaged or cut off") from error
    except OSError as error:
        raise InputError(f"cannot read trace {path}: {error.strerror or error}") from error


def whole_text(path: Path, max_bytes: int) -> str:
    """All of a file that has to be known as a whole; compressed by gzip if it begins like it.

    Raises:
        InputError: the file cannot be read.
        FileFormatError: it is damaged, too large, or no text.
    """
    try:
        with _opened(path) as file:
            raw = file.read(max_bytes + 1)
        if len(raw) > max_bytes:
            raise FileFormatError(f"{path} is larger than {max_bytes} bytes; save a part of it")
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path} is no text in UTF-8") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileFormatError(f"{path}: the compressed file is damaged or cut off") from error
    except OSError as error:
        raise InputError(f"cannot read trace {path}: {error.strerror or error}") from error


def json_object(text: str) -> dict[str, Any]:
    """The object of a line.

    Raises:
        LineError: it is none.
    """
    try:
        found = json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise LineError(f"no JSON: {error.msg} at column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise LineError(f"no JSON: {'nested too deeply' if isinstance(error, RecursionError) else str(error)[:80]}") from error
    if not isinstance(found, dict):
        raise LineError("it is no JSON object")
    return found


def _opened(path: Path) -> gzip.GzipFile | BufferedReader:
    if path.is_dir():
        raise InputError(f"cannot read trace {path}: Is a directory")
    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP_MAGIC
    return gzip.open(path, "rb") if compressed else path.open("rb")


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
