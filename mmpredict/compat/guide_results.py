"""A played company in the guide's words: its result keys, milliseconds, megabytes and items per second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmpredict.compat.company import Company, Played
from mmpredict.compat.model_config import MEGABYTE, MS_PER_S
from mmpredict.results.records import Records


def total_metrics(company: Company, played: Played) -> dict[str, Any]:
    """``combined_throughput`` [items/s], ``combined_latency`` [ms], ``combined_memory`` [MB], and what they are made of.

    The time is that of the schedule: from nothing being loaded to the last result.
    """
    items = sum(one.config.batch_size for one in company.asked)
    total_ms = execution_schedule(company, played)["total_execution_time"]
    loading_ms = MS_PER_S * sum(ready - begun for begun, ready, _ in _stages(played))
    bounds = played.prediction.metrics["makespan_s"]
    # The schedule is that of median coefficients; of several doubtful loads the slowest takes longer than that, so that it can lie
    # outside of 80 % of the runs. An interval that does not hold its value would be read as an error.
    low_ms, high_ms = min(MS_PER_S * bounds.low, total_ms), max(MS_PER_S * bounds.high, total_ms)
    return {
        "combined_throughput": MS_PER_S * items / total_ms,
        "combined_latency": total_ms,
        "combined_memory": played.memory_bytes / MEGABYTE,
        "initialization_time": loading_ms,
        "execution_time": total_ms - loading_ms,
        "intervals": {
            "combined_throughput": (MS_PER_S * items / high_ms, MS_PER_S * items / low_ms),
            "combined_latency": (low_ms, high_ms),
        },
        "execution_strategy": played.plan.strategy,
        "model_count": len(company.asked),
    }


def contention_factors(played: Played, alone_s: Mapping[str, float], here_s: Mapping[str, float]) -> dict[str, float]:
    """Time taken ÷ time without each kind of contention; 1 for a model alone.

    Args:
        played: a strategy.
        alone_s, here_s: label → its batch alone on the machine, and alone in the place that it has in this company [s].
    """
    ends = {name: end for _, end, name in _spans(played.prediction.records)}
    begun = {name: stage_begun for stage_begun, _, names in _stages(played) for name in names}
    whole = sum(ends.values())
    delay = 0.0
    for name, before in played.waited_for.items():
        delay += begun[name] - min(begun[one] for one in before)
    delay += sum(max(0.0, here_s[name] - alone_s[name]) for name in played.slower)
    return {
        "compute_contention": played.slowdowns.compute,
        "memory_bandwidth_contention": played.slowdowns.memory_bandwidth,
        "memory_contention": whole / (whole - delay),
    }


def sharing_benefits(company: Company, played: Played, alone_s: Mapping[str, float]) -> dict[str, Any]:
    """Memory and work with sharing ÷ without, and what shares with what."""
    physical: list[dict[str, Any]] = [
        {"models": [pair.first, pair.second], "what": pair.what, "memory": pair.size_bytes / MEGABYTE, "assumed": False}
        for pair in played.sharing.pairs
    ]
    stated: list[dict[str, Any]] = [
        {"models": list(pair), "what": "types that the table calls compatible", "assumed": True} for pair in played.table_pairs
    ]
    work = sum(alone_s.values())
    left = sum(
        played.adjustments[one.label].time / one.adjustment.time * alone_s[one.label] for one in company.asked if alone_s[one.label]
    )
    return {
        "memory_benefit": min(1.0, played.memory_bytes / played.sharing.unshared_bytes),
        "compute_benefit": left / work * played.sharing.compute_ratio if played.table_pairs else played.sharing.compute_ratio,
        "compatible_pairs": len({tuple(one["models"]) for one in (*physical, *stated)}),
        "pairs": sorted([*physical, *stated], key=lambda one: (one["models"], one["what"])),
        "not_shared": list(played.sharing.reasons),
        "assumed": bool(played.table_pairs),
    }


def execution_schedule(company: Company, played: Played) -> dict[str, Any]:
    """When each model is loaded and works [ms]."""
    names = {one.label: one.config.name for one in company.asked}
    records = played.prediction.records
    stage_of = {name: number for number, (_, _, members) in enumerate(_stages(played)) for name in members}
    loads = [(row.start_s, row.end_s, row.instance, "load") for row in records.activities if row.kind == "load"]
    works = [(start_s, end_s, name, "execute") for start_s, end_s, name in _spans(records)]
    timeline: list[dict[str, Any]] = [
        {
            "model": names[label],
            "instance": label,
            "kind": kind,
            "batch": stage_of[label],
            "start_time": MS_PER_S * start_s,
            "end_time": MS_PER_S * end_s,
            "duration": MS_PER_S * (end_s - start_s),
        }
        for start_s, end_s, label, kind in sorted([*loads, *works])
    ]
    return {
        "total_execution_time": max(event["end_time"] for event in timeline),
        "timeline": timeline,
        "execution_order": [names[label] for _, _, label in sorted(_spans(records))],
        "batch_execution_order": [[names[label] for label in members] for _, _, members in _stages(played)],
        "batches": len(played.plan.stages),
        "strategy": played.plan.strategy,
    }


def _spans(records: Records) -> list[tuple[float, float, str]]:
    """When each member works: from the first of its inputs to the last of its results [s]."""
    found: dict[str, tuple[float, float]] = {}
    for row in records.requests:
        start_s, end_s = found.get(row.instance, (row.prefill_start_s, row.finish_s))
        found[row.instance] = min(start_s, row.prefill_start_s), max(end_s, row.finish_s)
    return [(start_s, end_s, name) for name, (start_s, end_s) in found.items()]


def _stages(played: Played) -> list[tuple[float, float, tuple[str, ...]]]:
    """Begin of loading, end of loading, members of every stage [s]."""
    loads = {row.instance: row for row in played.prediction.records.activities if row.kind == "load"}
    return [
        (min(loads[name].start_s for name in stage.instances), max(loads[name].end_s for name in stage.instances), stage.instances)
        for stage in played.plan.stages
    ]
