"""What becomes of a request that failed, as a function of what is seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.simulation.policies.recovery import FAILURES, FINAL, Recovery, Step, backoff_s, models_in_turn, next_step

SIZES = {"large": 30.0, "middle": 20.0, "small": 10.0, "other": 10.0}


def test_by_default_nothing_is_done() -> None:
    assert not Recovery().active
    assert all(next_step(Recovery(), reason, ["a"], [], {"a", "b"}) is None for reason in FAILURES)


def test_pauses_grow() -> None:
    rules = Recovery(retries=3, backoff_s=0.5, backoff_factor=3.0)
    tried = ["a"]
    pauses = []
    while (step := next_step(rules, "queue-full", tried, [], {"a"})) is not None:
        pauses.append(step.after_s)
        tried.append(step.instance)
    assert pauses == [0.5, 1.5, 4.5]
    assert tried == ["a"] * 4
    assert backoff_s(Recovery(retries=100, backoff_s=3600.0, backoff_factor=100.0), 100) == 3600.0


def test_only_what_may_pass_is_tried_again() -> None:
    rules = Recovery(retries=1, retry_on=("refused",))
    assert next_step(rules, "refused", ["a"], [], {"a"}) == Step("a", 0.5)
    assert next_step(rules, "server-error", ["a"], [], {"a"}) is None
    assert next_step(rules, "refused", ["a"], [], {"b"}) is None  # it is gone


def test_others_come_after_the_last_retry_each_once_and_only_if_they_run() -> None:
    rules = Recovery(retries=1, backoff_s=0.0, fallback={"m": ("n",)})
    assert next_step(rules, "refused", ["a", "a"], ["b", "c"], {"a", "c"}) == Step("c", 0.0)
    assert next_step(rules, "refused", ["a", "a", "c"], ["b", "c"], {"a", "c"}) == Step("c", 0.0)  # its own retry
    assert next_step(rules, "refused", ["a", "a", "c", "c"], ["b", "c"], {"a", "b", "c"}) == Step("b", 0.0)
    assert next_step(rules, "refused", ["a", "a", "c", "c", "b", "b"], ["b", "c"], {"a", "b", "c"}) is None


def test_models_in_turn() -> None:
    assert models_in_turn(Recovery(), "large", SIZES) == ()
    assert models_in_turn(Recovery(smaller=True), "large", SIZES) == ("middle", "other", "small")
    assert models_in_turn(Recovery(smaller=True), "small", SIZES) == ()
    assert models_in_turn(Recovery(fallback={"large": ("small", "large")}, smaller=True), "large", SIZES) == (
        *("small", "large"),
        *("middle", "other"),
    )


@given(
    st.integers(0, 3),
    st.sets(st.sampled_from(FAILURES), max_size=4),
    st.lists(st.sampled_from("abcd"), max_size=4, unique=True),
    st.sets(st.sampled_from("abcd")),
    st.lists(st.sampled_from(FAILURES), min_size=40, max_size=40),
)
def test_every_request_comes_to_an_end(
    retries: int, retry_on: set[str], others: list[str], available: set[str], reasons: list[str]
) -> None:
    rules = Recovery(retries, 0.0, 1.0, tuple(sorted(retry_on - FINAL)), {"m": ("n",)})
    tried = ["a"]
    for reason in reasons:
        step = next_step(rules, reason, tried, others, available)
        if step is None:
            break
        assert step.instance in available
        assert reason not in FINAL
        tried.append(step.instance)
    assert len(tried) <= (retries + 1) * len({"a", *others})


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"retries": -1}, "retries is -1"),
        ({"retries": 101}, "retries is 101"),
        ({"backoff_s": float("nan")}, "backoff_s is nan"),
        ({"backoff_factor": 0.5}, "backoff_factor is 0.5"),
        ({"retry_on": ("timeout",)}, "no time is left"),
    ],
)
def test_what_cannot_be_is_refused(keys: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Recovery(**keys)  # type: ignore[arg-type]


def test_a_class_of_failure_that_does_not_exist() -> None:
    with pytest.raises(UnknownNameError, match="did you mean queue-full"):
        Recovery(retry_on=("queue-ful",))
