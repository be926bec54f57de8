"""Makes the pictures of ``docs/pictures.md``, small enough to keep: ``python docs/pictures/make.py``."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

import mmpredict
from mmpredict.report.memory_picture import memory_picture
from mmpredict.report.notebook import outcome_picture
from mmpredict.report.picture import Picture

HERE = Path(__file__).parent
RECORDED = HERE.parents[1] / "notebooks" / "data" / "validation.json"
COLORS = 64  # seen beside 256, nothing differs; with 32, lines and letters change their colour
MACHINE = "ms-s1-max"
RATES_PER_S = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)


def load_curve() -> Picture:
    """Two models under Poisson load."""
    load = {"kind": "poisson", "rate_per_s": 0.1, "requests": 80, "seed": 1, "prompt_tokens": 300, "output_tokens": 120}
    load["models"] = {"qwen2.5:7b": 2, "qwen2.5:14b": 1}
    server = {"slots": 4, "context_tokens": 8192}
    scenario = mmpredict.Scenario(hardware=MACHINE, strategies=["parallel"], server=server, load=[load])
    return mmpredict.sweep(scenario, "load[0].rate_per_s", RATES_PER_S, draws=20).plot()


def front() -> Picture:
    """All plans for four models on a desktop's CPU, by time and memory."""
    models = ("qwen2.5:7b", "llama3.2:3b", "gemma2:2b", "qwen2.5:1.5b")
    requests = [{"model": model, "prompt_tokens": 200, "output_tokens": 60, "count": 2} for model in models]
    return mmpredict.recommend(mmpredict.Scenario(hardware="ryzen-9-5950x", requests=requests), draws=10).plot()


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
