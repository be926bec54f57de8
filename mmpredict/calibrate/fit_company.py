"""What servers cost each other, from pairs that were measured side by side."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmpredict.calibrate.bench import STEADY_PROMPT_TOKENS
from mmpredict.calibrate.company import WITHIN
from mmpredict.calibrate.fit_joint_loads import load_efficiencies
from mmpredict.calibrate.measurement import ROUND, Measurement, of_kind
from mmpredict.calibrate.repeats import duration_s
from mmpredict.cost.coefficients import ContentionCoefficients, Estimate
from mmpredict.cost.contention import Contention, Demand
from mmpredict.models.spec import ModelSpec

COMPANY_SPREAD_FLOOR = 0.05
SPINNING_SPREAD_FLOOR = 0.35  # a factor of two between repeats of the same run is usual (physics notes in docs/design.md)
STACKED_SPREAD = 0.15  # stalls per layer agree that closely between models, see docs/design.md
STACKED_PRIOR = (1.0, 1.0)  # Beta prior of falling into the stacked state: nothing is known before it is measured
STACKED_STALL_FRAC = 0.3  # an episode counts as stacked from this share of the stall of threads confined to half of the cores
FEW_READS = 0.05  # product of two parts of the memory's bandwidth below which servers do not wait for each other's reads [1]
MOST_CROWDING = 3.0  # more than a queue in front of a resource that is used up


def contention(rows: Sequence[Measurement], specs: Mapping[str, ModelSpec], cores: int) -> ContentionCoefficients:
    """Efficiencies from servers in company: beyond the cores the sum of speeds relative to alone, of which a fair share gives 1."""
    company = of_kind(rows, "company")
    cored = [row for row in company if row.values["set_up"] == WITHIN]
    memory_bytes_per_s = max(_read_alone(rows, specs), _read_together(cored, specs))
    within, crowding = _within(_meetings(cored, specs, memory_bytes_per_s))
    spinning = [row for row in company if row.values["set_up"] == "spinning"]
    stalls = [_stall_s(row, specs, "solo_s", "duration_s") for row in of_kind(rows, "stacked")]
    stacked_layer_s = float(np.exp(np.mean(np.log(stalls)))) if stalls else 0.0
    stacked = {
        _episode(row)
        for row in spinning
        if row.values["phase"] == "decode" and stalls and _company_stall_s(row, specs) > STACKED_STALL_FRAC * stacked_layer_s
    }
    episodes = {_episode(row) for row in spinning}
    free = [row for row in spinning if _episode(row) not in stacked or row.values["phase"] == "prefill"]
    prior_yes, prior_no = STACKED_PRIOR
    load_within, load_beyond = load_efficiencies(rows, cores)
    return ContentionCoefficients(
        within_efficiency=within,
        memory_bytes_per_s=memory_bytes_per_s,
        crowding=crowding,
        yielding_efficiency=_estimate(_sums([row for row in company if row.values["set_up"] == "yielding"]), COMPANY_SPREAD_FLOOR),
        spinning_efficiency={
            phase: _estimate(_sums([row for row in free if row.values["phase"] == phase]), SPINNING_SPREAD_FLOOR)
            for phase in ("prefill", "decode")
        },
        load_within_efficiency=load_within,
        load_beyond_efficiency=load_beyond,
        stacked_layer_s=Estimate(value=stacked_layer_s, log_spread=STACKED_SPREAD),
        stacked_probability=(len(stacked) + prior_yes) / (len(episodes) + prior_yes + prior_no) if stalls else 0.0,
    )


@dataclass(frozen=True, slots=True)
class _Meeting:
    """A server beside another one, each with a core for every thread.

    Attributes:
        own, other: part of the memory's bandwidth that each uses alone [1].
        speed_frac: speed ÷ speed alone [1].
    """

    own: float
    other: float
    speed_frac: float

    def crowded(self, crowding: float) -> float:
        """The same ÷ efficiency by ``cost.contention``, while the memory suffices [1]."""
        return 1.0 / (1.0 + crowding * self.own * self.other)

    def rate(self, efficiency: float, crowding: float) -> float:
        """The same by ``cost.contention`` [1]."""
        law = Contention(2, efficiency, 1.0, 1.0, 1.0, 0.0, crowding)
        return law.rates([Demand("decode", 1, False, 1.0, 0.0, False, bandwidth=part) for part in (self.own, self.other)])[0]


def _read_alone(rows: Iterable[Measurement], specs: Mapping[str, ModelSpec]) -> float:
    """What a server that decodes with all cores reads, of the model that reads fastest; 0 where none was measured [bytes/s]."""
    decodes = [row for row in of_kind(rows, "decode") if row.spincount is None and row.number("sequences") == 1]
    most = max((row.threads for row in decodes), default=0)
    times: dict[str, list[float]] = defaultdict(list)
    for row in decodes:
        if row.threads == most:
            times[row.model].append(duration_s(row))
    return max((specs[model].pass_bytes(1) / float(np.median(found)) for model, found in times.items()), default=0.0)


def _read_together(within: Iterable[Measurement], specs: Mapping[str, ModelSpec]) -> float:
    """What the servers of a pair that both decode read together, in the middle of the episodes; 0 where none did [bytes/s]."""
    sums: dict[tuple[int, int], float] = defaultdict(float)
    for row in within:
        episode, model, phase, beside = _meeting_key(row)
        if phase == beside == "decode":
            sums[episode] += row.number("speed_frac") * row.number("alone_tokens_per_s") * specs[model].pass_bytes(1)
    return float(np.median(list(sums.values()))) if sums else 0.0


def _meetings(within: Sequence[Measurement], specs: Mapping[str, ModelSpec], memory_bytes_per_s: float) -> list[_Meeting]:
    """Each row with what the other server of its pair was doing."""
    needs = {_meeting_key(row): _bandwidth(row, specs, memory_bytes_per_s) for row in within}
    found = []
    for row in within:
        (episode, model, phase, beside) = _meeting_key(row)
        others = [need for (when, who, what, _), need in needs.items() if when == episode and who != model and what == beside]
        found.append(_Meeting(needs[episode, model, phase, beside], others[0] if others else 0.0, row.number("speed_frac")))
    return found


def _meeting_key(row: Measurement) -> tuple[tuple[int, int], str, str, str]:
    """Episode, model, its phase and the other's."""
    phase = str(row.values["phase"])
    return _episode(row), row.model, phase, str(row.values.get("beside", phase))


def _bandwidth(row: Measurement, specs: Mapping[str, ModelSpec], memory_bytes_per_s: float) -> float:
    """Part of the memory's bandwidth that a server used alone [1]."""
    tokens = 1 if row.values["phase"] == "decode" else STEADY_PROMPT_TOKENS
    read = row.number("alone_tokens_per_s") / tokens * specs[row.model].pass_bytes(tokens)
    return min(1.0, read / memory_bytes_per_s) if memory_bytes_per_s else 0.0


def _within(meetings: Sequence[_Meeting]) -> tuple[Estimate, float]:
    """Efficiency, which servers show that read little, and crowding, which the others show."""
    few = [one.speed_frac for one in meetings if one.own * one.other < FEW_READS]
    many = [one for one in meetings if one.own * one.other >= FEW_READS]
    efficiency = _estimate(few or [one.speed_frac for one in meetings], COMPANY_SPREAD_FLOOR).value
    waits = [(efficiency / one.speed_frac - 1.0) / (one.own * one.other) for one in many]
    crowding = min(MOST_CROWDING, max(0.0, float(np.median(waits)))) if waits and few else 0.0
    free = [one for one in meetings if math.isclose(one.rate(efficiency, crowding), efficiency * one.crowded(crowding))] or meetings
    efficiency = _estimate([one.speed_frac / one.crowded(crowding) for one in free], COMPANY_SPREAD_FLOOR).value
    left = _estimate([one.speed_frac / one.rate(efficiency, crowding) for one in meetings], COMPANY_SPREAD_FLOOR)
    return Estimate(value=efficiency, log_spread=left.log_spread), crowding


def _episode(row: Measurement) -> tuple[int, int]:
    """One start of a pair: its round, and its number there."""
    return int(row.values.get(ROUND, 0)), int(row.number("episode"))


def _stall_s(row: Measurement, specs: Mapping[str, ModelSpec], alone: str, together: str) -> float:
    """Time per layer and step that a decode took longer than alone [s]."""
    return max(1e-9, (row.number(together) - row.number(alone)) / row.number("steps") / specs[row.model].shape.n_layers)


def _company_stall_s(row: Measurement, specs: Mapping[str, ModelSpec]) -> float:
    """The same for a server in company, beyond the time that a fair half of the cores costs [s]."""
    slower = 1.0 / row.number("speed_frac") - 2.0
    return max(0.0, slower) / row.number("alone_tokens_per_s") / specs[row.model].shape.n_layers


def _sums(company: Iterable[Measurement]) -> list[float]:
    """Sum of relative speeds per episode and phase."""
    sums: dict[tuple[Any, Any], float] = {}
    for row in company:
        key = (_episode(row), row.values["phase"])
        sums[key] = sums.get(key, 0.0) + row.number("speed_frac")
    return list(sums.values())


def _estimate(values: Sequence[float], floor: float) -> Estimate:
    """Geometric mean (at most 1) and the spread of a further value, widened for few values (Student's t at 80 %)."""
    from scipy.stats import t as student

    if not values:
        return Estimate(value=1.0, log_spread=floor)
    logs = np.log(values)
    spread = 0.0
    if len(logs) > 1:
        widening = float(student.ppf(0.9, len(logs) - 1) / student.ppf(0.9, np.inf)) * math.sqrt(1 + 1 / len(logs))
        spread = float(np.std(logs, ddof=1)) * widening
    return Estimate(value=min(1.0, float(np.exp(np.mean(logs)))), log_spread=max(floor, spread))
