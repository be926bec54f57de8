"""Random scenarios, the same for the same seed: two to five models, every pattern of arrivals, sizes that two cores bear.

Nothing here looks at a calibration: a scenario is the same before and after a change of the model that predicts it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from mmpredict.models.resolve import resolve
from mmpredict.scenario import Scenario
from mmpredict.strategy.batched import GROUP_SIZE

MODELS = (
    "synthetic:llama-68m@q8_0",
    "synthetic:llama-68m@f16",
    "synthetic:smollm2-135m@q4_0",
    "synthetic:smollm2-135m@q8_0",
    "synthetic:llama-160m@q4_k",
    "synthetic:llama-160m@q6_k",
    "synthetic:gemma3-270m@q4_k",
    "synthetic:gemma3-270m@q8_0",
    "synthetic:lfm2-350m@q4_k",
    "synthetic:smollm2-360m@q4_0",
    "synthetic:qwen1.5-0.5b@q5_0",
    "synthetic:qwen2.5-0.5b@q4_k",
    "synthetic:qwen2.5-0.5b@q8_0",
)
"""Real shapes of 68 to 494 million weights in types that a calibration measures, never a ``probe-`` shape; 2.7 GB of files."""

WITHIN_CORES = ("sequential", "batched", "parallel-divided")
BEYOND_CORES = ("parallel-yielding", "parallel")
BEYOND_EVERY = 5
"""One in so many scenarios is also run with more threads than cores."""

MOST_MODELS, LEAST_MODELS = 5, 2
PROMPT_TOKENS, OUTPUT_TOKENS = (16, 300), (4, 48)
SERVERS = ((1, 2048), (2, 2048), (4, 4096), (8, 4096))
"""Slots, and cells of the cache that they share."""

OUTPUT_WORTH = 6.0
"""Tokens of a prompt that take as long as one generated alone: 37 ms and 6.5 ms for 0.5B in Q8_0 on two cores (docs/design.md)."""
WORK = 3.5e11
"""Weights × tokens of a scenario, generated ones counted by their worth: about 5 s on two cores of a Xeon [1]."""
USUAL_TOKENS = 200.0
"""Worth of a usual request, from which the number of requests follows [tokens]."""
MOST_REQUESTS_EACH = 6
SPAN_S = (2.0, 5.0)
"""Time in which requests come that do not come at once [s]."""

Load = dict[str, Any]
_Luck = random.Random


def random_scenario(seed: int, number: int) -> Scenario:
    """One scenario.

    Models, patterns and servers go round with the number, so that any twenty in a row hold all of them; the rest is drawn.

    Args:
        seed: of all scenarios.
        number: of this one, from 0.
    """
    luck = random.Random(f"scenario {seed} {number}")
    models = _models(luck, LEAST_MODELS + number % (MOST_MODELS - LEAST_MODELS + 1))
    slots, context_tokens = SERVERS[(number // 2) % len(SERVERS)]
    each, prompt, output = _sizes(luck, models)
    pattern = pattern_of(number)
    loads = [PATTERNS[pattern](luck, model, each, prompt, output) for model in models]
    return Scenario.model_validate(
        {
            "strategies": _strategies(number, len(models)),
            "server": {"slots": slots, "context_tokens": context_tokens},
            "load": [{"seed": luck.randrange(2**31), **load} for load in loads],
        }
    )


def pattern_of(number: int) -> str:
    """Name of the pattern of arrivals of a scenario."""
    return tuple(PATTERNS)[number % len(PATTERNS)]


def _strategies(number: int, models: int) -> list[str]:
    """Three within the cores, in some scenarios one beyond; of two models groups of two are the same as dividing the cores."""
    beyond = BEYOND_CORES[(number // BEYOND_EVERY) % len(BEYOND_CORES)] if number % BEYOND_EVERY == 1 else ""
    if models <= GROUP_SIZE:
        return [*(name for name in WITHIN_CORES if name != "batched"), beyond or BEYOND_CORES[0]]
    return [*WITHIN_CORES, beyond] if beyond else list(WITHIN_CORES)


def _models(luck: _Luck, count: int) -> list[str]:
    """Different shapes, each in one of its types."""
    by_shape: dict[str, list[str]] = {}
    for name in MODELS:
        by_shape.setdefault(name.partition("@")[0], []).append(name)
    return [luck.choice(by_shape[shape]) for shape in luck.sample(sorted(by_shape), count)]


def _sizes(luck: _Luck, models: Sequence[str]) -> tuple[int, Load, Load]:
    """Requests to each model, and how long prompts and answers are, such that all of it is about ``WORK``."""
    weights = sum(resolve(model).parameters for model in models)
    each = round(WORK / (weights * USUAL_TOKENS)) + luck.choice((-1, 0, 1))
    each = min(max(each, luck.randint(1, 2)), MOST_REQUESTS_EACH)
    tokens = WORK / (weights * each)
    share = luck.uniform(0.3, 0.7)
    return each, _lengths(share * tokens, *PROMPT_TOKENS), _lengths((1.0 - share) * tokens / OUTPUT_WORTH, *OUTPUT_TOKENS)


def _lengths(mean: float, low: int, high: int) -> Load:
    """Even between half and one and a half of a mean, which is moved so that this lies between the limits [tokens]."""
    mean = min(max(mean, 2.0 * low), high / 1.5)
    return {"kind": "uniform", "low": round(0.5 * mean), "high": round(1.5 * mean), "min": low, "max": high}


def _at_once(luck: _Luck, model: str, each: int, prompt: Load, output: Load) -> Load:
    """All of them at the beginning."""
    bursts = {"kind": "bursts", "burst_size": each, "gap_s": 1.0, "requests": each}
    return {**bursts, "model": model, "prompt_tokens": prompt, "output_tokens": output}


def _poisson(luck: _Luck, model: str, each: int, prompt: Load, output: Load) -> Load:
    rate = {"kind": "poisson", "rate_per_s": each / luck.uniform(*SPAN_S), "requests": each}
    return {**rate, "model": model, "prompt_tokens": prompt, "output_tokens": output}


def _gamma(luck: _Luck, model: str, each: int, prompt: Load, output: Load) -> Load:
    rate = {"kind": "gamma", "rate_per_s": each / luck.uniform(*SPAN_S), "cv": luck.choice((0.5, 1.5, 2.0)), "requests": each}
    return {**rate, "model": model, "prompt_tokens": prompt, "output_tokens": output}


def _bursts(luck: _Luck, model: str, each: int, prompt: Load, output: Load) -> Load:
    """Pairs, their second request a little later."""
    pairs = -(-each // 2)
    bursts = {"kind": "bursts", "burst_size": 2, "gap_s": luck.uniform(*SPAN_S) / pairs, "spread_s": 0.2, "requests": each}
    return {**bursts, "model": model, "prompt_tokens": prompt, "output_tokens": output}


def _closed(luck: _Luck, model: str, each: int, prompt: Load, output: Load) -> Load:
    """One or two users who think for half a second."""
    users = min(each, luck.randint(1, 2))
    loop = {"kind": "closed", "users": users, "requests_per_user": -(-each // users), "ramp_s": luck.uniform(0.0, 1.0)}
    think = {"kind": "exponential", "mean": 0.5, "max": 2.0}
    return {**loop, "think_s": think, "model": model, "prompt_tokens": prompt, "output_tokens": output}


def _conversation(luck: _Luck, model: str, each: int, prompt: Load, output: Load) -> Load:
    """One conversation of two or three turns, whose last prompt is as long as another's requests may be."""
    turns = luck.randint(2, 3)
    said = {"kind": "uniform", "low": PROMPT_TOKENS[0], "high": 64}
    answer = {**output, "high": min(output["high"], 24), "low": min(output["low"], 12)}
    return {
        "kind": "sessions",
        "arrivals": {"kind": "poisson", "rate_per_s": 1.0},
        "sessions": 1,
        "turns": turns,
        "system_tokens": luck.randint(10, 40),
        "user_tokens": said,
        "output_tokens": answer,
        "think_s": {"kind": "exponential", "mean": 0.5, "max": 2.0},
        "limit_tokens": PROMPT_TOKENS[1],
        "model": model,
    }


def _mixed(luck: _Luck, model: str, each: int, prompt: Load, output: Load) -> Load:
    """Each model in a way of its own."""
    make = luck.choice((_at_once, _poisson, _gamma, _bursts, _closed, _conversation))
    return make(luck, model, each, prompt, output)


PATTERNS: dict[str, Callable[[_Luck, str, int, Load, Load], Load]] = {
    "at once": _at_once,
    "Poisson": _poisson,
    "gamma": _gamma,
    "bursts": _bursts,
    "closed loop": _closed,
    "conversations": _conversation,
    "mixed": _mixed,
}
"""How requests of one model come, by name."""
