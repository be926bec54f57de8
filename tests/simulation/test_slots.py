"""Which slot a request takes, and what its cache still holds."""

from __future__ import annotations

import pytest

from mmpredict.models.cache import CacheOptions
from mmpredict.models.resolve import resolve
from mmpredict.results.columns import RequestRow
from mmpredict.simulation.job import Job
from mmpredict.simulation.rewind import Rewind, rewind_of
from mmpredict.simulation.slots import Slots


def job(session: str = "", prompt: int = 100, shared: int = 0, output: int = 11) -> Job:
    return Job(RequestRow("r", "m", "m", 0.0, prompt, output), session, shared)


def served(slots: Slots, one: Job, now_s: float) -> Job:
    slots.take(one)
    slots.release(one, now_s)
    return one


def test_a_conversation_returns_to_its_slot_and_finds_its_cells() -> None:
    slots = Slots(3)
    first = served(slots, job("a"), 1.0)
    other = served(slots, job("b"), 2.0)
    again = served(slots, job("a", prompt=200, shared=110), 3.0)
    assert again.row.slot == first.row.slot != other.row.slot
    assert again.row.cached_tokens == again.prefilled == 110


def test_no_more_is_reused_than_the_cache_holds_and_the_last_token_is_always_evaluated() -> None:
    slots = Slots(1)
    served(slots, job("a", prompt=100, output=11), 1.0)
    assert served(slots, job("a", prompt=500, shared=400), 2.0).row.cached_tokens == 110, "prompt, and all answered but the last"
    slots = Slots(1)
    served(slots, job("a"), 1.0)
    assert served(slots, job("a", prompt=100, shared=99), 2.0).row.cached_tokens == 99
    assert served(slots, job("", prompt=100), 3.0).row.cached_tokens == 0


def test_a_short_beginning_does_not_choose_the_slot_but_counts_where_chance_leads_there() -> None:
    slots = Slots(2)
    first = served(slots, job("a"), 1.0)
    again = served(slots, job("a", prompt=1000, shared=50), 2.0)
    assert again.row.slot != first.row.slot, "a twentieth is no similarity: the slot used longest ago"
    assert again.row.cached_tokens == 0
    slots = Slots(1)
    served(slots, job("a"), 1.0)
    assert served(slots, job("a", prompt=1000, shared=50), 2.0).row.cached_tokens == 50


def test_what_another_request_overwrites_is_lost() -> None:
    slots = Slots(1)
    served(slots, job("a"), 1.0)
    served(slots, job("b"), 2.0)
    assert served(slots, job("a", prompt=200, shared=110), 3.0).row.cached_tokens == 0


def test_a_conversation_whose_slot_is_busy_begins_anew() -> None:
    slots = Slots(2)
    first = served(slots, job("a"), 1.0)
    slots.take(job())  # the unused one
    busy = job()
    slots.take(busy)
    assert busy.row.slot == first.row.slot
    slots.release(busy, 2.0)
    assert served(slots, job("a", prompt=200, shared=110), 3.0).row.cached_tokens == 0


def test_main_memory_keeps_what_was_overwritten_the_oldest_dropped_first() -> None:
    slots = Slots(1, stored_cells=250)
    for number, session in enumerate("abc"):  # 110 cells each; the first two are stored
        served(slots, job(session), float(number))
    assert served(slots, job("a", prompt=200, shared=110), 4.0).row.cached_tokens == 110
    assert served(slots, job("b", prompt=200, shared=110), 5.0).row.cached_tokens == 110
    assert served(slots, job("c", prompt=200, shared=110), 6.0).row.cached_tokens == 0, "there was no room for it beside a"


def test_a_stored_conversation_must_hold_a_quarter_of_the_prompt() -> None:
    slots = Slots(1, stored_cells=1000)
    served(slots, job("a"), 1.0)
    served(slots, job("b"), 2.0)
    assert served(slots, job("a", prompt=1000, shared=110), 3.0).row.cached_tokens == 0


def test_a_recurrent_state_can_only_be_continued_at_its_end() -> None:
    for shared, found in ((110, 110), (150, 110), (100, 0)):
        slots = Slots(1, rewind=Rewind(recurrent=True))
        served(slots, job("a"), 1.0)
        assert served(slots, job("a", prompt=200, shared=shared), 2.0).row.cached_tokens == found


@pytest.mark.parametrize("slots", [1, 4])
def test_what_a_window_lets_a_server_reuse_is_what_it_did(slots: int) -> None:
    """gemma3-270m on the embedded engine, 2026-11-27: (prompt, shared with the next one) → cached."""
    shape = resolve("synthetic:gemma3-270m@q4_k").shape
    rewind = rewind_of(shape, CacheOptions(4096, slots, 512, unified=True))
    seen = {(60, 69): 0, (500, 509): 0, (520, 529): 529, (2600, 2609): 2609, (520, 500): 0, (700, 680): 680, (2600, 2580): 2580}
    assert {(prompt, shared): rewind.reusable(shared, prompt + 9) for prompt, shared in seen} == seen


def test_a_window_whose_begin_is_gone_is_filled_anew() -> None:
    rewind = Rewind(window=512, window_cells=1024)
    assert rewind.reusable(2000, 2400) == 2000
    assert rewind.reusable(1800, 2400) == 0, "cells from 1376 on are there, those from 1288 on are needed"
