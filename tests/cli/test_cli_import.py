"""``mmpredict calibrate import``."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from commands import Call, assert_one_line

HEAD = "| model | test | t/s |\n|---|---|---|\n"
GOOD, BAD = "| llama 8B Q8_0 | pp512 | 884.21 ± 5.51 |\n", "| llama 8B Q8_0 | tg128 | quick |\n"


def test_rows_are_counted_and_written(call: Call) -> None:
    Path("a.md").write_text(HEAD + GOOD + BAD, "utf-8")
    Path("b.csv").write_text('n_prompt,n_gen,avg_ts\n"0","128","33.5"\n"0","64","34.5"\n')
    outcome = call("calibrate", "import", "a.md", "b.csv", "--output", "rows.jsonl")
    assert outcome.code == 0
    assert [line.split("│")[1:-1] for line in outcome.out.splitlines() if "llama-bench-" in line] == [
        [" a.md  ", " llama-bench-md  ", "    1 ", "       1 ", "        0 "],
        [" b.csv ", " llama-bench-csv ", "    2 ", "       0 ", "        0 "],
    ]
    assert "a.md, line 4: skipped, t/s 'quick'" in outcome.err
    rows = [json.loads(line) for line in Path("rows.jsonl").read_text("utf-8").splitlines()]
    assert [(row["file"], row["line"], row["test"], row["tokens_per_s"]) for row in rows] == [
        ("a.md", 3, "pp", 884.21),
        ("b.csv", 2, "tg", 33.5),
        ("b.csv", 3, "tg", 34.5),
    ]
    document = json.loads(call("calibrate", "import", "a.md", "b.csv", "--json").out)
    assert document["schema_version"] == 1
    assert [(one["read"], len(one["skipped"])) for one in document["files"]] == [(1, 1), (2, 0)]
    assert document["rows"] == rows


def test_nothing_read_is_an_error(call: Call) -> None:
    Path("bad.md").write_text(HEAD + BAD, "utf-8")
    Path("rows.jsonl").write_text("older")
    outcome = call("calibrate", "import", "bad.md", "--output", "rows.jsonl")
    assert outcome.code == 2
    assert "no row was read" in outcome.err
    assert Path("rows.jsonl").read_text() == "older"
    assert_one_line(call("calibrate", "import", "lost.md"), 2, "lost.md", "no such file")
    assert_one_line(call("calibrate", "import", "bad.md", "--format", "llama-bench-mp"), 2, "llama-bench-md")


def test_one_unreadable_file_does_not_hide_the_others(call: Call) -> None:
    Path("a.md").write_text(HEAD + GOOD, "utf-8")
    outcome = call("calibrate", "import", "lost.md", "a.md", "--json")
    assert outcome.code == 0
    document = json.loads(outcome.out)
    assert (len(document["rows"]), len(document["unreadable"])) == (1, 1)


def test_a_database_beside_texts(call: Call) -> None:
    with closing(sqlite3.connect("swap.sqlite")) as database:
        database.execute(
            "CREATE TABLE activity (id INTEGER PRIMARY KEY, ts_created INTEGER, model_id TEXT, cache_tokens INTEGER,"
            " draft_tokens INTEGER, input_tokens INTEGER, output_tokens INTEGER, prompt_per_second REAL,"
            " tokens_per_second REAL, duration_ms INTEGER)"
        )
        database.execute("INSERT INTO activity VALUES (5, 1787000000, 'qwen3-8b', 0, -1, 400, 201, 800.0, 50.0, 4512)")
        database.execute("INSERT INTO activity VALUES (6, 1787000060, 'qwen3-8b', 0, 30, 0, 201, 0, 50.0, 4512)")
        database.commit()
    Path("bench.csv").write_text("NAME,STEP,COUNT,NS_PER_COUNT,TOKEN_PER_SEC\ngemma3,generate,101,19801980.20,50.50\n", "utf-8")
    document = json.loads(call("calibrate", "import", "swap.sqlite", "bench.csv", "--json").out)
    assert [(one["format"], one["read"]) for one in document["files"]] == [("llama-swap-db", 2), ("ollama-bench-csv", 1)]
    assert [(bad["line"], bad["reason"][:20]) for bad in document["files"][0]["skipped"]] == [(6, "request 6: the token")]
    assert [row["test"] for row in document["rows"]] == ["pp", "tg", "tg"]
