"""What company costs by resource: measured on a machine whose shares are known."""

from __future__ import annotations

import pytest
import simpy

from mmpredict.compat.contention import Slowdowns
from mmpredict.cost.contention import Contention, Demand
from mmpredict.cost.sharing import MachineSharing
from mmpredict.simulation.machine import Machine

CORES = Contention(8, 1.0, 1.0, 1.0, 1.0, 0.0)


def played(sharing: MachineSharing, *demands: Demand) -> Slowdowns:
    env = simpy.Environment()
    slowdowns = Slowdowns(sharing)
    machine = Machine(env, sharing, watch=slowdowns)
    for demand in demands:
        machine.start(demand, lambda _: None)
    env.run()
    return slowdowns


def work(solo_s: float, gpu: float, bandwidth: float = 0.0, phase: str = "decode") -> Demand:
    return Demand(phase, 1, True, solo_s, 0.0, False, gpu, 0.01, bandwidth)  # type: ignore[arg-type]


def test_alone_everything_is_exactly_one() -> None:
    found = played(MachineSharing(CORES, 0.017, 0.9, True), work(0.1 + 0.2, 0.7, 0.9))
    assert (found.compute, found.memory_bandwidth) == (1.0, 1.0)


def test_taking_turns_is_compute() -> None:
    # two that keep the GPU busy, 3 s of work each, at 0.45 of their speed: 6.67 s for 3 s
    found = played(MachineSharing(CORES, 0.017, 0.9, False), work(3.0, 1.0), work(3.0, 1.0))
    assert found.compute == pytest.approx(1 / 0.45)
    assert found.memory_bandwidth == pytest.approx(1.0)


def test_one_memory_for_both_processors_is_bandwidth() -> None:
    # both want 0.8 of the memory and get 0.5: 8 s for 5 s
    found = played(MachineSharing(CORES, 0.017, 0.9, True), work(5.0, 1.0, 0.8), work(5.0, 0.0, 0.8))
    assert found.compute == pytest.approx(1.0)
    assert found.memory_bandwidth == pytest.approx(0.8 / 0.5)


def test_both_together_multiply_to_the_whole_slowdown() -> None:
    sharing = MachineSharing(CORES, 0.017, 0.9, True)
    demands = work(5.0, 1.0, 0.8), work(5.0, 1.0, 0.8), work(5.0, 0.0, 0.9)
    found = played(sharing, *demands)
    # while all three run, and after the CPU's, whose share is larger, is done
    rates = sharing.rates(demands)
    first_s = 5.0 / rates[2]
    left_s = (5.0 - first_s * rates[0]) / 0.45
    whole = (2 * (first_s + left_s) + first_s) / 15.0
    assert found.compute * found.memory_bandwidth == pytest.approx(whole)


def test_time_is_what_weighs() -> None:
    # 1 s together at half speed, 9 s alone: (2 + 2 + 9) s for 11 s of work
    found = played(MachineSharing(CORES, 0.017, 1.0, False), work(10.0, 1.0), work(1.0, 1.0))
    assert found.compute == pytest.approx((2 + 2 + 9) / 11)


def test_loads_are_company_but_not_work() -> None:
    cores = Contention(1, 1.0, 1.0, 1.0, 1.0, 0.0)
    found = played(MachineSharing(cores, 0.017, 1.0, False), work(1.0, 0.0), work(1.0, 0.0, phase="load"))
    assert found.compute == pytest.approx(2.0)
    only = played(MachineSharing(cores, 0.017, 1.0, False), work(1.0, 0.0, phase="load"), work(1.0, 0.0, phase="load"))
    assert (only.compute, only.memory_bandwidth) == (1.0, 1.0)
