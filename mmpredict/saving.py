"""Where files of the user are kept, and writing one so that a half-written one never stays."""

from __future__ import annotations

import os
from pathlib import Path

from mmpredict.errors import StorageError


def data_directory() -> Path:
    """The user's data directory (``MMPREDICT_DATA`` overrides it)."""
    override = os.environ.get("MMPREDICT_DATA")
    if override:
        return Path(override)
    import platformdirs

    return Path(platformdirs.user_data_dir("mmpredict"))


def make_directory(path: Path) -> Path:
    """Make a directory, with those above it, unless it is there.

    Raises:
        StorageError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make the directory {path}: {error.strerror}") from error
    return path


def save(content: bytes, path: Path) -> Path:
    """Write a file in one step: under a temporary name in the same directory, then renamed.

    Raises:
        StorageError: the directory is missing or not writable, or the disk is full; nothing is left behind.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            partial.write_bytes(content)
            partial.replace(path)
        finally:
            if partial.is_file():
                partial.unlink()
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}; choose a directory that exists and is writable") from error
    return path
