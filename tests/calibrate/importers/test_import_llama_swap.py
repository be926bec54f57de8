"""llama-swap's activity: what a request says of itself, and what the requests around it say of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from mmpredict.calibrate.importers.formats import READERS, detect
from mmpredict.calibrate.importers.row import BenchRow, Found, Rejected
from mmpredict.calibrate.importers.spans import Spans

START_S = 1_787_000_000


def entry(number: int = 17, ended_s: float = 0.25, model: str = "qwen3-8b", **change: Any) -> dict[str, Any]:
    """A request of 400 prompt tokens in 0.5 s and 200 steps in 4 s, as llama-swap writes it since June 2026."""
    tokens = {"cache_tokens": 100, "draft_tokens": -1, "draft_acc_tokens": -1, "input_tokens": 90, "output_tokens": 201}
    tokens |= {"prompt_per_second": 180.0, "tokens_per_second": 50.0}
    timestamp = datetime.fromtimestamp(START_S + ended_s, UTC).isoformat().replace("+00:00", "Z")
    row = {"id": number, "timestamp": timestamp, "model": model, "req_path": "/v1/chat/completions"}
    row |= {"resp_content_type": "application/json", "resp_status_code": 200, "duration_ms": 4512, "has_capture": False}
    tokens |= {name: value for name, value in change.items() if name in tokens}
    return row | {"tokens": tokens} | {name: value for name, value in change.items() if name not in tokens}


def page(*entries: dict[str, Any]) -> str:
    return json.dumps({"data": entries, "page": 1, "limit": 25, "total": len(entries), "total_pages": 1})


def flat(one: dict[str, Any], *without: str) -> dict[str, Any]:
    """The same as versions before April 2026 wrote it."""
    return {name: value for name, value in (one | one["tokens"]).items() if name not in ("tokens", "resp_status_code", *without)}


def found(text: str) -> list[Found]:
    assert detect(text) == "llama-swap-json"
    return list(READERS["llama-swap-json"](text, "file"))


def rows(*entries: dict[str, Any]) -> list[BenchRow]:
    items = found(json.dumps(entries))
    assert not [item for item in items if isinstance(item, Rejected)]
    return [item for item in items if isinstance(item, BenchRow)]


def refused(*entries: dict[str, Any]) -> list[str]:
    return [item.reason for item in found(json.dumps(entries)) if isinstance(item, Rejected)]


def test_two_rows_of_a_request() -> None:
    for text in (json.dumps([entry()]), page(entry()), json.dumps(entry(), indent=2)):
        prompt, generated = (item for item in found(text) if isinstance(item, BenchRow))
        assert (prompt.test, prompt.tokens_per_s, prompt.n_prompt, prompt.n_gen, prompt.depth) == ("pp", 180.0, 90, 0, 100)
        assert (generated.test, generated.tokens_per_s, generated.n_prompt, generated.n_gen) == ("tg", 50.0, 0, 201)
        assert (generated.depth, generated.parallel, generated.model, generated.engine) == (190, None, "qwen3-8b", "llama-swap")
        assert (generated.line, generated.date) == (1, entry()["timestamp"])
        assert prompt.doubt is generated.doubt is None


def test_older_versions() -> None:
    prompt, generated = rows(flat(entry()))
    assert (prompt.tokens_per_s, generated.tokens_per_s, generated.depth, generated.doubt) == (180.0, 50.0, 190, None)
    prompt, generated = rows(flat(entry(), "draft_tokens", "draft_acc_tokens"))
    assert prompt.doubt is None
    assert generated.doubt is not None
    assert "drafted" in generated.doubt
    prompt, generated = rows(flat(entry(), "draft_tokens", "draft_acc_tokens", "cache_tokens"))
    assert (prompt.depth, generated.depth) == (None, None)
    assert prompt.doubt is not None
    assert "cached" in prompt.doubt
    (reason,) = refused(flat(entry(), "draft_tokens", "draft_acc_tokens", "cache_tokens", "prompt_per_second"))
    assert "both kinds" in reason


def test_what_is_not_told() -> None:
    prompt, generated = rows(entry(cache_tokens=-1))
    assert (prompt.depth, generated.depth, prompt.doubt) == (None, None, None)
    maybe = rows(entry(cache_tokens=60))  # vLLM's 90 tokens would include them
    assert all(row.doubt is not None and "cached" in row.doubt for row in maybe)
    (few,) = [row for row in rows(entry(output_tokens=11)) if row.test == "tg"]
    assert few.doubt == "the rate of an older llama-server counts 11 tokens in 10 steps"
    assert [row.test for row in rows(entry(output_tokens=0, tokens_per_second=0))] == ["pp"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"draft_tokens": 30, "draft_acc_tokens": 20}, "drafted"),
        ({"output_tokens": 1}, "no step"),
        ({"tokens_per_second": -1}, "no speed of generation"),
        ({"tokens_per_second": "fast"}, "tokens_per_second"),
        ({"tokens_per_second": -3.5}, "tokens_per_second"),
        ({"tokens_per_second": 1e12}, "tokens_per_second"),
        ({"tokens_per_second": False}, "tokens_per_second"),
        ({"tokens_per_second": 5.0}, "took 4.512 s"),
        ({"prompt_per_second": -1, "tokens_per_second": -1.0}, "no speeds"),
        ({"resp_status_code": 502, "error_msg": "model unavailable"}, "status 502"),
        ({"input_tokens": -5}, "input_tokens"),
        ({"input_tokens": 2**40}, "input_tokens"),
        ({"cache_tokens": -2}, "cache_tokens"),
        ({"model": "x" * 5000}, "model"),
        ({"model": 7}, "model"),
        ({"duration_ms": 10**40}, "duration_ms"),
        ({"duration_ms": None}, "duration_ms"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": "2026-08-22"}, "time zone"),
        ({"timestamp": "2026-13-22T12:00:00Z"}, "month"),
        ({"timestamp": None}, "timestamp"),
    ],
    ids=str,
)
def test_what_is_no_speed_is_refused_alone(change: dict[str, Any], reason: str) -> None:
    reasons = refused(entry(**change), entry(18, ended_s=60.25))
    assert len(reasons) == 1
    assert reasons[0].startswith("request 17: ")
    assert reason in reasons[0]
    assert len(reasons[0]) < 300


def test_malformed_pages() -> None:
    items = found(page(entry(), 7, entry(18, ended_s=60.25)))  # type: ignore[arg-type]
    assert [type(item) for item in items] == [BenchRow, BenchRow, Rejected, BenchRow, BenchRow]
    assert [type(item) for item in found(page() + "\n" + page(entry()))] == [BenchRow, BenchRow]
    broken = '{"data": 7, "total_pages": 1}\n' + page(entry())
    assert [type(item) for item in found(broken)] == [Rejected, BenchRow, BenchRow]


def test_company_in_the_same_steps_is_refused() -> None:
    reasons = refused(entry(1, ended_s=0.25), entry(2, ended_s=2.25))
    assert reasons == [f"request {number}: other requests ran in the same steps" for number in (1, 2)]
    assert not refused(entry(1, ended_s=0.25), entry(2, ended_s=4.8))  # one after another
    assert {row.doubt for row in rows(entry(1, ended_s=0.25), entry(2, ended_s=4.8))} == {None}


def test_another_model_beside_is_a_doubt() -> None:
    beside = rows(entry(1, ended_s=0.25), entry(2, ended_s=2.25, model="gemma3"))
    assert {row.doubt for row in beside} == {"another model ran at the same time, or may have"}


def test_whole_seconds_leave_open_who_ran_beside() -> None:
    items = rows(entry(1, ended_s=0), entry(2, ended_s=5))
    assert all(row.doubt is not None and "as far as the times tell" in row.doubt for row in items)
    assert {row.doubt for row in rows(entry(1, ended_s=0), entry(2, ended_s=7))} == {None}
    assert len(refused(entry(1, ended_s=0), entry(2, ended_s=2))) == 2


def test_requests_without_speeds_are_company_too() -> None:
    failed = entry(2, ended_s=1.25, resp_status_code=500, input_tokens=0, output_tokens=0, duration_ms=1000)
    items = found(json.dumps([entry(1, ended_s=0.75), failed]))
    assert [type(item) for item in items] == [BenchRow, BenchRow, Rejected]
    assert all(item.doubt is not None and "may have run" in item.doubt for item in items if isinstance(item, BenchRow))


def test_spans() -> None:
    spans = Spans([(0, 2), (1, 3), (3, 4), (5, 5)])
    assert [spans.touching(span) for span in ((0, 1), (1, 2), (2, 3), (3, 4), (4, 6), (0, 9), (2, 2))] == [1, 2, 1, 1, 0, 3, 0]
