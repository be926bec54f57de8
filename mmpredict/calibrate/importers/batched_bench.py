"""llama-batched-bench (``tools/batched-bench/batched-bench.cpp``): JSON Lines, and the table with the line of settings above it.

Each line measures a prompt per sequence (or one shared by all) and then generation of all sequences together: two rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mmpredict.calibrate.importers import fields as read
from mmpredict.calibrate.importers.fields import Fields
from mmpredict.calibrate.importers.llama_bench import ENGINE
from mmpredict.calibrate.importers.llama_bench_markdown import table_cells
from mmpredict.calibrate.importers.objects import objects
from mmpredict.calibrate.importers.row import BenchRow, Found, Rejected, RowError

COLUMNS = {
    "PP": "pp",
    "TG": "tg",
    "B": "pl",
    "N_KV": "n_kv",
    "T_PP s": "t_pp",
    "S_PP t/s": "speed_pp",
    "T_TG s": "t_tg",
    "S_TG t/s": "speed_tg",
    "T s": "t",
    "S t/s": "speed",
}
RELATIVE_TOLERANCE = 0.01
TABLE_STEP_S, TABLE_STEP_PER_S = 0.0005, 0.005
"""Half of the last digit of the table's times and speeds."""

_RULE = re.compile(r"[\s|:-]+")
_SETTING = re.compile(r"\b(n_batch|n_ubatch|flash_attn|is_pp_shared|is_tg_separate|n_gpu_layers|n_threads) = (-?\d{1,9})\b")


def read_jsonl(text: str, file: str) -> Iterator[Found]:
    """Rows of ``llama-batched-bench --output-format jsonl``."""
    for item in objects(text):
        if isinstance(item, Rejected):
            yield item
        else:
            yield from _checked(item[1], file, item[0])


def read_table(text: str, file: str) -> Iterator[Found]:
    """Rows of llama-batched-bench's table."""
    names: list[str] = []
    settings: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if "n_kv_max = " in line:
            settings = dict(_SETTING.findall(line))
            continue
        if not line.lstrip().startswith("|") or _RULE.fullmatch(line):
            continue
        cells = table_cells(line)
        if set(cells) >= {"PP", "TG", "B"}:
            names = [COLUMNS.get(cell, cell) for cell in cells]
        elif not names or len(cells) != len(names):
            yield Rejected(number, f"it has {len(cells)} cells for {len(names)} columns")
        else:
            yield from _checked(settings | dict(zip(names, cells, strict=True)), file, number)


def _checked(fields: Fields, file: str, line: int) -> Iterator[Found]:
    try:
        yield from _rows(fields, file, line)
    except RowError as error:
        yield Rejected(line, str(error))


def _rows(fields: Fields, file: str, line: int) -> list[BenchRow]:
    n_prompt, n_gen = read.needed_whole(fields, "pp"), read.needed_whole(fields, "tg")
    sequences = read.needed_whole(fields, "pl", low=1, high=read.MAX_COUNT)
    separate = bool(read.switch(fields, "is_tg_separate"))
    settings: dict[str, Any] = {
        "file": file,
        "line": line,
        "engine": ENGINE,
        "n_batch": read.whole(fields, "n_batch", low=1),
        "n_ubatch": read.whole(fields, "n_ubatch", low=1),
        "threads": read.whole(fields, "n_threads", low=1, high=read.MAX_COUNT),
        "gpu_layers": read.whole(fields, "n_gpu_layers", low=-2, high=read.MAX_COUNT),
        "flash_attention": read.switch(fields, "flash_attn"),
    }
    rows = []
    if n_prompt:
        duration_s, speed = _phase(fields, "pp")
        shared = read.switch(fields, "is_pp_shared")
        if shared is None:  # a pasted table without the line above it: only one of the two numbers of tokens fits
            shared = not _agree(sequences * n_prompt, duration_s, speed)
        prompts = 1 if shared else sequences
        _require_agreement("prompt", prompts * n_prompt, duration_s, speed)
        rows.append(BenchRow(test="pp", tokens_per_s=speed, n_prompt=n_prompt, n_gen=0, depth=0, parallel=prompts, **settings))
    if n_gen:
        duration_s, speed = _phase(fields, "tg")
        _require_agreement("generation", sequences * n_gen, duration_s, speed)
        together = 1 if separate else sequences
        rows.append(
            BenchRow(
                test="tg" if together == 1 else "batch",
                tokens_per_s=speed,
                n_prompt=0,
                n_gen=n_gen,
                depth=n_prompt,
                parallel=together,
                **settings,
            )
        )
    if not rows:
        raise RowError("the test has neither prompt nor generated tokens")
    return rows


def _phase(fields: Fields, phase: str) -> tuple[float, float]:
    duration_s = read.needed_real(fields, f"t_{phase}", high=read.MAX_DURATION_S, zero=True)
    return duration_s, read.needed_real(fields, f"speed_{phase}")


def _agree(tokens: int, duration_s: float, speed: float) -> bool:
    slack = RELATIVE_TOLERANCE * tokens + TABLE_STEP_S * speed + TABLE_STEP_PER_S * duration_s
    return abs(speed * duration_s - tokens) <= slack


def _require_agreement(phase: str, tokens: int, duration_s: float, speed: float) -> None:
    if not _agree(tokens, duration_s, speed):
        raise RowError(f"{phase}: {tokens} tokens in {duration_s:g} s are not {speed:g} tokens/s")
