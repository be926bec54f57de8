"""Our own form of a workload: what was written is read again, and each mistake is named with its line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.errors import FileFormatError, InputError, StorageError
from mmpredict.workload.request import Request, Workload
from mmpredict.workload.source import Source
from mmpredict.workload.traces.lines import MAX_LINE_BYTES
from mmpredict.workload.traces.options import TraceOptions
from mmpredict.workload.traces.own import read_requests, write_requests
from mmpredict.workload.traces.read import TraceCount, read_trace

A = Request("a", "llama3.2:1b", 300, 50, 1.5, session="s")
B = Request("b", "qwen2.5:3b", 400, 20, 3.0, 2, "s", 350, ("a",), 1.5, 30.0)
LINES = (
    '{"id": "a", "model": "llama3.2:1b", "prompt_tokens": 300, "output_tokens": 50, "arrival_s": 1.5, "session": "s"}\n'
    '{"id": "b", "model": "qwen2.5:3b", "prompt_tokens": 400, "output_tokens": 20, "arrival_s": 3.0, "priority": 2, '
    '"session": "s", "shared_tokens": 350, "after": ["a"], "delay_s": 1.5, "deadline_s": 30.0}\n'
)


def written(folder: Path, text: str) -> Path:
    path = folder / "trace.jsonl"
    path.write_text(text, "utf-8")
    return path


def test_requests_are_written_without_what_has_its_default(tmp_path: Path) -> None:
    assert write_requests([A, B], tmp_path / "w.jsonl") == 2
    assert (tmp_path / "w.jsonl").read_text("utf-8") == LINES
    assert list(read_requests(written(tmp_path, LINES))) == [A, B]


names = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=12)


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    made: list[Request] = []
    for number in range(draw(st.integers(1, 8))):
        after = tuple(draw(st.lists(st.sampled_from([one.id for one in made]), max_size=3))) if made else ()
        session = draw(st.one_of(st.just(""), names))
        prompt_tokens = draw(st.integers(1, 10_000_000))
        made.append(
            Request(
                f"{number}{draw(names)}",
                draw(names),
                prompt_tokens,
                draw(st.integers(1, 10_000_000)),
                draw(st.floats(0, 1e9)),
                draw(st.integers(-1_000_000, 1_000_000)),
                session,
                draw(st.integers(0, prompt_tokens - 1)) if session else 0,
                after,
                draw(st.floats(0, 1e6)) if after else 0.0,
                draw(st.one_of(st.none(), st.floats(1e-6, 1e6))),
            )
        )
    return Workload(tuple(made))


@given(workloads(), st.sampled_from(["w.jsonl", "w.jsonl.gz"]))
def test_what_was_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, workload: Workload, name: str) -> None:
    path = tmp_path_factory.mktemp("own") / name
    write_requests(workload.requests, path)
    first = path.read_bytes()
    assert Workload(tuple(read_requests(path))) == workload
    write_requests(workload.requests, path)
    assert path.read_bytes() == first, "the same requests are the same bytes"


GOOD = '{"id": "a", "model": "m", "prompt_tokens": 3, "output_tokens": 2}'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "no JSON: .* at column 2"),
        ("[1]", "it is no JSON object"),
        ("[" * 100_000, "no JSON: nested too deeply"),
        (GOOD.replace("3", "NaN"), "NaN is no number"),
        (GOOD.replace("prompt_tokens", "promt_tokens"), "unknown key 'promt_tokens'; did you mean 'prompt_tokens'?"),
        (GOOD.replace('"model": "m", ', ""), "model is missing"),
        (GOOD.replace("3", "3.5"), "prompt_tokens is 3.5; it must be a whole number"),
        (GOOD.replace("3", "true"), "prompt_tokens is True; it must be a whole number"),
        (GOOD.replace("3", '"3"'), "prompt_tokens is '3'; it must be a whole number"),
        (GOOD.replace("3", "-3"), "request 'a': prompt_tokens is -3"),
        (GOOD.replace("3", "1" + "0" * 4000), "prompt_tokens is 10+; it must be a whole number"),
        (GOOD.replace('"a"', '""'), "id is ''; it must be a text"),
        (GOOD.replace('"a"', '"\\u001b[2J"'), "id is .*; it must be a text of at most 512 printable characters"),
        (GOOD.replace("}", ', "after": "b"}'), "after is 'b'; it must be a list of ids"),
        (GOOD.replace("}", ', "after": [1]}'), "it must be a list of ids"),
        (GOOD.replace("}", ', "deadline_s": "soon"}'), "it must be a number of seconds"),
        (GOOD.replace("}", ', "shared_tokens": 1}'), "nothing is shared without a session"),
        (GOOD.replace("}", ', "arrival_s": 1' + "0" * 400 + "}"), "arrival_s is 10+; it must be a number of seconds"),
        (GOOD.replace("}", ', "arrival_s": 1}'), "arrival_s is 1.0, before the 2.0 of the line before it"),
        ('{"id": "' + "x" * MAX_LINE_BYTES + '"}', f"it is longer than {MAX_LINE_BYTES} bytes"),
    ],
    ids=[str(number) for number in range(20)],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    first = GOOD.replace('"a"', '"first"').replace("}", ', "arrival_s": 2.0}')
    later = line.replace(GOOD[-1:], ', "arrival_s": 2.0}') if line.startswith('{"id": "a"') and "arrival_s" not in line else line
    path = written(tmp_path, f"{first}\n\n{later}\n")
    with pytest.raises(FileFormatError, match=message) as caught:
        list(read_requests(path))
    assert f"{path}, line 3: " in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read trace .*none\.jsonl: No such file"):
        list(read_requests(tmp_path / "none.jsonl"))
    with pytest.raises(InputError, match=r"cannot read trace .*: Is a directory"):
        list(read_requests(tmp_path))
    (tmp_path / "cut.gz").write_bytes(gzip.compress(LINES.encode())[:-20])
    with pytest.raises(FileFormatError, match="the compressed file is damaged or cut off"):
        list(read_requests(tmp_path / "cut.gz"))
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\n")
    with pytest.raises(FileFormatError, match="line 1: it is no text in UTF-8"):
        list(read_requests(tmp_path / "binary.jsonl"))
    with pytest.raises(StorageError, match="cannot write"):
        write_requests([A], tmp_path / "none" / "w.jsonl")


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    def failing() -> list[Request]:
        raise InputError("no more")

    with pytest.raises(InputError):
        write_requests((one for one in [A, *failing()]), tmp_path / "w.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_a_file_is_read_faster(tmp_path: Path) -> None:
    path = written(tmp_path, LINES)
    whole = list(read_trace(path, "jsonl", Source(name="")))
    assert whole == [A, B]
    fast = list(read_trace(path, "jsonl", Source(name="x", start_s=10.0, priority=7, deadline_s=5.0), TraceOptions(speed=3.0)))
    assert [(one.id, one.session, one.arrival_s, one.priority, one.deadline_s) for one in fast] == [
        ("x.a", "x.s", 10.5, 7, 5.0),
        ("x.b", "x.s", 11.0, 2, 30.0),
    ]
    assert (fast[1].after, fast[1].delay_s) == (("x.a",), 0.5)
    (late,) = read_trace(path, "jsonl", Source(name=""), TraceOptions(start_s=2.0))
    # Nobody waits for a request that is left out, and no cache holds what it left.
    assert (late.after, late.delay_s, late.shared_tokens, late.arrival_s) == ((), 0.0, 0, 1.0)
    assert [one.id for one in read_trace(path, "jsonl", Source(name=""), TraceOptions(stop_s=3.0))] == ["a"]


def test_a_limit_does_not_read_on(tmp_path: Path) -> None:
    path, count = written(tmp_path, LINES + "garbage\n"), TraceCount()
    assert len(list(read_trace(path, "jsonl", Source(), TraceOptions(limit=2), count))) == 2
    assert (count.requests, count.skipped) == (2, 0)


def test_names_of_the_file_can_be_others(tmp_path: Path) -> None:
    options = TraceOptions(names={"llama3.2:1b": "small", "qwen2.5:3b": "large"})
    assert [one.model for one in read_trace(written(tmp_path, LINES), "jsonl", Source(), options)] == ["small", "large"]
    assert json.loads(LINES.splitlines()[0])["model"] == "llama3.2:1b"
