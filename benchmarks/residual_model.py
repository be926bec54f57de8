"""Whether a learnt correction on top of the physics lowers the error on models that were left out. It does not.

Run with ``python benchmarks/residual_model.py``. The correction learns the errors that left-out predictions make on other models,
from sixteen features of model and test, and is applied to the model that it has not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge

from mmpredict.calibrate.published import fit_tables, read_tables
from mmpredict.calibrate.rates_fit import measured_spec
from mmpredict.calibrate.speed_row import SpeedRow

PUBLISHED = Path(__file__).resolve().parent.parent / "calibration" / "published"
FEWEST_ROWS = 60
LEARNERS: dict[str, Callable[[], Any]] = {
    "ridge": lambda: Ridge(10.0),
    "forest": lambda: RandomForestRegressor(200, min_samples_leaf=5, random_state=0),
    "boosting": lambda: GradientBoostingRegressor(n_estimators=80, max_depth=2, learning_rate=0.05, subsample=0.7, random_state=0),
}


def features(row: SpeedRow) -> list[float]:
    """What a correction may depend on."""
    spec = measured_spec(row.model, row.file_type, row.size_bytes)
    shape, experts = spec.shape, spec.shape.experts
    return [
        np.log(spec.pass_bytes(1)),
        np.log(spec.active_parameters),
        np.log(shape.n_embd),
        shape.n_layers,
        float(experts is not None),
        np.log(experts.n_ff) if experts else 0.0,
        np.log(experts.total / experts.used) if experts else 0.0,
        float(shape.recurrent is not None),
        float(shape.window is not None),
        float(shape.latent is not None),
        np.log1p(row.depth),
        np.log(row.n_prompt or 1),
        np.log(row.parallel),
        np.log(row.n_ubatch or 512),
        8 * spec.weight_bytes / spec.parameters,
        float(row.early),
    ]


def main() -> None:
    """Print the errors without and with each correction."""
    for family in fit_tables(read_tables(sorted(PUBLISHED.glob("*.csv")))):
        left_out = family.rates.left_out
        for phase in ("decode", "prompt"):
            chosen = [position for position, row in enumerate(left_out.rows) if row.phase == phase]
            if len(chosen) < FEWEST_ROWS:
                continue
            models = np.array([left_out.rows[position].model for position in chosen])
            inputs = np.array([features(left_out.rows[position]) for position in chosen])
            missing = -np.log1p(left_out.error[chosen])
            print(f"{family.name}, {phase}, {len(chosen)} runs: physics {_words(missing)}", end="")
            for name, learner in LEARNERS.items():
                print(f"; with {name} {_words(missing - _corrections(inputs, missing, models, learner))}", end="")
            print()


def _corrections(inputs: np.ndarray, missing: np.ndarray, models: np.ndarray, learner: Callable[[], Any]) -> np.ndarray:
    found = np.zeros(len(missing))
    for model in sorted(set(models)):
        out = models == model
        mean, spread = inputs[~out].mean(axis=0), inputs[~out].std(axis=0) + 1e-9
        fitted = learner().fit((inputs[~out] - mean) / spread, missing[~out])
        found[out] = fitted.predict((inputs[out] - mean) / spread)
    return found


def _words(logs: np.ndarray) -> str:
    size = np.abs(np.expm1(-logs))
    return f"{100 * np.median(size):.1f} % (p90 {100 * np.quantile(size, 0.9):.1f} %)"


if __name__ == "__main__":
    main()
