"""A page is one file that fetches nothing, runs nothing, and takes no name for markup."""

from __future__ import annotations

import base64
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from outcomes import outcome

from mmpredict.report import page as page_module
from mmpredict.report.html import outcome_fragment, outcome_page, write_page
from mmpredict.report.page import Grid, Section, page
from mmpredict.report.recommendation_page import ranking_fragment, recommendation_page
from mmpredict.results.outcome import Outcome
from mmpredict.results.prediction import Interval
from mmpredict.results.ranked_plan import Binding, InfeasiblePlan, RankedPlan, Ranking
from mmpredict.units import GIB

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


def test_a_page_says_what_it_leaves_out() -> None:
    many = tuple(replace(outcome().predictions[0], strategy=f"plan {n}") for n in range(13))
    assert "The first 12 of 13 runs." in Reader(outcome_page(Outcome(predictions=many)).decode()).text
    measured = dict.fromkeys((one.strategy for one in many[:7]), outcome(1.0).measured["quick"])
    assert "The first 12 of 14 runs." in Reader(outcome_page(Outcome(predictions=many[:7], measured=measured)).decode()).text


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
    grid = Grid((hostile,), ((hostile,),), hostile)
    assert "<script" not in page(hostile, hostile, [Section(hostile, (hostile,), grid=grid)]).decode()


def ranked(rank: int, name: str, goal: Interval, memory_bytes: float, **more: Any) -> RankedPlan:
    return RankedPlan(
        rank, name, "family", {}, goal.value, goal, {"memory_bytes": Interval(memory_bytes, math.nan, math.nan)}, **more
    )


def test_a_recommendation_says_what_is_ranked_and_takes_no_name_for_markup() -> None:
    hostile = "<script>x</script>"
    cores = Binding("cores", {}, {}, "cores, all of the time")
    rows = (
        ranked(1, "first", Interval(1.0, 0.9, 1.2), 2 * GIB, binding=cores, draws=(1.0, 1.1)),
        ranked(2, hostile, Interval(1.5, math.nan, math.nan), GIB, worse_frac=0.5, probability=0.9),
        ranked(3, "beaten", Interval(2.0, 1.5, 2.5), 3 * GIB, worse_frac=1.0, probability=1.0),
    )
    broken, sources = (InfeasiblePlan(hostile, "family", "needs 9 GiB"),), {"provenance": ("a test",), "warnings": (hostile,)}
    ranking = Ranking("ttft-p95", "ttft_p95_s", False, rows, broken, **sources)
    document = recommendation_page("bench", ranking)
    assert document == recommendation_page("bench", ranking)
    found = Reader(document.decode())
    assert "script" not in {tag for tag, _ in found.tags}
    assert "<script" not in ranking_fragment(ranking)
    words = (
        "Recommendation: first on bench",
        "Recommended: first",
        "1.00 s",
        "50.0 %",
        "90.0 %",
        "cores, all of the time",
        "needs 9 GiB",
    )
    for word in words:
        assert word in found.text, word
    assert found.text.count(hostile) >= 3
    assert [tag for tag, _ in found.tags].count("img") == 1
    many = replace(ranking, ranked=tuple(ranked(n, f"plan {n}", Interval(1.0, 1.0, 1.0), GIB) for n in range(1, 104)))
    assert "3 more are not listed" in Reader(recommendation_page("bench", many).decode()).text
    unknown = replace(ranking, ranked=(ranked(1, "only", Interval(math.nan, math.nan, math.nan), GIB),))
    assert "What memory buys" not in Reader(recommendation_page("bench", unknown).decode()).text


def test_a_picture_with_too_many_lines_becomes_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "MAX_SHAPES", 5)  # of the timeline's bars there are more, the comparison counts none
    document = outcome_page(outcome()).decode()
    assert document.count("data:image/png;base64,") == document.count("data:image/svg+xml;base64,") == 1


def test_a_page_is_written(tmp_path: Path) -> None:
    assert write_page(outcome(), tmp_path / "a.html").read_bytes() == outcome_page(outcome())
