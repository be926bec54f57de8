"""Whose rates hold for a machine that nobody measured."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from mmpredict.cost.library import rates_path, shipped_rates_directory
from mmpredict.cost.rates.choice import related_rates
from mmpredict.cost.rates.datasheet import peaks
from mmpredict.cost.rates.rates import read_rates
from mmpredict.cost.rates.relative import alike_rates
from mmpredict.hardware.library import find_profile

H100, H200, CARD = find_profile("h100"), find_profile("h200"), find_profile("rtx-4090")


def test_a_card_is_told_from_one_of_its_architecture() -> None:
    found = related_rates(H100, "gpu", ["cuda"], own=False)
    assert found.basis == "family" and "on h200, built alike, scaled by the data sheet" in found.sentence
    theirs = read_rates(rates_path(shipped_rates_directory(), "h200", "", "cuda", "gpu"))
    for name, rate in theirs.rates.items():  # nothing is surer of another card than of the measured one
        assert found.rates.rates[name].spread >= rate.spread
    assert (found.rates.machine, found.rates.mode) == ("h100", "")


def test_a_slower_memory_slows_only_a_card_that_waited_for_its_own() -> None:
    theirs = read_rates(rates_path(shipped_rates_directory(), "h200", "", "cuda", "gpu"))
    usual, slower = peaks(H200, "gpu", "cuda"), peaks(H100, "gpu", "cuda")
    ratio = math.log(slower.bandwidth_bytes_per_s / usual.bandwidth_bytes_per_s)
    # an H200 reads a part of what its memory gives, an H100 has as many multiprocessors, and more than that part to read from
    assert theirs.rates["bandwidth"].log < slower.read.mean < usual.read.mean
    found = alike_rates(theirs, usual, "h100", "", slower).rates["bandwidth"]
    computing = math.log(slower.compute_flop_per_s / usual.compute_flop_per_s)
    assert found.log == pytest.approx(theirs.rates["bandwidth"].log + computing)
    quick = replace(theirs.rates["bandwidth"], log=usual.read.mean)
    waiting = replace(theirs, rates={**theirs.rates, "bandwidth": quick})
    assert alike_rates(waiting, usual, "h100", "", slower).rates["bandwidth"].log == pytest.approx(quick.log + ratio)


@pytest.mark.parametrize("architecture", ["", "sm_80"])
def test_without_one_its_family_tells(architecture: str) -> None:
    assert H100.gpu is not None
    changed = [
        processor if processor.kind == "cpu" else processor.model_copy(update={"architecture": architecture})
        for processor in H100.processors
    ]
    found = related_rates(H100.model_copy(update={"processors": tuple(changed)}), "gpu", ["cuda"], own=False)
    assert "on its relatives, scaled by the data sheet" in found.sentence


def test_a_measured_card_is_not_its_own_relative() -> None:
    assert "on its relatives" in related_rates(CARD, "gpu", ["cuda"], own=False).sentence
    assert "on its relatives" in related_rates(H200, "gpu", ["cuda"], own=False).sentence


def test_a_memory_that_is_shared_has_its_own_family() -> None:
    assert "built alike" not in related_rates(find_profile("jetson-agx-orin-32gb"), "gpu", ["cuda"], own=False).sentence
