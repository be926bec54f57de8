"""Random questions to plan for: models, requests and machines that differ in what matters to a plan."""

from __future__ import annotations

from random import Random

from mmpredict.advising import ground_of
from mmpredict.cost.coefficients import Coefficients
from mmpredict.costing import CalibratedCosting, Costing, RatedCosting
from mmpredict.hardware.library import find_profile
from mmpredict.hardware.memory_pool import MemoryPool
from mmpredict.hardware.processor import Processor
from mmpredict.hardware.profile import HardwareProfile
from mmpredict.planning.candidate import Candidate
from mmpredict.planning.ground import Ground
from mmpredict.planning.space import FAMILIES, Space, candidates
from mmpredict.planning.task import task_of
from mmpredict.scenario import RequestSection, Scenario
from mmpredict.scenario.recommend_section import RecommendSection
from mmpredict.sizing.costs import UncalibratedMachine

MODELS = (
    "synthetic:smollm2-135m@q8_0",
    "synthetic:gemma3-270m@q8_0",
    "synthetic:qwen2.5-0.5b@q4_0",
    "synthetic:smollm2-360m@q4_0",
)
USABLE_BYTES = 6e9


def bench_profile(coefficients: Coefficients, usable_bytes: float = USABLE_BYTES) -> HardwareProfile:
    """A machine of the cores that the coefficients were fitted on."""
    pools = {"ram": MemoryPool.model_validate({"capacity_bytes": 8e9, "usable_bytes": usable_bytes})}
    cpu = Processor.model_validate({"kind": "cpu", "model": "cores", "cores": coefficients.cores})
    return HardwareProfile.model_validate(
        {"name": "bench", "pools": {name: pool.model_dump() for name, pool in pools.items()}, "processors": [cpu.model_dump()]}
    )


def calibrated(coefficients: Coefficients, usable_bytes: float = USABLE_BYTES) -> Costing:
    """That machine, known by its calibration."""
    return CalibratedCosting(bench_profile(coefficients, usable_bytes), coefficients)


def rated(name: str) -> Costing:
    """A machine known by its rates."""
    profile = find_profile(name)
    return RatedCosting(profile, UncalibratedMachine(profile))


def scenario(seed: int, models: int = 3, requests: int = 8) -> Scenario:
    """Requests that come at once or over time, of different lengths; some have deadlines, some wait for others."""
    random = Random(seed)
    names = random.sample(MODELS, models)
    over_time = random.random() < 0.5
    sections = [
        RequestSection(
            id=f"r{number}",
            model=names[number % models] if number < models else random.choice(names),
            prompt_tokens=random.choice((16, 100, 400, 900)),
            output_tokens=random.choice((1, 8, 40, 120)),
            arrival_s=round(random.uniform(0, 8), 2) if over_time else 0.0,
            deadline_s=random.choice((None, 2.0, 6.0)),
            priority=random.choice((0, 0, 0, 1)),
        )
        for number in range(requests)
    ]
    if random.random() < 0.2:
        first = sections[0].model_copy(update={"session": "talk"})
        then = first.model_copy(update={"id": "then", "after": (first.id,), "shared_tokens": 10, "delay_s": 0.3})
        sections = [first, *sections[1:], then]
    return Scenario(cold=random.random() < 0.3, requests=tuple(sections))


def ground(question: Scenario, costing: Costing, **asked: object) -> Ground:
    """The question as a search sees it."""
    return ground_of(question, costing, RecommendSection.model_validate(asked))


def plans(
    question: Scenario, costing: Costing, on: Ground, families: tuple[str, ...] = FAMILIES, thorough: bool = False
) -> list[Candidate]:
    """Every plan of a space."""
    task = task_of(on, question.models(), question.options(), costing.gpu_layers(on.specs[""]))
    return candidates(Space(families, thorough, on.limits.resident), task)
