"""Names as people write them, brought to one spelling."""

from __future__ import annotations

import re

# Makers' names and legal signs say nothing that the rest of a name does not say.
_SILENT = frozenset({"nvidia", "geforce", "amd", "intel", "apple", "minisforum", "r", "tm"})


def squash(text: str) -> str:
    """Letters and digits only, in lower case: ``RTX 4090`` and ``rtx_4090`` are ``rtx4090``."""
    return "".join(re.findall(r"[a-z0-9]+", text.lower()))


def key(text: str) -> str:
    """``squash`` without the maker: ``NVIDIA GeForce RTX 4090`` is ``rtx4090`` too; a name that is only a maker stays."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    return "".join(word for word in words if word not in _SILENT) or "".join(words)


def spellings(text: str) -> frozenset[str]:
    """With and without the maker: two names are the same if they share one of these; none of them is empty."""
    return frozenset({squash(text), key(text)} - {""})


def slug(text: str) -> str:
    """A short name in the form that files and folders have: ``Intel(R) Xeon(R) Processor`` is ``intel-xeon-processor``."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower().replace("(r)", "").replace("(tm)", "")).strip("-.")
