"""Errors carry the exit code of their kind, and advice."""

from __future__ import annotations

import pytest

from mmpredict import errors
from mmpredict.errors import MmpredictError, UnknownNameError

EXIT_CODES = {
    "MmpredictError": 1,
    "InputError": 2,
    "UnknownNameError": 2,
    "FileFormatError": 2,
    "DoesNotFitError": 3,
    "EngineError": 1,
    "EngineMissingError": 1,
    "ServerDiedError": 1,
    "NotCalibratedError": 1,
    "StorageError": 1,
}
KINDS = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}


def test_every_error_has_its_exit_code_and_a_place_in_the_tree() -> None:
    assert {name: kind.exit_code for name, kind in KINDS.items()} == EXIT_CODES
    assert all(issubclass(kind, MmpredictError) for kind in KINDS.values())


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        name = next((word for word in line.split() if word.endswith("Error")), None)
        if name is None or name not in line.split()[:3]:
            continue
        depth = (line.index(name) - 4) // 4
        path = [*path[:depth], name]
        drawn[name] = path[-2] if depth else "Exception"
    assert drawn == {name: kind.__mro__[1].__name__ for name, kind in KINDS.items()}


def test_a_near_name_is_suggested() -> None:
    error = UnknownNameError("strategy", "sequental", ["sequential", "parallel", "batched"])
    assert str(error) == "unknown strategy 'sequental'; did you mean sequential?"


def test_near_names_come_nearest_first_and_at_most_three() -> None:
    text = str(UnknownNameError("model", "abcd", ["abcx", "abcd1", "abxx", "abcde2", "zzzz"]))
    assert text.startswith("unknown model 'abcd'; did you mean abcd1 or ")
    assert text.count(" or ") == 2
    assert "zzzz" not in text


def test_without_a_near_name_the_known_ones_are_listed_in_order() -> None:
    text = str(UnknownNameError("unit", "zzz", (f"name{number:02d}" for number in reversed(range(30))), "(see --help)"))
    assert text.startswith("unknown unit 'zzz'; known: name00, name01, ")
    assert text.endswith("name19 (see --help)")


@pytest.mark.parametrize("name", ["", "\n", "x" * 1000])
def test_odd_names_stay_on_one_line(name: str) -> None:
    assert "\n" not in str(UnknownNameError("model", name, ["a"]))
