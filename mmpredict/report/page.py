"""Self-contained HTML: one file, nothing is fetched, nothing runs, and no name can become markup."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from mmpredict.report.picture import Picture
from mmpredict.results.prediction import INTERVAL_LEVEL

MAX_SHAPES = 5000
"""Beyond it a picture is put in as pixels: as lines it would make the page large and slow."""

# What the page may load: nothing but what is written in it. Names from files are escaped; this holds even if one were not.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_FOOTER = f"Written by mmpredict. An interval is meant to hold {INTERVAL_LEVEL * 100:.0f} % of measurements."
_CSS = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: .3rem } h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem }
.lead { font-size: 1.1rem; border-left: 4px solid #0072b2; padding: .3rem .8rem; background: #f3f8fc }
.warning { border-left: 4px solid #d55e00; padding: .1rem .8rem; margin: .4rem 0; background: #fdf5f0 }
figure { margin: .5rem 0; overflow-x: auto } img { max-width: 100%; height: auto }
figcaption, caption { color: #555; font-size: .9rem } caption { text-align: left; caption-side: bottom }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .6rem 0 }
th { text-align: left; border-bottom: 2px solid #999 } th, td { padding: .2rem .9rem .2rem 0; vertical-align: top }
td.number, th.number { text-align: right } tr.begin td { border-top: 1px solid #ddd } .scroll { overflow-x: auto }
footer { color: #777; font-size: .85rem; margin-top: 3rem }
"""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of a page.

    Attributes:
        columns: their headings; one that begins with ``>`` is right-aligned.
        rows: cells as text; a row whose first cell is not empty begins a group.
        caption: stands below.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page.

    Attributes:
        heading: stands above; empty for none.
        paragraphs: text.
        picture: with ``caption`` below it.
        grid: a table.
        warnings: sentences that must not be overlooked.
    """

    heading: str
    paragraphs: tuple[str, ...] = ()
    picture: Picture | None = None
    caption: str = ""
    grid: Grid | None = None
    warnings: tuple[str, ...] = ()


def page(title: str, lead: str, sections: Sequence[Section]) -> bytes:
    """A whole HTML document.

    Args:
        title: of the page.
        lead: the answer in a sentence or two; empty for none.
        sections: in order.
    """
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    policy = f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
    body = f"<h1>{escape(title)}</h1>\n{_lead(lead)}{fragment(sections)}<footer>{_FOOTER}</footer>"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}{policy}<style>{_CSS}</style></head>\n<body>{body}</body></html>\n'.encode()
    )


def fragment(sections: Sequence[Section]) -> str:
    """Sections without a document around them, as a notebook shows them."""
    return "".join(_section(section) for section in sections)


def grid_html(grid: Grid) -> str:
    """A table as HTML."""
    right = [column.startswith(">") for column in grid.columns]
    head = "".join(
        f"<th{_class(at)}>{escape(column.removeprefix('>'))}</th>" for at, column in zip(right, grid.columns, strict=True)
    )
    rows = [
        ('<tr class="begin">' if row[0] else "<tr>")
        + "".join(f"<td{_class(at)}>{escape(cell)}</td>" for at, cell in zip(right, row, strict=True))
        + "</tr>"
        for row in grid.rows
    ]
    caption = f"<caption>{escape(grid.caption)}</caption>" if grid.caption else ""
    body = "\n".join(rows)
    return f'<div class="scroll"><table>{caption}<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n'


def picture_html(picture: Picture, caption: str = "") -> str:
    """A picture within the page: lines where they are few enough, pixels otherwise."""
    suffix, kind = ("svg", "svg+xml") if picture.shapes <= MAX_SHAPES else ("png", "png")
    content = picture.render(suffix)
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><img alt="{escape(picture.title)}" src="{source}">{below}</figure>\n'


def _section(section: Section) -> str:
    parts = [f"<h2>{escape(section.heading)}</h2>\n" if section.heading else ""]
    parts += [f"<p>{escape(paragraph)}</p>\n" for paragraph in section.paragraphs]
    parts += [f'<p class="warning">{escape(warning)}</p>\n' for warning in section.warnings]
    parts.append(picture_html(section.picture, section.caption) if section.picture else "")
    parts.append(grid_html(section.grid) if section.grid else "")
    return "".join(parts)


def _lead(text: str) -> str:
    return f'<p class="lead">{escape(text[:1].upper() + text[1:])}</p>\n' if text else ""


def _class(right: bool) -> str:
    return ' class="number"' if right else ""
