"""Conversations grow turn by turn, and begin with what was cached, as far as their memory lets them."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.errors import InputError
from mmpredict.workload.arrivals import Constant, Poisson
from mmpredict.workload.assignment import Assignment
from mmpredict.workload.distributions import Exponential, Fixed, Uniform
from mmpredict.workload.lengths import Lengths
from mmpredict.workload.request import MAX_TOKENS, Request, Workload
from mmpredict.workload.retention import Everything, Retention, Selective, SlidingWindow, Summary, common_tokens
from mmpredict.workload.sessions import SUMMARY_WISH_TOKENS, Sessions
from mmpredict.workload.source import Source, Starts

SYSTEM, USER, ANSWER = 100, 20, 30
ONE = Assignment({"m": 1.0})


def talk(retention: Retention, turns: int, system: int = SYSTEM, limit: int = MAX_TOKENS, seed: int = 0) -> list[Request]:
    """One conversation of equal turns."""
    fixed = (Lengths.fixed(tokens) for tokens in (system, USER, ANSWER, turns))
    return list(Sessions(Source(seed=seed), Starts(Constant(1.0), 1), ONE, *fixed, Fixed(4.0), retention, limit).stream())


def lengths(requests: list[Request]) -> list[tuple[int, int]]:
    return [(request.prompt_tokens, request.shared_tokens) for request in requests]


def test_with_everything_kept_a_prompt_begins_with_the_last_one_and_its_answer() -> None:
    requests = talk(Everything(), 4)
    assert lengths(requests) == [(120, 0), (170, 150), (220, 200), (270, 250)]
    assert [(one.id, one.after, one.delay_s, one.arrival_s, one.session) for one in requests[:2]] == [
        ("load.1.1", (), 0.0, 0.0, "load.1"),
        ("load.1.2", ("load.1.1",), 4.0, 4.0, "load.1"),
    ]


def test_a_sliding_window_shares_no_more_than_the_system_prompt_once_it_moves() -> None:
    assert lengths(talk(SlidingWindow(230), 5)) == [(120, 0), (170, 150), (220, 200), (220, 100), (220, 100)]


def test_a_window_too_small_for_any_turn_keeps_none() -> None:
    assert lengths(talk(SlidingWindow(10), 3)) == [(120, 0), (120, 100), (120, 100)]


def test_a_summary_is_asked_for_and_then_stands_for_what_it_sums_up() -> None:
    requests = talk(Summary(230, summary_tokens=25, recent_turns=1), 5)
    assert [one.id.removeprefix("load.1.") for one in requests] == ["1", "2", "3", "4s", "4", "5s", "5"]
    asked, fourth = requests[3], requests[4]
    # It begins with all but the last turn, which is cached; then the wish is new.
    assert (asked.prompt_tokens, asked.shared_tokens, asked.output_tokens) == (200 + SUMMARY_WISH_TOKENS, 200, 25)
    assert (asked.delay_s, asked.after, fourth.delay_s, fourth.after) == (4.0, ("load.1.3",), 0.0, ("load.1.4s",))
    # system, summary, last turn, new turn; the summarising request left the system prompt at the beginning.
    assert (fourth.prompt_tokens, fourth.shared_tokens) == (100 + 25 + 50 + 20, 100)


def test_no_summary_is_made_where_it_would_save_nothing() -> None:
    assert all("s" not in one.id.removeprefix("load") for one in talk(Summary(101, summary_tokens=60, recent_turns=0), 2))


def test_selective_memory_keeps_all_or_nothing_at_its_ends() -> None:
    assert lengths(talk(Selective(1.0), 4)) == lengths(talk(Everything(), 4))
    assert lengths(talk(Selective(0.0), 4)) == [(120, 0), (170, 150), (170, 100), (170, 100)]


def test_selective_memory_loses_the_cache_from_the_turn_on_that_it_drops() -> None:
    requests = talk(Selective(0.5), 40, seed=3)
    for earlier, later in itertools.pairwise(requests[1:]):
        kept = later.prompt_tokens == earlier.prompt_tokens + USER + ANSWER
        assert later.shared_tokens == (earlier.prompt_tokens + ANSWER if kept else earlier.prompt_tokens - 2 * USER - ANSWER)
    assert 400 < requests[-1].prompt_tokens < 40 * 50


def test_a_conversation_ends_before_it_is_too_long() -> None:
    assert len(talk(Everything(), 50, limit=270)) == 3
    assert talk(Everything(), 5, limit=149) == []
    assert len(talk(Everything(), 5, limit=150)) == 1


memories = st.one_of(
    st.just(Everything()),
    st.builds(SlidingWindow, st.integers(1, 3000)),
    st.builds(Summary, st.integers(200, 3000), st.integers(1, 100), st.integers(0, 4)),
    st.builds(Selective, st.floats(0, 1), st.integers(0, 4)),
)


@given(memories, st.integers(0, 2**32), st.integers(0, 50))
def test_whatever_is_kept_conversations_are_possible(memory: Retention, seed: int, system: int) -> None:
    load = Sessions(
        Source(seed=seed),
        Starts(Poisson(0.1), 6),
        Assignment({"a": 1.0, "b": 1.0}),
        Lengths.fixed(system),
        Lengths(Uniform(1, 400)),
        Lengths(Uniform(1, 400)),
        Lengths(Uniform(1, 8), 1, 8),
        Exponential(20.0),
        memory,
        2500,
    )
    requests = list(load.stream())
    assert requests == list(load.stream())
    assert Workload(tuple(requests)).requests == tuple(requests)
    by_session: dict[str, list[Request]] = {}
    for request in requests:
        by_session.setdefault(request.session, []).append(request)
    assert len(by_session) == 6
    for talk in by_session.values():
        assert len({request.model for request in talk}) == 1
        assert talk[0].shared_tokens == 0 and talk[0].after == ()
        for earlier, later in itertools.pairwise(talk):
            assert later.after == (earlier.id,)
            assert later.shared_tokens <= earlier.prompt_tokens + earlier.output_tokens
            assert later.shared_tokens >= min(system, earlier.prompt_tokens)
            assert later.prompt_tokens + later.output_tokens <= 2500


segments = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9)), max_size=8)


@given(segments, segments)
def test_a_common_beginning_is_as_long_in_both(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    common = common_tokens(first, second)
    spelled = [[text for text, tokens in one for _ in range(tokens)] for one in (first, second)]
    assert spelled[0][:common] == spelled[1][:common]
    assert common == common_tokens(second, first)
    assert common_tokens(first, first) == sum(tokens for _, tokens in first)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SlidingWindow(0), "window_tokens is 0"),
        (lambda: Summary(100, 100), "summary_tokens is 100; it must be 1 or more, below window_tokens"),
        (lambda: Summary(100, 10, -1), "recent_turns is -1"),
        (lambda: Selective(1.5), "keep_frac is 1.5; it must be between 0 and 1"),
        (lambda: Selective(float("nan")), "keep_frac is nan"),
        (lambda: talk(Everything(), 0), "turns may be between 0 and"),
        (lambda: talk(Everything(), 10_001), "turns may be between 10001 and 10001; between 1 and 10000 are allowed"),
        (lambda: talk(Everything(), 1, limit=0), "limit_tokens is 0"),
    ],
)
def test_impossible_conversations_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
