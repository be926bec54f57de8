"""Several llama-servers on one H100: what is predicted for it, against runs of a night (``calibration/runs/h100``).

Run with ``python benchmarks/servers_on_h100.py``: the median of each plan's runs, and the error of its prediction.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from statistics import median

from mmpredict.api import forecast

RUNS = Path(__file__).resolve().parent.parent / "calibration" / "runs" / "h100"
METRICS = ("makespan_s", "e2e_p50_s", "ttft_p50_s")


def main() -> None:
    """Print the table."""
    measured: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for line in (RUNS / "several-models.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        measured[row["scenario"], row["strategy"]].append(row)
    for scenario in ("three", "two"):
        for prediction in forecast(RUNS / f"{scenario}.toml").predictions:
            runs = measured[scenario, prediction.strategy]
            told = []
            for metric in METRICS:
                middle, interval = median(run[metric] for run in runs), prediction.metrics[metric]
                inside = "inside" if interval.low <= middle <= interval.high else "outside"
                told.append(f"{metric} {middle:.2f}, {interval.value / middle - 1:+.0%}, {inside}")
            print(f"{scenario} {prediction.strategy:11} {len(runs)} runs: {'; '.join(told)}")


if __name__ == "__main__":
    main()
