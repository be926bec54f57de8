"""The page of pictures shows every kind, small enough to be kept."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PICTURES = sorted((DOCS / "pictures").glob("*.png"))
MOST_BYTES = 40_000


def test_the_page_shows_all_of_them_and_no_other() -> None:
    shown = re.findall(r"!\[[^]]*\]\(pictures/([^)]+)\)", (DOCS / "pictures.md").read_text("utf-8"))
    assert sorted(shown) == [path.name for path in PICTURES]
    assert len(shown) >= 6


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_pictures_are_small(path: Path) -> None:
    assert path.read_bytes().startswith(b"\x89PNG")
    assert 5_000 < path.stat().st_size <= MOST_BYTES
