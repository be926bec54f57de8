"""A part of a processor: arithmetic in proportion, memory not."""

from __future__ import annotations

import pytest

from mmpredict.cost.rates.fewer_threads import with_arithmetic, with_threads
from mmpredict.cost.rates.term import Term
from mmpredict.errors import InputError
from mmpredict.hardware.library import find_profile
from mmpredict.sizing.costs import UncalibratedMachine

ARITHMETIC, READING, STARTING = Term(1e12, {"compute": -1.0}), Term(1e9, {"bandwidth": -1.0}), Term(1.0, {"step_s": 1.0})


def test_half_of_the_arithmetic_takes_twice_as_long_and_reads_as_fast() -> None:
    rates = UncalibratedMachine(find_profile("rtx-3090"))._choice("gpu").rates
    half = with_arithmetic(rates, 0.5)
    assert half.seconds([ARITHMETIC]) == pytest.approx(2 * rates.seconds([ARITHMETIC]))
    assert half.seconds([Term(1e12, {"mac_s": 1.0})]) == pytest.approx(2 * rates.seconds([Term(1e12, {"mac_s": 1.0})]))
    for same in (READING, STARTING):
        assert half.seconds([same]) == rates.seconds([same])
    assert half.log_halfwidth([ARITHMETIC], "prompt") > rates.log_halfwidth([ARITHMETIC], "prompt")
    assert with_arithmetic(rates, 1.0) is rates
    for share in (0.0, -1.0, 1.1):
        with pytest.raises(InputError, match="above 0 and at most 1"):
            with_arithmetic(rates, share)


def test_half_of_the_cores_reads_as_fast_and_a_quarter_half_as_fast() -> None:
    rates = UncalibratedMachine(find_profile("ryzen-9-5950x"))._choice("cpu").rates
    for threads, reading in ((16, 1.0), (8, 1.0), (4, 2.0)):
        found = with_threads(rates, threads, 16)
        assert found.seconds([READING]) == pytest.approx(reading * rates.seconds([READING]))
        assert found.seconds([ARITHMETIC]) == pytest.approx(16 / threads * rates.seconds([ARITHMETIC]))
