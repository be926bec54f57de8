"""Rows that ``calibrate import --output`` wrote, one JSON object per line; each field is checked, whoever wrote the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields as fields_of
from typing import get_args

from mmpredict.calibrate.importers import fields as read
from mmpredict.calibrate.importers.fields import Fields
from mmpredict.calibrate.importers.objects import objects
from mmpredict.calibrate.importers.row import BenchRow, Found, Rejected, RowError, Test

NAMES = frozenset(field.name for field in fields_of(BenchRow))
TESTS: tuple[Test, ...] = get_args(Test)

_MAX_LINE = 2**31


def read_imported(text: str, file: str) -> Iterator[Found]:
    """Rows as they were imported, with the file and line that they came from."""
    for item in objects(text):
        if isinstance(item, Rejected):
            yield item
            continue
        line, fields = item
        try:
            yield _row(fields)
        except RowError as error:
            yield Rejected(line, str(error))


def _row(fields: Fields) -> BenchRow:
    if strange := sorted(set(fields) - NAMES):
        raise RowError(f"a row has no field {strange[0][: read.SHOWN]!r}")
    test = next((known for known in TESTS if known == fields.get("test")), None)
    if test is None:
        raise RowError(f"test is none of {', '.join(TESTS)}")
    n_prompt, n_gen, doubt = (
        read.whole(fields, "n_prompt"),
        read.whole(fields, "n_gen"),
        read.text(fields, "doubt", longest=read.MAX_JOINED),
    )
    prompt, generation = test in ("pp", "pp+tg"), test != "pp"
    for name, tokens, wanted in (("n_prompt", n_prompt, prompt), ("n_gen", n_gen, generation)):
        if tokens is None and doubt is None:
            raise RowError(f"there is no {name}")
        if tokens is not None and (tokens > 0) != wanted:
            raise RowError(f"{name} is {tokens}, which does not belong to test {test}")
    return BenchRow(
        file=_needed_text(fields, "file"),
        line=read.needed_whole(fields, "line", high=_MAX_LINE),
        engine=_needed_text(fields, "engine"),
        test=test,
        tokens_per_s=read.needed_real(fields, "tokens_per_s"),
        stddev=read.real(fields, "stddev", zero=True),
        n_prompt=n_prompt,
        n_gen=n_gen,
        depth=read.whole(fields, "depth"),
        parallel=read.whole(fields, "parallel", low=1, high=read.MAX_COUNT),
        build=read.text(fields, "build"),
        backend=read.text(fields, "backend"),
        machine=read.text(fields, "machine", longest=read.MAX_JOINED),
        model=read.text(fields, "model"),
        model_file=read.text(fields, "model_file"),
        file_type=read.text(fields, "file_type"),
        size_bytes=read.whole(fields, "size_bytes", high=read.MAX_SIZE_BYTES),
        n_params=read.whole(fields, "n_params", high=read.MAX_PARAMETERS),
        n_batch=read.whole(fields, "n_batch", low=1),
        n_ubatch=read.whole(fields, "n_ubatch", low=1),
        threads=read.whole(fields, "threads", low=1, high=read.MAX_COUNT),
        gpu_layers=read.whole(fields, "gpu_layers", low=-2, high=read.MAX_COUNT),
        flash_attention=read.switch(fields, "flash_attention"),
        key_type=read.text(fields, "key_type"),
        value_type=read.text(fields, "value_type"),
        expert_layers_on_cpu=read.whole(fields, "expert_layers_on_cpu", high=read.MAX_COUNT),
        tensor_overrides=read.text(fields, "tensor_overrides"),
        served=bool(read.switch(fields, "served")),
        date=read.date(fields, "date"),
        doubt=doubt,
    )


def _needed_text(fields: Fields, name: str) -> str:
    found = read.text(fields, name)
    if found is None:
        raise RowError(f"there is no {name}")
    return found
