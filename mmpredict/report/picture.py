"""A picture: decided on, but drawn when somebody wants to see it or to have it as a file."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmpredict.errors import InputError
from mmpredict.report.style import FORMATS, METADATA, house_style
from mmpredict.saving import save

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Picture:
    """Something to look at; notebooks show it.

    Attributes:
        title: what it shows, for those who cannot see it.
        draw: makes the figure; called within the house style.
    """

    title: str
    draw: Callable[[], Figure]

    def render(self, suffix: str) -> bytes:
        """The file's content; the same picture gives the same bytes.

        Args:
            suffix: one of ``FORMATS``.
        """
        with house_style():
            buffer = io.BytesIO()
            self.draw().savefig(buffer, format=suffix, metadata=METADATA[suffix])
        return buffer.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write it to a file, whose suffix decides the format: png, svg or pdf.

        Raises:
            InputError: the suffix is none of those.
            StorageError: the file could not be written.
        """
        path = Path(path)
        return save(self.render(picture_format(path)), path)

    def _repr_png_(self) -> bytes:
        return self.render("png")


def picture_format(path: Path) -> str:
    """The format that a file's suffix asks for.

    Raises:
        InputError: none of ``FORMATS``.
    """
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        allowed = ", ".join(f".{name}" for name in FORMATS)
        raise InputError(f"picture {path.name!r} has the unknown suffix {path.suffix!r}; allowed: {allowed}")
    return suffix
