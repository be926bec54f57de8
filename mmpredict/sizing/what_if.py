"""Estimates of one model in one file type after the other."""

from __future__ import annotations

from dataclasses import replace

from mmpredict.errors import InputError
from mmpredict.results.estimate import Estimate
from mmpredict.sizing.estimate import answer
from mmpredict.sizing.quants import ladder
from mmpredict.sizing.question import Question


def estimates_by_type(asked: Question) -> list[tuple[str, Estimate]]:
    """An estimate per file type of one model, from large to small.

    Raises:
        InputError: several models, or one that no rule makes another file of.
    """
    if len(asked.specs) != 1:
        raise InputError(f"file types are compared of one model, not of {len(asked.specs)}")
    spec = asked.specs[0]
    rows = [(name, answer(replace(asked, specs=(made,)))) for name, made in ladder(spec)]
    if not rows:
        raise InputError(f"no rule makes another file of {spec.name!r}")
    return rows
