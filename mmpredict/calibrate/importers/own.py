"""Our own raw measurements (``calibrate.measurement``): prompts and generation; loads, memory and company are no speeds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmpredict.calibrate.importers import fields as read
from mmpredict.calibrate.importers.fields import Fields
from mmpredict.calibrate.importers.objects import objects
from mmpredict.calibrate.importers.row import BenchRow, Found, Rejected, RowError
from mmpredict.calibrate.importers.server_timings import within_bounds
from mmpredict.calibrate.measurement import KINDS


def read_own(text: str, file: str) -> Iterator[Found]:
    """Rows of a measurement file; the header before them says on which machine and engine."""
    header: dict[str, Any] = {}
    for item in objects(text):
        if isinstance(item, Rejected):
            yield item
            continue
        line, data = item
        try:
            if "header" in data:
                header = _header(data["header"])
            elif data.get("kind") not in KINDS:
                raise RowError(f"kind is none of {', '.join(KINDS)}")
            elif not header:
                raise RowError("it comes before the header")
            elif row := _row(data, header | {"file": file, "line": line}):
                yield row
        except RowError as error:
            yield Rejected(line, str(error))


def _header(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise RowError("the header is no object")
    engine = read.text(found, "engine")
    if engine is None:
        raise RowError("the header names no engine")
    return {"engine": engine, "served": True, "machine": read.text(found, "machine"), "date": read.date(found, "measured_on")}


def _row(data: Fields, known: dict[str, Any]) -> BenchRow | None:
    kind, values = data["kind"], data.get("values")
    if kind not in ("prefill", "decode"):
        return None
    if not isinstance(values, dict):
        raise RowError("values is no object")
    model = read.text(data, "model")
    duration_s = read.needed_real(values, "duration_s", high=read.MAX_DURATION_S)
    named: dict[str, Any] = known | {
        "model": model,
        "file_type": read.type_of((model or "").rpartition("@")[2]),
        "threads": read.whole(data, "threads", low=1, high=read.MAX_COUNT),
    }
    if kind == "prefill":
        tokens = read.needed_whole(values, "tokens", low=1)
        speed = within_bounds(tokens / duration_s)
        return BenchRow(test="pp", tokens_per_s=speed, n_prompt=tokens, n_gen=0, depth=0, parallel=1, **named)
    sequences, steps = read.needed_whole(values, "sequences", low=1), read.needed_whole(values, "steps", low=1)
    return BenchRow(
        test="tg" if sequences == 1 else "batch",
        tokens_per_s=within_bounds(sequences * steps / duration_s),
        n_prompt=0,
        n_gen=steps,
        depth=read.needed_whole(values, "depth"),
        parallel=sequences,
        **named,
    )
