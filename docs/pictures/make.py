"""Makes the pictures of ``docs/pictures.md``, small enough to keep: ``python docs/pictures/make.py``."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

import mmpredict
from mmpredict.report.front import Axis, Candidate, front_picture
from mmpredict.report.load_curve import Curve, Point, curve_picture
from mmpredict.report.memory_picture import memory_picture
from mmpredict.report.notebook import outcome_picture
from mmpredict.report.picture import Picture

HERE = Path(__file__).parent
RECORDED = HERE.parents[1] / "notebooks" / "data" / "validation.json"
COLORS = 128
MACHINE = "ms-s1-max"
RATES_PER_MIN = (5, 10, 20, 30, 40, 50, 60)


def load_curve() -> Picture:
    """Two models under Poisson load, with all requests at once or one after the other."""

    def at(rate: float) -> dict[str, mmpredict.Prediction]:
        load = {
            "kind": "poisson",
            "rate_per_s": rate / 60,
            "requests": 80,
            "seed": 1,
            "models": {"qwen2.5:7b": 2, "qwen2.5:14b": 1},
        }
        load |= {"prompt_tokens": 300, "output_tokens": 120}
        server = {"slots": 4, "context_tokens": 8192}
        return mmpredict.predict(
            mmpredict.Scenario(hardware=MACHINE, strategies=["parallel"], server=server, load=[load]), draws=20
        )

    points = [Point(rate, at(rate)["parallel"].metrics) for rate in RATES_PER_MIN]
    return curve_picture([Curve("parallel", tuple(points), knee=40)], "requests/min", "qwen2.5:7b and qwen2.5:14b on an MS-S1 Max")


def front() -> Picture:
    """Speed against size, for models of three families."""
    models = ("qwen2.5:0.5b", "qwen2.5:1.5b", "qwen2.5:3b", "qwen2.5:7b", "qwen2.5:14b", "qwen2.5:32b")
    models += ("llama3.2:1b", "llama3.2:3b", "llama3.1:8b", "gemma2:2b", "gemma2:9b", "gemma2:27b")
    candidates = []
    for name in models:
        one = mmpredict.estimate(name, MACHINE, context_tokens=4096, speed=True)
        candidates.append(Candidate(name, one.instances[0].parameters / 1e9, one.speeds[0].figure("tg128").value))
    x, y = Axis("billion parameters", more_is_better=True), Axis("answer [tokens/s]", more_is_better=True)
    return front_picture(candidates, x, y, "qwen2.5:14b", "Size and speed on an MS-S1 Max")


def room() -> Picture:
    """What placements of several models take."""
    sets = {
        "general + specialised": ["qwen2.5:32b", "codellama:13b", "qwen2.5:7b"],
        "large + support": ["llama3.1:70b", "qwen2.5:14b", "qwen2.5:7b"],
        "multitasking": ["qwen2.5:14b"] * 3 + ["codellama:7b"],
    }
    found = [(name, mmpredict.estimate(models, MACHINE, context_tokens=4096)) for name, models in sets.items()]
    return memory_picture(found, "Three placements on an MS-S1 Max")


def swapping() -> Picture:
    """Three models of which one is active at a time, on a Jetson."""
    scenario = mmpredict.Scenario(
        hardware="jetson-orin-nano",
        server={"context_tokens": 2048, "slots": 1},
        serving={"rules": "swap"},
        requests=[
            {"id": "translate", "model": "qwen2.5:0.5b", "prompt_tokens": 120, "output_tokens": 120},
            {"id": "reason", "model": "qwen2.5:7b", "prompt_tokens": 60, "output_tokens": 40, "arrival_s": 1.0},
            {"id": "summarise", "model": "tinyllama", "prompt_tokens": 300, "output_tokens": 80, "arrival_s": 4.0},
        ],
    )
    return mmpredict.forecast(scenario).plot("timeline")


def main() -> None:
    """Make all of them."""
    outcome = mmpredict.read_outcome(RECORDED)
    pictures = {
        "timeline": outcome.only("batched").plot("timeline"),
        "swapping": swapping(),
        "strategies": outcome_picture(outcome, "strategies"),
        "scatter": outcome_picture(outcome, "scatter"),
        "load_curve": load_curve(),
        "front": front(),
        "memory": room(),
    }
    for name, picture in pictures.items():
        image = Image.open(io.BytesIO(picture.render("png"))).convert("RGB").quantize(COLORS)
        image.save(HERE / f"{name}.png", optimize=True)
        print(name, (HERE / f"{name}.png").stat().st_size)


if __name__ == "__main__":
    main()
