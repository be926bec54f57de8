"""A page is one file that fetches nothing, runs nothing, and takes no name for markup."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from outcomes import outcome

from mmpredict.report import page as page_module
from mmpredict.report.html import outcome_fragment, outcome_page, write_page
from mmpredict.report.page import Grid, Section, page
from mmpredict.results.outcome import Outcome

VOID = {"meta", "img", "br", "link"}


class Reader(HTMLParser):
    """Collects tags, attributes and text; every tag must be closed where it was opened."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(document)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return "\n".join(self.words)


@pytest.mark.parametrize("measured", [None, 1.2])
def test_a_page_is_one_file_that_fetches_and_runs_nothing(measured: float | None) -> None:
    document = outcome_page(outcome(measured))
    assert document == outcome_page(outcome(measured))
    found = Reader(document.decode())
    names = {tag for tag, _ in found.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "form", "base", "a"}
    for tag, attributes in found.tags:
        assert not any(name.startswith("on") for name in attributes)
        if tag == "img":
            assert (attributes["src"] or "").startswith("data:image/") and attributes["alt"]
        else:
            assert not {"src", "href", "srcset"} & attributes.keys()
    assert "default-src 'none'" in next(a["content"] or "" for _, a in found.tags if a.get("http-equiv"))
    outside = re.sub(r'src="data:[^"]*"', "", document.decode())
    assert "http" not in outside.replace("http-equiv", "") and "url(" not in outside and "@import" not in outside
    for _, attributes in found.tags:
        if (attributes.get("src") or "").startswith("data:image/svg"):
            svg = base64.b64decode((attributes["src"] or "").split(",")[1]).decode()
            assert "<script" not in svg and not re.search(r'(href|src)="(?!#)', svg)


def test_a_page_says_what_the_outcome_says() -> None:
    found = Reader(outcome_page(outcome(1.25)).decode()).text
    assert "Validation: quick, slow on bench" in found
    assert "Recommended: quick; slow takes +100.0 %, and is slower in 97.0 % of the draws" in found
    for word in ("-20.0 %", "huge", "needs 9 GiB", "beware", "invented for a test", "load of small (1.25 s)", "TTFT"):
        assert word in found, word
    plain = Reader(outcome_page(outcome()).decode()).text
    assert "Prediction: quick, slow on bench" in plain and "measured" not in plain.replace("of measurements", "")
    only_measured = Outcome(measured=outcome(1.0).measured)
    assert "Measurement: quick, slow" in Reader(outcome_page(only_measured).decode()).text


def test_names_from_files_cannot_become_markup() -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
    evil = outcome(1.1, hostile)
    evil = Outcome(hostile, evil.predictions, evil.measured, evil.choice, {hostile: hostile})
    document = outcome_page(evil).decode()
    found = Reader(document)
    assert "script" not in {tag for tag, _ in found.tags}
    assert all("onerror" not in attributes for _, attributes in found.tags)
    assert hostile in found.text, "it is shown as what it is"
    assert "<script" not in outcome_fragment(evil)
    assert (
        "<script"
        not in page(hostile, hostile, [Section(hostile, (hostile,), grid=Grid((hostile,), ((hostile,),)))], hostile).decode()
    )


def test_a_picture_with_too_many_lines_becomes_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "MAX_SVG_BYTES", 1000)
    document = outcome_page(outcome()).decode()
    assert "data:image/png;base64," in document and "data:image/svg" not in document


def test_a_page_is_written(tmp_path: Path) -> None:
    assert write_page(outcome(), tmp_path / "a.html").read_bytes() == outcome_page(outcome())
