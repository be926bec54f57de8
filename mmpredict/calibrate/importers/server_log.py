"""llama-server's log: the times of each request, with what the lines before say about model, batch and company.

A request that shared its steps with others is refused: its rate is neither that of a sequence alone nor that of all together.
``runs`` instead of ``tokens`` (llama-cli) counts steps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mmpredict.calibrate.importers import fields as read
from mmpredict.calibrate.importers.llama_bench import ENGINE
from mmpredict.calibrate.importers.row import BenchRow, Found, Rejected, RowError
from mmpredict.calibrate.importers.server_timings import SHARED_STEPS, SPECULATIVE, generation_speed, prompt_speed
from mmpredict.units import parse_bytes

_TIMES = re.compile(
    r"(prompt +)?eval time = +(\S{1,20}) ms / +(\S{1,12}) (tokens|runs) *\( *\S{1,20} ms per token, +(\S{1,20}) tokens per second\)"
)
_TIMES_BEGIN = re.compile(r"eval time =")
_TASK = re.compile(r"\| task (-?\d{1,12}) \|")
_BEGINS = re.compile(r"processing task\b")
_ENDS = re.compile(r"\bstop processing\b|\brelease: .*\bslot released\b")
_PROMPT = re.compile(r"\bnew prompt\b.*\b(?:task\.n_tokens|n_prompt_tokens) = (\d{1,9})\b")
_DRAFTED = re.compile(r"draft acceptance(?: rate)? =")
_LOADING = re.compile(r"llama_model_loader: loaded meta data with ")
_FACTS = (
    ("model", re.compile(r"(?:print_info|llm_load_print_meta): general\.name +?= (.{1,200})")),
    ("file_type", re.compile(r"(?:print_info: file type|llm_load_print_meta: model ftype) +?= (.{1,60})")),
    ("size", re.compile(r"(?:print_info: file size|llm_load_print_meta: model size) +?= ([0-9]{1,7}\.[0-9]{1,3} [MG]iB)")),
    ("n_batch", re.compile(r"(?:llama_context|llama_new_context_with_model|llama_init_from_model): n_batch +?= (\d{1,9})")),
    ("n_ubatch", re.compile(r"(?:llama_context|llama_new_context_with_model|llama_init_from_model): n_ubatch +?= (\d{1,9})")),
    ("threads", re.compile(r"system_info: n_threads = (\d{1,6})")),
    ("gpu_layers", re.compile(r"offloaded (\d{1,6})/\d{1,6} layers to GPU")),
    ("build", re.compile(r"\bbuild: (\d{1,9} \([0-9a-f]{6,40}\))")),
)


@dataclass(slots=True)
class _Log:
    """What the lines so far have said."""

    facts: dict[str, str] = field(default_factory=dict)
    prompts: dict[str, int] = field(default_factory=dict)
    active: set[str] = field(default_factory=set)
    alone: dict[str, bool] = field(default_factory=dict)

    def hear(self, line: str) -> None:
        if _LOADING.search(line):
            self.facts = {name: said for name, said in self.facts.items() if name in ("build", "threads")}
        for name, pattern in _FACTS:
            if said := pattern.search(line):
                self.facts[name] = said[1].strip()
        task = _TASK.search(line)
        if task is None:
            return
        if prompt := _PROMPT.search(line):
            self.prompts[task[1]] = int(prompt[1])
        if _BEGINS.search(line):
            self.active.add(task[1])
            for name in self.active:
                self.alone[name] = len(self.active) == 1
        elif _ENDS.search(line):
            self.active.discard(task[1])
            self.prompts.pop(task[1], None)
            self.alone.pop(task[1], None)

    def known(self) -> dict[str, Any]:
        size = self.facts.get("size")
        layers = self.facts.get("gpu_layers")
        build = self.facts.get("build", "").replace("(", "").replace(")", "").split()
        return {
            "engine": ENGINE,
            "served": True,
            "model": read.text(self.facts, "model"),
            "file_type": read.type_of(self.facts.get("file_type")),
            "size_bytes": parse_bytes(size) if size else None,
            "n_batch": read.whole(self.facts, "n_batch", low=1),
            "n_ubatch": read.whole(self.facts, "n_ubatch", low=1),
            "threads": read.whole(self.facts, "threads", low=1),
            "gpu_layers": int(layers) if layers else None,
            "build": f"{build[1]} ({build[0]})" if build else None,
        }


def read_log(text: str, file: str) -> Iterator[Found]:
    """Rows of a log; lines that tell no times are read for what they say, and otherwise passed over."""
    log = _Log()
    held: Found | None = None  # whether tokens were drafted stands below their time
    for number, line in enumerate(text.splitlines(), start=1):
        log.hear(line)
        if _DRAFTED.search(line) and isinstance(held, BenchRow) and held.test == "tg":
            held = Rejected(held.line, SPECULATIVE)
        if not _TIMES_BEGIN.search(line):
            continue
        if held is not None:
            yield held
        try:
            held = _row(log, line, file, number)
        except (RowError, ValueError) as error:
            held = Rejected(number, str(error))
    if held is not None:
        yield held


def _row(log: _Log, line: str, file: str, number: int) -> BenchRow:
    found = _TIMES.search(line)
    if found is None:
        raise RowError("it is not of the form: eval time = 1.00 ms / 1 tokens ( 1.00 ms per token, 1.00 tokens per second)")
    prompt, duration, count, unit, rate = found.groups()
    task = _TASK.search(line)
    alone = log.alone.get(task[1]) if task else None
    if alone is False:
        raise RowError(SHARED_STEPS)
    printed = {"duration": duration, "count": count, "rate": rate}
    tokens = read.needed_whole(printed, "count")
    duration_ms = read.needed_real(printed, "duration", high=read.MAX_DURATION_S * 1e3, zero=True)
    if duration_ms == 0:
        raise RowError("it took no time")
    speed = read.real(printed, "rate", zero=True)
    whole_prompt = log.prompts.get(task[1]) if task else None
    known: dict[str, Any] = log.known() | {"file": file, "line": number, "parallel": 1 if alone else None}
    if prompt:
        depth = whole_prompt - tokens if whole_prompt is not None and whole_prompt >= tokens else None
        return BenchRow(
            test="pp", tokens_per_s=prompt_speed(tokens, duration_ms, speed), n_prompt=tokens, n_gen=0, depth=depth, **known
        )
    counted = tokens + 1 if unit == "runs" else tokens  # llama-cli's runs are steps; the first token took none
    return BenchRow(
        test="tg",
        tokens_per_s=generation_speed(counted, duration_ms, speed),
        n_prompt=0,
        n_gen=counted,
        depth=whole_prompt,
        **known,
    )
