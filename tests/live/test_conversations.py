"""Requests that wait for others, and conversations that find their cache, on real servers."""

from __future__ import annotations

from pathlib import Path

import pytest
from real_plans import MEMORY_BYTES, SEEN, UNSEEN, plan_of, specs

from mmpredict.live.execute import execute_plan
from mmpredict.models.spec import ModelSpec
from mmpredict.workload.request import Request, Workload

__all__ = ["specs"]  # a fixture

pytestmark = pytest.mark.live


def test_followers_come_after_those_that_they_wait_for(specs: dict[str, ModelSpec], tmp_path: Path) -> None:
    chain = Workload(
        (
            Request("first", UNSEEN, 16, 8),
            Request("second", SEEN, 16, 4, after=("first",), delay_s=0.4),
            Request("third", UNSEEN, 8, 2, after=("first", "second")),
        )
    )
    records = execute_plan(plan_of("parallel-divided"), chain, specs, MEMORY_BYTES, tmp_path)
    rows = {row.request: row for row in records.requests}
    assert {row.status for row in rows.values()} == {"ok"}
    assert rows["second"].arrival_s >= rows["first"].finish_s + 0.4
    assert rows["third"].arrival_s >= rows["second"].finish_s
    assert all(row.dispatched_s >= row.arrival_s for row in rows.values())


def test_a_conversation_finds_what_it_said_in_the_cache(specs: dict[str, ModelSpec], tmp_path: Path) -> None:
    talk = Workload(
        (
            Request("first", UNSEEN, 40, 6, session="s"),
            Request("other", UNSEEN, 24, 4, after=("first",)),
            Request("second", UNSEEN, 60, 4, session="s", shared_tokens=46, after=("other",)),
        )
    )
    plan = plan_of("parallel-divided", (UNSEEN,))
    measured = {row.request: row for row in execute_plan(plan, talk, specs, MEMORY_BYTES, tmp_path).requests}
    assert {row.status for row in measured.values()} == {"ok"}
    assert (measured["first"].cached_tokens, measured["other"].cached_tokens) == (0, 0)
    # its prompt and all of its answer but the last token, which nobody has evaluated
    assert measured["second"].cached_tokens == 45
    assert measured["second"].slot == measured["first"].slot
