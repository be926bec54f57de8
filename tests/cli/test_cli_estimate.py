"""``mmpredict estimate`` and ``mmpredict documents``: tables, JSON, exit codes and one line for what cannot be answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Call, Outcome, assert_one_line, command

SMALL, LARGE = "qwen2.5:0.5b", "qwen2.5:7b"


def test_a_table_with_every_part(call: Call) -> None:
    outcome = call("estimate", LARGE, "--hardware", "rtx-4090", "--ctx", "8k", "--parallel", "2")
    assert outcome.code == 0
    for word in (
        "mapped",
        "KV cache",
        "compute",
        "process",
        "VRAM",
        "RAM",
        "remains",
        "29 of 29",
        "2 slots of 4096 tokens",
        "fits",
    ):
        assert word in outcome.out
    for word in ("largest context that fits", "taken for granted: keys and values in f16", "source: qwen2.5:7b"):
        assert word in outcome.out
    assert outcome.err == ""


def test_lines_fit_where_there_is_no_terminal(call: Call) -> None:
    outcome = call("estimate", LARGE, LARGE, SMALL, "--hardware", "ms-s1-max")
    tables = [line for line in outcome.out.splitlines() if line.startswith(" ")]
    assert max(map(len, tables)) <= 110
    assert "again" in outcome.out


def test_what_does_not_fit_is_said_with_remedies(call: Call) -> None:
    outcome = call("estimate", LARGE, "--hardware", "jetson-orin-nano", "--ctx", "32k", "--gpu-layers", "all", "--parallel", "1")
    assert outcome.code == 3
    for word in ("likely not", "too much", "what would help", "--ctx", "--kv-type q8_0", "qwen2.5:7b as"):
        assert word in outcome.out


def test_models_that_the_server_would_unload_are_an_answer_of_no(call: Call) -> None:
    outcome = call("estimate", "gemma3:27b", "gemma3:4b", "--hardware", "rtx-4090", "--engine", "ollama", "--ctx", "32k")
    assert outcome.code == 3
    assert "unloads gemma3:27b first" in outcome.out


def test_json_is_one_document(call: Call) -> None:
    outcome = call("estimate", SMALL, SMALL, "--hardware", "jetson-orin-nano", "--ctx", "2k", "--kv-type-k", "q8_0", "--json")
    document = json.loads(outcome.out)
    assert document["schema_version"] == 1
    assert [one["key_type"] for one in document["instances"]] == ["q8_0", "q8_0"]
    assert document["instances"][0]["value_type"] == "f16"
    assert document["pools"][0]["needed"]["value"] > 0
    assert document["advice"]["largest_context_tokens"] > 0
    assert outcome.err == ""


def test_options_reach_the_estimate(call: Call) -> None:
    options = (
        "--batch",
        "1024",
        "--ubatch",
        "256",
        "--no-mmap",
        "--no-repack",
        "--flash-attn",
        "off",
        "--unified",
        "--parallel",
        "3",
    )
    document = json.loads(call("estimate", SMALL, "--hardware", "raspberry-pi-5", "--ctx", "4k", *options, "--json").out)
    (one,) = document["instances"]
    assert (one["ubatch_tokens"], one["unified"], one["slots"], one["flash_attention"]) == (256, True, 3, False)
    assert one["host"]["mapped"] == 0
    assert one["host"]["weights"] == pytest.approx(one["file_bytes"], rel=0.05)


def test_budgets_and_cards(call: Call) -> None:
    share = json.loads(call("estimate", SMALL, "--hardware", "raspberry-pi-5", "--ctx", "2k", "--budget", "25%", "--json").out)
    assert share["pools"][0]["usable"]["value"] == pytest.approx(share["pools"][0]["capacity_bytes"] / 4)
    card = json.loads(call("estimate", LARGE, "--vram", "8GiB", "--budget", "5GB", "--ctx", "2k", "--json").out)
    assert card["pools"][0]["capacity_bytes"] == 8 * 2**30
    assert card["pools"][0]["usable"]["value"] == 5e9


def test_file_types_beside_each_other(call: Call) -> None:
    outcome = call("estimate", LARGE, "--quants", "--vram", "8GiB", "--ctx", "4k")
    lines = [line.split() for line in outcome.out.splitlines()]
    rows = {line[0]: line for line in lines if line and line[0] in ("Q3_K_M", "Q4_K_M", "Q8_0", "F16")}
    assert set(rows) == {"Q3_K_M", "Q4_K_M", "Q8_0", "F16"}
    assert rows["Q4_K_M"][-1] == "yes"
    document = json.loads(call("estimate", LARGE, "--quants", "--vram", "8GiB", "--ctx", "4k", "--gpu-layers", "all", "--json").out)
    fits = {row["file_type"]: row["fits"] for row in document["quants"]}
    assert fits["Q4_K_M"]
    assert not fits["F16"]
    sizes = [row["instances"][0]["file_bytes"] for row in document["quants"]]
    assert sizes == sorted(sizes, reverse=True)


def test_this_machine_and_a_profile_of_ones_own(call: Call, place: Path) -> None:
    assert call("estimate", SMALL, "--ctx", "1k").code == 0
    outcome = call("estimate", SMALL, "--hardware", "machine.toml", "--ctx", "1k", "--json")
    assert json.loads(outcome.out)["hardware"] == "bench"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["qwen2.5:8b"], ["qwen2.5:7b"]),
        ([SMALL, "--hardware", "rtx-4091"], ["rtx-4090"]),
        ([SMALL, "--ctx", "0"], ["between 1 and"]),
        ([SMALL, "--ctx", "-5"], ["is no number of tokens"]),
        ([SMALL, "--ctx", "4GB"], ["unknown unit"]),
        ([SMALL, "--ctx", "99M"], ["between 1 and"]),
        ([SMALL, "--parallel", "0"], ["between 1 and 256"]),
        ([SMALL, "--kv-type", "q9"], ["unknown type of the KV cache"]),
        ([SMALL, "--gpu-layers", "some"], ["a number, all, none or fit"]),
        ([SMALL, "--hardware", "raspberry-pi-5", "--gpu-layers", "all"], ["no GPU"]),
        ([SMALL, "--engine", "vllm"], ["unknown engine", "ollama"]),
        ([SMALL, "--flash-attn", "maybe"], ["on, off and auto"]),
        ([SMALL, "--budget", "5G"], ["GB for the first or GiB"]),
        ([SMALL, "--vram", "10%"], ["percentage"]),
        ([SMALL, LARGE, "--quants"], ["of one model, not of 2"]),
        (["whisper-large-v3@F16"], ["audio", "weights alone"]),
    ],
)
def test_what_cannot_be_answered_is_one_line(call: Call, arguments: list[str], words: list[str]) -> None:
    assert_one_line(call("estimate", *arguments), 2, *words)


def test_no_model_is_a_usage_error(call: Call) -> None:
    assert call("estimate").code == 2


def test_the_documents(call: Call) -> None:
    outcome = call("documents")
    assert outcome.code == 0
    for word in ("general purpose", "33", "31.9", "DunaSpice/JetsonMind", "0.9", "13B Q4", "10-15 →"):
        assert word in outcome.out
    document = json.loads(call("documents", "--json").out)
    assert [row["stated_gb"] for row in document["placements"]] == [33, 56, 31]


def test_nothing_heavy_is_loaded_on_the_way(place: Path) -> None:
    code = (
        "import sys; from mmpredict.cli.main import run\n"
        f"sys.argv = ['mmpredict', 'estimate', '{LARGE}', '--hardware', 'rtx-4090', '--ctx', '4k', '--json']\n"
        "try:\n    run()\nexcept SystemExit:\n    pass\n"
        "print(*[name for name in ('numpy', 'scipy', 'pandas', 'matplotlib') if name in sys.modules], file=sys.stderr)"
    )
    assert python(place, code).err.strip() == ""


def python(place: Path, code: str) -> Outcome:
    import subprocess
    import sys

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=place / "work")
    return Outcome(ran.returncode, ran.stdout, ran.stderr)


def test_the_command_itself(place: Path) -> None:
    outcome = command(place, "estimate", SMALL, "--hardware", "jetson-orin-nano", "--ctx", "2k")
    assert (outcome.code, outcome.err) == (0, "")
