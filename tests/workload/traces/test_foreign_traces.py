"""Traces of other projects, as they are published: a few literal lines of each."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from mmpredict.errors import FileFormatError, InputError, UnknownNameError
from mmpredict.workload.assignment import Assignment
from mmpredict.workload.request import Request
from mmpredict.workload.source import Source
from mmpredict.workload.traces.entry import WINDOW
from mmpredict.workload.traces.options import TraceOptions
from mmpredict.workload.traces.read import FORMATS, TraceCount, read_trace

ONE = TraceOptions(models=Assignment({"m": 1.0}))
AZURE_2023 = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:16:46.6805900,20000,5000
2023-11-16 18:17:00.0000000,0,7
"""
AZURE_2024 = """TIMESTAMP,ContextTokens,GeneratedTokens
2024-05-12 00:00:00+00:00,100,10
2024-05-12 00:00:10.009930+00:00,200,20
"""
AZURE_2025 = "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\n2024-10-15 00:00:00.0000000,2,900,120\n"
BURSTGPT_1 = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,ChatGPT,1087,230,1317,Conversation log
118,GPT-4,417,276,693,Conversation log
120,GPT-4,300,0,300,API log
"""
BURSTGPT_3 = """Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type
19440110.0,1722ac82-0a46-4bf0-aa08-89794e7a2b3f,43,GPT-4,906,446,1352,Conversation log
19440161.0,d5983bf9-4b48-497b-892b-a58995247443,2,ChatGPT,36,29,65,Conversation log
"""
# From the tool-and-agent trace: two calls that begin alike, and a third that has nothing in common with them.
MOONCAKE = """{"timestamp": 0, "input_length": 3121, "output_length": 20, "hash_ids": [74, 75, 76, 77, 78, 79, 80]}
{"timestamp": 0, "input_length": 2290, "output_length": 316, "hash_ids": [0, 42, 43, 44, 45]}
{"timestamp": 3000, "input_length": 3137, "output_length": 19, "hash_ids": [74, 75, 76, 77, 78, 126, 127]}
"""
NAMES = TraceOptions(names={"ChatGPT": "llama3.2:1b", "GPT-4": "qwen2.5:14b"})


def found(folder: Path, text: str, form: str, options: TraceOptions = ONE, **source: float) -> list[Request]:
    path = folder / "trace"
    path.write_text(text, "utf-8")
    return list(read_trace(path, form, Source(name="t", **source), options))  # type: ignore[arg-type]


def test_azure_of_2023(tmp_path: Path) -> None:
    (tmp_path / "azure.csv.gz").write_bytes(gzip.compress(AZURE_2023.encode()))
    count = TraceCount()
    requests = list(read_trace(tmp_path / "azure.csv.gz", "azure", Source(name="t"), ONE, count))
    assert [(one.id, one.model, one.prompt_tokens, one.output_tokens) for one in requests] == [
        ("t.2", "m", 374, 44),
        ("t.3", "m", 396, 109),
        ("t.4", "m", 20000, 5000),
    ]
    assert [one.arrival_s for one in requests] == pytest.approx([0.0, 4.314579, 60.0], abs=2e-6)
    assert (count.requests, count.skipped) == (3, 1)


def test_azure_of_later_years(tmp_path: Path) -> None:
    assert [one.arrival_s for one in found(tmp_path, AZURE_2024, "azure")] == pytest.approx([0.0, 10.00993], abs=2e-6)
    assert [(one.prompt_tokens, one.output_tokens) for one in found(tmp_path, AZURE_2025, "azure")] == [(900, 120)]


def test_burstgpt(tmp_path: Path) -> None:
    requests = found(tmp_path, BURSTGPT_1, "burstgpt", NAMES)
    assert [(one.arrival_s, one.model, one.prompt_tokens, one.output_tokens, one.session) for one in requests] == [
        (0.0, "llama3.2:1b", 472, 18, ""),
        (40.0, "llama3.2:1b", 1087, 230, ""),
        (113.0, "qwen2.5:14b", 417, 276, ""),
    ]
    later = found(tmp_path, BURSTGPT_3, "burstgpt", NAMES)
    assert [(one.arrival_s, one.session, one.shared_tokens) for one in later] == [
        (0.0, "t.1722ac82-0a46-4bf0-aa08-89794e7a2b3f", 0),
        (51.0, "t.d5983bf9-4b48-497b-892b-a58995247443", 0),
    ]


def test_a_model_without_a_name_of_ours_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown model of the trace 'ChatGPT'; did you mean Chat-GPT\?.*names"):
        found(tmp_path, BURSTGPT_1, "burstgpt", TraceOptions(names={"Chat-GPT": "a"}))
    with pytest.raises(InputError, match="does not say which model was asked; give model, or models with weights"):
        found(tmp_path, AZURE_2023, "azure", TraceOptions())


def test_mooncake(tmp_path: Path) -> None:
    requests = found(tmp_path, MOONCAKE, "mooncake")
    assert [(one.arrival_s, one.prompt_tokens, one.output_tokens, one.session, one.shared_tokens) for one in requests] == [
        (0.0, 3121, 20, "t.s1", 0),
        (0.0, 2290, 316, "t.s2", 0),
        (3.0, 3137, 19, "t.s1", 5 * 512),
    ]


def mooncake(*prompts: tuple[int, list[int]]) -> str:
    rows = ({"timestamp": at, "input_length": n, "output_length": 9, "hash_ids": ids} for at, (n, ids) in enumerate(prompts))
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_conversations_with_one_system_prompt_are_sessions_of_their_own(tmp_path: Path) -> None:
    text = mooncake((2000, [0, 1, 2, 3]), (2000, [0, 4, 5, 6]), (3000, [0, 1, 2, 7, 8, 9]), (2500, [0, 4, 5, 10, 11]))
    assert [(one.session, one.shared_tokens) for one in found(tmp_path, text, "mooncake")] == [
        ("t.s1", 0),
        ("t.s2", 0),
        ("t.s1", 3 * 512),
        ("t.s2", 3 * 512),
    ]


def test_what_is_shared_is_shared_with_the_sessions_last_prompt(tmp_path: Path) -> None:
    # The third goes back to the first, of which the second has kept two blocks of four.
    text = mooncake((2000, [1, 2, 3, 4]), (2000, [1, 2, 5, 6]), (2000, [1, 2, 3, 4]))
    assert [one.shared_tokens for one in found(tmp_path, text, "mooncake")] == [0, 1024, 1024]
    again = mooncake((2000, [1, 2, 3, 4]), (2000, [1, 2, 3, 4]), (100, [7]), (100, [7]))
    assert [one.shared_tokens for one in found(tmp_path, again, "mooncake")] == [0, 1999, 0, 99]


def test_a_trace_without_its_beginning_shares_nothing_with_it(tmp_path: Path) -> None:
    text = mooncake((2000, [1, 2, 3, 4]), (2500, [1, 2, 3, 4, 5]), (3000, [1, 2, 3, 4, 5, 6]))
    options = TraceOptions(start_s=0.001, models=ONE.models)
    assert [one.shared_tokens for one in found(tmp_path, text, "mooncake", options)] == [0, 2500]


ACTIVITY = [
    {
        "id": 2,
        "timestamp": "2026-08-22T12:00:10.5Z",
        "model": "qwen",
        "resp_status_code": 200,
        "duration_ms": 4500,
        "tokens": {"cache_tokens": 100, "input_tokens": 30, "output_tokens": 40, "tokens_per_second": 9.5},
    },
    {
        "id": 1,
        "timestamp": "2026-08-22T12:00:05Z",
        "model": "llama",
        "resp_status_code": 200,
        "duration_ms": 2000,
        "tokens": {"cache_tokens": -1, "input_tokens": 12, "output_tokens": 8},
    },
    {
        "id": 3,
        "timestamp": "2026-08-22T12:00:20Z",
        "model": "llama",
        "resp_status_code": 500,
        "duration_ms": 10,
        "tokens": {"cache_tokens": 0, "input_tokens": 0, "output_tokens": 0},
    },
]
OLD = [{**{k: v for k, v in one.items() if k != "tokens"}, **one["tokens"]} for one in ACTIVITY]  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"data": ACTIVITY, "page": 1, "limit": 25, "total": 3, "total_pages": 1}),
        json.dumps(OLD, indent=2),
        "".join(json.dumps(one) + "\n" for one in ACTIVITY),
    ],
    ids=["page", "array", "lines"],
)
def test_llama_swap(tmp_path: Path, text: str) -> None:
    requests = found(tmp_path, text, "llama-swap", TraceOptions())
    assert [(one.arrival_s, one.model, one.prompt_tokens, one.output_tokens) for one in requests] == [
        (0.0, "llama", 12, 8),
        (3.0, "qwen", 130, 40),
    ]


def test_a_part_of_a_trace_faster(tmp_path: Path) -> None:
    options = TraceOptions(speed=2.0, start_s=4.0, stop_s=60.0, models=ONE.models)
    (request,) = found(tmp_path, AZURE_2023, "azure", options, start_s=100.0)
    assert request.prompt_tokens == 396
    assert request.arrival_s == pytest.approx(100 + 0.314579 / 2, abs=2e-6)


def test_requests_of_a_session_ask_one_model(tmp_path: Path) -> None:
    prompts = [(512 * n, [1000 * s + block for block in range(n)]) for n in range(1, 4) for s in range(300)]
    options = TraceOptions(models=Assignment({"a": 1.0, "b": 1.0}))
    requests = found(tmp_path, mooncake(*prompts), "mooncake", options)
    models: dict[str, set[str]] = {}
    for one in requests:
        models.setdefault(one.session, set()).add(one.model)
    assert len(models) == 300 and all(len(names) == 1 for names in models.values())
    assert Counter(next(iter(names)) for names in models.values())["a"] == pytest.approx(150, abs=35)


def azure(*seconds: int) -> str:
    rows = (f"2023-11-16 18:{second // 60:02d}:{second % 60:02d},{second + 1},1\n" for second in seconds)
    return "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(rows)


def test_lines_nearly_in_order_are_put_in_order(tmp_path: Path) -> None:
    assert [one.arrival_s for one in found(tmp_path, azure(1, 0, 3, 2), "azure")] == [0.0, 1.0, 2.0, 3.0]
    with pytest.raises(FileFormatError, match=rf"line {WINDOW + 3}: it is 1 s older than lines before it; sort the file by time"):
        found(tmp_path, azure(*range(1, WINDOW + 2), 0), "azure")


@pytest.mark.parametrize(
    ("form", "text", "message"),
    [
        ("azure", "a,b\n1,2\n", "line 1: there is no column 'TIMESTAMP'; needed: TIMESTAMP, ContextTokens, GeneratedTokens"),
        ("azure", azure(1) + "2023-11-16 18:15:46,5\n", "line 3: it has 2 cells, but there are 3 columns"),
        ("azure", azure(1) + "yesterday,5,5\n", "line 3: TIMESTAMP is 'yesterday'; it must be a date with time"),
        (
            "azure",
            azure(1) + "2023-11-16 18:15:46,-5,5\n",
            "line 3: ContextTokens is '-5'; it must be a whole number between 0 and",
        ),
        ("azure", azure(1) + "2023-11-16 18:15:46,5,99999999\n", "line 3: GeneratedTokens is '99999999'"),
        ("burstgpt", BURSTGPT_1 + "nan,ChatGPT,1,1,2,x\n", "line 6: Timestamp is 'nan'; it must be a number between 0 and"),
        ("burstgpt", BURSTGPT_1 + "1,,1,1,2,x\n", "line 6: Model is ''; it must be a text"),
        ("mooncake", MOONCAKE + "{}\n", "line 4: input_length is missing"),
        ("mooncake", MOONCAKE.replace("42", '"42"'), "line 2: hash_ids is no list of whole numbers"),
        ("mooncake", MOONCAKE.replace("3137", "1e999"), "line 3: input_length is inf"),
        ("mooncake", "no\n", "line 1: no JSON"),
        ("llama-swap", "{}\n{", "line 2: it is no JSON"),
        ("llama-swap", "[3]", "line 1: the request is no JSON object"),
        ("llama-swap", json.dumps([ACTIVITY[0], {"id": 3}]), "line 2: timestamp is missing"),
    ],
)
def test_malformed_lines_are_named(tmp_path: Path, form: str, text: str, message: str) -> None:
    with pytest.raises(FileFormatError, match=message) as caught:
        found(tmp_path, text, form, NAMES if form == "burstgpt" else ONE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("text", ["\x00\x01", "{", "[]", "a,b,c", '"', "{}" * 3, "\ufeff"])
def test_garbage_is_no_crash(tmp_path: Path, form: str, text: str) -> None:
    try:
        assert found(tmp_path, text, form) == []
    except InputError as error:
        assert str(tmp_path / "trace") in str(error)


def test_unknown_formats_and_impossible_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown trace format 'mooncakes'; did you mean mooncake"):
        found(tmp_path, "", "mooncakes")
    for options, message in (
        ({"speed": 0.0}, "speed is 0.0"),
        ({"start_s": -1.0}, "trace_start_s is -1.0"),
        ({"start_s": 5.0, "stop_s": 5.0}, "trace_stop_s is 5.0; it must be more than trace_start_s"),
        ({"limit": 0}, "requests is 0"),
        ({"names": {"a": "b"}, "models": ONE.models}, "names and models cannot both be given"),
    ):
        with pytest.raises(InputError, match=message):
            TraceOptions(**options)  # type: ignore[arg-type]
