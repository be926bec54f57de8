"""A suite's results as a table, a page of Markdown, and comma-separated values."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator

from rich import box
from rich.table import Table
from rich.text import Text

from mmpredict.results.prediction import INTERVAL_LEVEL, Interval
from mmpredict.results.suite import Judgement, SuiteResult, SuiteTestResult, VariantResult
from mmpredict.units import GB, format_seconds

HEADER = ("test", "title", "variant", "measure", "sign", "bound", "bound_of", "whose", "predicted", "low", "high", "measured")
"""Columns of the CSV, before the verdict; quantities in seconds, bytes, tokens per second or pure numbers."""
_INTERVAL = f"{INTERVAL_LEVEL * 100:.0f} % interval"


def suite_table(result: SuiteResult) -> Table:
    """A row per criterion."""
    caption = f"{result.document}; {_how(result)}; * added here, the document states no figure"
    table = Table(box=box.SIMPLE_HEAD, title=f"{result.name} on {result.hardware}", title_justify="left", caption=caption)
    for name in ("test", "criterion", "predicted", _INTERVAL, *(["measured"] if result.live else []), "verdict"):
        table.add_column(name, justify="right" if name in ("predicted", _INTERVAL, "measured") else "left")
    for test in result.tests:
        heading = Text.assemble((test.id, "bold"), f" {test.title}")
        table.add_row(heading, "", "", "", *([""] if result.live else []), Text(test.verdict, "bold"))
        for one in test.judgements:
            low, high = shown(one.measure, one.predicted.low), shown(one.measure, one.predicted.high)
            measured = [shown(one.measure, one.measured)] if result.live else []
            value = shown(one.measure, one.predicted.value)
            table.add_row(f"  {one.variant}", _criterion(one), value, f"{low} – {high}", *measured, _verdict(one))
    return table


def suite_markdown(result: SuiteResult) -> str:
    """A page: what is asked, what is predicted, whether the criteria are met, what binds."""
    passed = sum(test.verdict == "pass" for test in result.tests)
    lines = [
        f"# {result.name} on {result.hardware}",
        "",
        f"Experiments of: {result.document}. {_how(result).capitalize()}. {passed} of {len(result.tests)} tests pass.",
        "",
        "A test passes when every criterion that the document states is met; where it states none, every one added here. Intervals",
        f"hold {INTERVAL_LEVEL * 100:.0f} % of what is thought possible; a verdict is *open* where the interval lies on both sides "
        "of the bound.",
    ]
    phase = ""
    for test in result.tests:
        if test.phase != phase:
            phase = test.phase
            lines += ["", f"## Phase {phase}"]
        lines += ["", *_test_lines(test, result.live)]
    lines += ["", "## What the predictions rest on", "", *(f"- {sentence}" for sentence in result.provenance)]
    warnings = dict.fromkeys(warning for test in result.tests for variant in test.variants for warning in variant.warnings)
    lines += [f"- {warning}" for warning in warnings]
    return "\n".join(lines) + "\n"


def suite_csv(result: SuiteResult) -> str:
    """A row per criterion, and one per further measure of each variant."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*HEADER, "verdict", "sure"))
    for test in result.tests:
        judged = {(one.variant, one.measure) for one in test.judgements}
        for one in test.judgements:
            bound = (">=" if one.least else "<=", _csv(one.bound), one.bound_of, one.whose)
            values = (*_csv_interval(one.predicted), _csv(one.measured))
            sure = "yes" if one.sure else "no"
            writer.writerow((test.id, test.title, one.variant, one.measure, *bound, *values, one.verdict, sure))
        for variant in test.variants:
            for measure, interval in variant.values.items():
                if (variant.name, measure) not in judged:
                    measured = _csv(variant.measured.get(measure, math.nan))
                    values = (*_csv_interval(interval), measured)
                    writer.writerow((test.id, test.title, variant.name, measure, "", "", "", "", *values, "", ""))
    return text.getvalue()


def shown(measure: str, value: float) -> str:
    """A value with its unit, by the measure's name."""
    name = measure.partition(":")[0]
    if math.isnan(value):
        return "–"
    if name.endswith("tokens_per_s"):
        return f"{value:.1f} t/s"
    if name.endswith("_bytes"):
        return f"{value / GB:.2f} GB"
    return format_seconds(value) if name.endswith("_s") else f"{value:.0f}"


def _test_lines(test: SuiteTestResult, live: bool) -> Iterator[str]:
    yield f"### {test.id} {test.title}: {test.verdict}"
    yield ""
    yield f"{test.asks} Stated: {test.stated}.{f' {test.note}' if test.note else ''}"
    yield ""
    yield f"| criterion | bound | predicted | {_INTERVAL} |{' measured |' if live else ''} verdict |"
    yield f"|---|---|---|---|{'---|' if live else ''}---|"
    for one in test.judgements:
        low, high = shown(one.measure, one.predicted.low), shown(one.measure, one.predicted.high)
        measured = f" {shown(one.measure, one.measured)} |" if live else ""
        whose = "" if one.whose == "document" else " (added here)"
        value = shown(one.measure, one.predicted.value)
        yield f"| {one.variant}{whose} | {_criterion(one)} | {value} | {low} – {high} |{measured} {_verdict(one, False)} |"
    yield ""
    for variant in test.variants:
        yield f"- *{variant.name}*: {_sentence(variant, live)}"


def _sentence(variant: VariantResult, live: bool) -> str:
    if variant.why_not:
        return variant.why_not
    parts = [variant.answer] if variant.answer else []
    parts += [f"binds: {variant.binds}"] if variant.binds else []
    numbers = [f"{name} {shown(name, one.value)}" for name, one in variant.values.items() if not math.isnan(one.value)]
    parts.append(", ".join(numbers))
    if variant.measured:
        parts.append("measured: " + ", ".join(f"{name} {shown(name, value)}" for name, value in variant.measured.items()))
    if live and not variant.measured:
        parts.append("simulated only")
    return "; ".join(part for part in parts if part)


def _how(result: SuiteResult) -> str:
    if not result.live:
        return "simulated only, nothing was run"
    ran = sum(bool(variant.measured) for test in result.tests for variant in test.variants)
    return f"{ran} variants were also run on this machine, the others simulated only"


def _criterion(one: Judgement) -> str:
    sign = "≥" if one.least else "≤"
    return f"{one.measure} {sign} {f'that of {one.bound_of}' if one.bound_of else shown(one.measure, one.bound)}"


def _verdict(one: Judgement, marked: bool = True) -> str:
    known = math.isfinite(one.measured) or one.sure
    return f"{one.verdict}{'' if known else ', open'}{' *' if marked and one.whose == 'ours' else ''}"


def _csv(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else ""


def _csv_interval(interval: Interval) -> tuple[str, str, str]:
    return _csv(interval.value), _csv(interval.low), _csv(interval.high)
