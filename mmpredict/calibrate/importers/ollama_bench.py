"""Ollama's benchmark tool (``cmd/bench/bench.go`` of github.com/ollama/ollama): three forms of one output.

Lines for Go's benchstat, comma-separated values, and the Markdown table of builds before March 2026. Every request gives the steps
``prefill`` and ``generate``; ``ttft``, ``load`` and ``total`` are no speeds. The printed rate divides by all generated tokens,
although the first took no step. Newer builds write ``1`` where older ones wrote the number of tokens in the lines for benchstat,
so there it is not known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mmpredict.calibrate.importers import fields as read
from mmpredict.calibrate.importers.fields import Fields
from mmpredict.calibrate.importers.llama_bench_markdown import PARAMETER_UNITS, amount, is_rule, table_cells
from mmpredict.calibrate.importers.ollama_api import CACHE_DOUBT, ENGINE
from mmpredict.calibrate.importers.ollama_text import duration_ns
from mmpredict.calibrate.importers.row import BenchRow, Found, Rejected, RowError
from mmpredict.calibrate.importers.server_timings import RELATIVE_TOLERANCE, generation_speed, prompt_speed, within_bounds

CSV_NAMES = {"NAME", "STEP", "COUNT", "NS_PER_COUNT", "TOKEN_PER_SEC"}
TABLE_COLUMNS = {"Model", "Step", "Count", "Duration", "tokensPerSec"}
"""Names that every version's first line has."""

BENCHSTAT = re.compile(r"^BenchmarkModel/name=", re.MULTILINE)

COUNT_DOUBT = "it is not said how many tokens there were"
STEP_DOUBT = f"{COUNT_DOUBT}, so the rate counts the first generated one, which took no step"
VARIED_PROMPT_TOKENS = 200
"""Newer builds begin every prompt differently: two tokens may be cached (the beginning and a bracket), from here on at most 1 %."""

_NO_SPEEDS = ("ttft", "load", "total")
_PRINTED_STEP = 0.005
"""Half of the last digit of a rate and of a time per token."""
_LINE = re.compile(
    r"BenchmarkModel/name=(\S{1,300})/step=(prefill|generate)\s+(\d{1,9})\s+(\S{1,30}) ns/token\s+(\S{1,30}) token/sec"
)
_TIME = re.compile(r"BenchmarkModel/name=\S{1,300}\s+\d{1,9}\s+\d{1,20} ns/(?:op|request)")
_COUNTS_TOLD = re.compile(r" ns/request\s*$", re.MULTILINE)  # only older builds have this unit
_MODEL = re.compile(r"# Model: (.{1,300}?) \| (.{1,600})")
_REMARK = re.compile(r"#|(?:WARNING|ERROR|bench): ")
_UNKNOWN = "unknown"


@dataclass(slots=True)
class _Bench:
    """What the lines so far have said: newer builds describe a model once, before its requests."""

    file: str
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    prompt: tuple[str, int | None] | None = None

    def hear(self, line: str) -> None:
        """A line that begins with ``# Model:``; ``Size`` is no size of a file but the memory of a loaded model.

        Raises:
            RowError: it is malformed.
        """
        found = _MODEL.match(line)
        if found is None:
            return
        said = dict(part.partition(": ")[::2] for part in found[2].strip().split(" | "))
        params, quant = said.get("Params", _UNKNOWN), said.get("Quant", _UNKNOWN)
        self.facts[found[1]] = {
            "file_type": read.type_of(quant),
            "n_params": amount(None if params == _UNKNOWN else params, "Params", PARAMETER_UNITS, read.MAX_PARAMETERS),
        }

    def row(self, line: int, step: Fields, tokens: int | None) -> BenchRow | None:
        """The row of one step, or ``None`` if it is no speed.

        Args:
            line: where it stands.
            step: ``model``, ``step``, ``ns_per_token`` [ns], ``rate`` [tokens/s], and perhaps the ``duration_ns`` of all [ns].
            tokens: how many, or ``None`` if that is not known.

        Raises:
            RowError: it is malformed or contradicts itself.
        """
        model, name = read.text(step, "model"), step["step"]
        if model is None:
            raise RowError("it names no model")
        prompt, self.prompt = self.prompt, None  # what follows anything but its own prompt has an unknown depth
        if name in _NO_SPEEDS:
            return None
        known: dict[str, Any] = {
            "file": self.file,
            "line": line,
            "engine": ENGINE,
            "served": True,
            "model": model,
            **self.facts.get(model, {}),
        }
        if name == "prefill":
            speed = _speed(step) if tokens is None else prompt_speed(tokens, _duration_ms(step, tokens), _rate(step))
            self.prompt = model, tokens
            return BenchRow(
                test="pp", tokens_per_s=speed, n_prompt=tokens, n_gen=0, doubt=self._prompt_doubt(model, tokens), **known
            )
        if name == "generate":
            speed = _speed(step) if tokens is None else generation_speed(tokens, _duration_ms(step, tokens), _rate(step))
            depth = prompt[1] if prompt is not None and prompt[0] == model else None
            doubt = STEP_DOUBT if tokens is None else None
            return BenchRow(test="tg", tokens_per_s=speed, n_prompt=0, n_gen=tokens, depth=depth, doubt=doubt, **known)
        raise RowError(f"step {str(name)[:40]!r} is none of prefill, generate, {', '.join(_NO_SPEEDS)}")

    def _prompt_doubt(self, model: str, tokens: int | None) -> str | None:
        varied = model in self.facts  # described, so of a newer build
        if tokens is None:
            return COUNT_DOUBT if varied else f"{COUNT_DOUBT}; {CACHE_DOUBT}"
        return None if varied and tokens >= VARIED_PROMPT_TOKENS else CACHE_DOUBT


def read_benchstat(text: str, file: str) -> Iterator[Found]:
    """Rows of the lines for benchstat (``-format benchstat``)."""
    bench = _Bench(file)
    counts_told = _COUNTS_TOLD.search(text) is not None
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            bench.hear(line)
            if not line.startswith("BenchmarkModel/"):
                continue
            found = _LINE.fullmatch(line.rstrip())
            if found is None:
                bench.prompt = None
                if not _TIME.fullmatch(line.rstrip()):
                    raise RowError("it is not of the form: BenchmarkModel/name=gemma3/step=prefill 1 2.00 ns/token 1.00 token/sec")
                continue
            model, name, count, ns_per_token, rate = found.groups()
            if count == "1" and counts_told:
                raise RowError(
                    "1 is one token in an older build and says nothing in a newer one; the file has lines of an older one"
                )
            step = {"model": model, "step": name, "ns_per_token": ns_per_token, "rate": rate}
            row = bench.row(number, step, None if count == "1" else int(count))
            if row is not None:
                yield row
        except RowError as error:
            yield Rejected(number, str(error))


def read_csv(text: str, file: str) -> Iterator[Found]:
    """Rows of the comma-separated values (``-format csv``); their values are never quoted."""
    bench = _Bench(file)
    names: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        cells = [cell.strip() for cell in line.split(",")]
        if set(cells) >= CSV_NAMES:
            names = cells
            continue
        try:
            bench.hear(line)
            if not line.strip() or _REMARK.match(line):
                continue
            if not names:
                raise RowError("it comes before the line of names")
            step = _named(names, cells, "values")
            yield from _counted(bench, number, step, "NAME", "STEP", "COUNT", "NS_PER_COUNT", "TOKEN_PER_SEC")
        except RowError as error:
            yield Rejected(number, str(error))


def read_table(text: str, file: str) -> Iterator[Found]:
    """Rows of the Markdown table."""
    bench = _Bench(file)
    names: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        cells = table_cells(line)
        if set(cells) >= TABLE_COLUMNS:
            names = cells
        elif names and len(cells) > 1 and not is_rule(line):
            try:
                step = _named(names, cells, "cells")
                yield from _counted(bench, number, step, "Model", "Step", "Count", "nsPerToken", "tokensPerSec")
            except RowError as error:
                yield Rejected(number, str(error))


def _counted(bench: _Bench, line: int, cells: Fields, *names: str) -> Iterator[BenchRow]:
    """The row of a line that says how many tokens there were; ``names`` are those of ``_Bench.row``, in the words of its form."""
    step = dict(zip(("model", "step", "tokens", "ns_per_token", "rate"), (cells.get(name) for name in names), strict=True))
    if "Duration" in cells and step["step"] not in _NO_SPEEDS:
        step["duration_ns"] = duration_ns(cells["Duration"])
    row = bench.row(line, step, read.needed_whole(step, "tokens"))
    if row is not None:
        yield row


def _named(names: list[str], cells: list[str], what: str) -> dict[str, str]:
    if len(cells) != len(names):
        raise RowError(f"it has {len(cells)} {what} for {len(names)} names")
    return dict(zip(names, cells, strict=True))


def _rate(step: Fields) -> float:
    return read.needed_real(step, "rate", zero=True)


def _duration_ms(step: Fields, tokens: int) -> float:
    """Time of all tokens of a step [ms]."""
    duration = read.real(step, "duration_ns", high=read.MAX_DURATION_S * 1e9, zero=True)
    if duration is None:
        duration = tokens * read.needed_real(step, "ns_per_token", high=read.MAX_DURATION_S * 1e9, zero=True)
    if tokens and not duration:
        raise RowError("it took no time")
    return duration / 1e6


def _speed(step: Fields) -> float:
    """The printed rate of an unknown number of tokens [tokens/s]."""
    ns_per_token = read.needed_real(step, "ns_per_token", high=read.MAX_DURATION_S * 1e9)
    rate = _rate(step)
    slack = RELATIVE_TOLERANCE + _PRINTED_STEP * (ns_per_token + rate) / 1e9
    if abs(rate * ns_per_token / 1e9 - 1) > slack:
        raise RowError(f"{ns_per_token:g} ns per token are not {rate:g} tokens/s")
    return within_bounds(1e9 / ns_per_token)
