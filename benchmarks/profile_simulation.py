"""Where the simulator's time goes: the hot loop of ``simulation_speed.py`` under cProfile, as the table of docs/performance.md.

Run with ``python benchmarks/profile_simulation.py``.
"""

from __future__ import annotations

import cProfile
import pstats
from pathlib import Path

from simulation_speed import CONTEXT, MODEL, SHIPPED, SLOTS, chat

from mmpredict.cost.chain import CostModel
from mmpredict.cost.coefficients import read_coefficients
from mmpredict.models.catalog import uniform_spec
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.simulation.run import simulate_stream

REQUESTS, RATE = 20_000, 0.29
SHOWN = 16


def main() -> None:
    """Profile."""
    coefficients = read_coefficients(next(SHIPPED.glob("*.json")))
    plan = Plan("chat", (InstancePlan(MODEL, MODEL, 2, context_tokens=CONTEXT, slots=SLOTS),), (Stage((MODEL,)),))
    specs = {MODEL: uniform_spec(MODEL, weight_type("q8_0"))}
    profile = cProfile.Profile()
    profile.enable()
    simulate_stream(plan, chat(REQUESTS, RATE), specs, CostModel(coefficients), 16e9)
    profile.disable()
    rows = pstats.Stats(profile).get_stats_profile().func_profiles.items()
    total = sum(row.tottime for _, row in rows)
    print("| own time | calls per request | function |")
    print("|---|---|---|")
    for name, row in sorted(rows, key=lambda item: -item[1].tottime)[:SHOWN]:
        place = f"{Path(row.file_name).parent.name}/{Path(row.file_name).name}: " if row.file_name != "~" else ""
        calls = int(str(row.ncalls).split("/")[0])
        print(f"| {row.tottime / total:.1%} | {calls / REQUESTS:.1f} | {place}`{name}` |")


if __name__ == "__main__":
    main()
