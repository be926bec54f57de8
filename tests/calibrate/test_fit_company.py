"""What servers cost each other is recovered from pairs that were slowed by known laws."""

from __future__ import annotations

import itertools

import pytest
from made_steps import CORES, PROTOCOL, SPECS

from mmpredict.calibrate.bench import STEADY_PROMPT_TOKENS
from mmpredict.calibrate.company import PHASES
from mmpredict.calibrate.fit_company import contention
from mmpredict.calibrate.measurement import Measurement
from mmpredict.cost.contention import Contention, Demand

MEMORY_BYTES_PER_S = 40e9
EFFICIENCY, CROWDING = 0.95, 0.6
SPEEDS = {"prefill": (500.0, 240.0), "decode": (110.0, 78.0)}
"""Of the servers of the pair, alone, with a core each [tokens/s]."""


def rows(memory_bytes_per_s: float = MEMORY_BYTES_PER_S, mixed: bool = True, crowding: float = CROWDING) -> list[Measurement]:
    """Pairs in all combinations of phases, and a server that decodes with all cores as fast as memory lets it."""
    law = Contention(CORES, EFFICIENCY, 0.9, 0.7, 0.4, 0.1, crowding=crowding)
    fastest, _ = PROTOCOL.pair
    step_s = SPECS[fastest].pass_bytes(1) / memory_bytes_per_s
    values: dict[str, float | int | str] = {"sequences": 1, "depth": 8.0, "steps": 10, "masked_cells": 0, "duration_s": 10 * step_s}
    made = [Measurement("decode", fastest, CORES, None, values)]
    for phases in itertools.product(PHASES, repeat=2):
        if not mixed and phases[0] != phases[1]:
            continue
        alone = [SPEEDS[phase][place] for place, phase in enumerate(phases)]
        tokens = [1 if phase == "decode" else STEADY_PROMPT_TOKENS for phase in phases]
        demands = [
            Demand(phase, 1, False, 1.0, 1.0, False, bandwidth=speed / each * SPECS[model].pass_bytes(each) / memory_bytes_per_s)
            for model, phase, speed, each in zip(PROTOCOL.pair, phases, alone, tokens, strict=True)
        ]
        for place, (model, rate) in enumerate(zip(PROTOCOL.pair, law.rates(demands), strict=True)):
            found: dict[str, float | int | str] = {
                "set_up": "within",
                "phase": phases[place],
                "episode": 0,
                "total_threads": 2,
                "alone_tokens_per_s": alone[place],
                "speed_frac": rate,
            }
            made.append(Measurement("company", model, 1, None, found | ({"beside": phases[1 - place]} if mixed else {})))
    return made


@pytest.mark.parametrize("mixed", [True, False], ids=["all combinations", "as measured before 2026-11-27"])
def test_laws_of_sharing_are_recovered(mixed: bool) -> None:
    own = contention(rows(mixed=mixed), SPECS, 2)
    assert own.memory_bytes_per_s == pytest.approx(MEMORY_BYTES_PER_S)
    assert own.within_efficiency.value == pytest.approx(EFFICIENCY, rel=0.03)
    assert own.crowding == pytest.approx(CROWDING, abs=0.15)


def test_servers_that_do_not_slow_each_other_are_not_crowded() -> None:
    own = contention(rows(memory_bytes_per_s=1e12), SPECS, 2)
    assert own.crowding == 0.0
    assert own.within_efficiency.value == pytest.approx(EFFICIENCY, rel=0.01)


def test_without_a_server_alone_memory_gives_what_the_pair_read() -> None:
    own = contention([row for row in rows() if row.kind == "company"], SPECS, 2)
    assert 0.9 * MEMORY_BYTES_PER_S < own.memory_bytes_per_s < MEMORY_BYTES_PER_S


def test_where_nobody_decodes_the_memory_is_unknown_and_the_mean_of_all_counts() -> None:
    own = contention([row for row in rows() if "decode" not in (row.kind, row.values.get("phase"))], SPECS, 2)
    assert (own.memory_bytes_per_s, own.crowding) == (0.0, 0.0)
    assert own.within_efficiency.value == pytest.approx(EFFICIENCY, rel=0.02)
