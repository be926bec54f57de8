"""What keeps a plan from being better, read from the records of its run."""

from __future__ import annotations

from mmpredict.planning.energy import covered_s
from mmpredict.results.columns import ActivityRow
from mmpredict.results.ranked_plan import Binding
from mmpredict.results.records import Records
from mmpredict.results.usage import usage
from mmpredict.units import format_percent

_COMPANY = 1.15
"""Slowdown from which company, not the work itself, is what binds."""
_SERVING = ("prefill", "decode")


def binding(records: Records, on_gpu: bool) -> Binding:
    """What binds: what takes most of the time, and there, whether company or the work alone does.

    Loading while nobody is served binds by itself, as waiting for requests does. Of serving, the longer phase counts: slowed by
    company by more than 15 %, servers compete for cores or for the GPU; alone, prompts are bound by compute, and tokens, each of
    which reads the weights, by memory bandwidth.

    Args:
        records: of a simulated run, whose rows know what company cost.
        on_gpu: whether servers work on a GPU.
    """
    first_s = min(row.arrival_s for row in records.requests)
    last_s = max((row.finish_s for row in records.requests if row.finish_s == row.finish_s), default=first_s)
    span_s = max(last_s - first_s, 1e-12)
    spans = {kind: _spans(records.activities, (kind,), first_s, last_s) for kind in ("load", *_SERVING)}
    serving_s = covered_s(spans["prefill"] + spans["decode"])
    work_s = covered_s(spans["load"] + spans["prefill"] + spans["decode"])
    shares = {
        "load": (work_s - serving_s) / span_s,
        "prefill": covered_s(spans["prefill"]) / span_s,
        "decode": covered_s(spans["decode"]) / span_s,
        "idle": max(0.0, span_s - work_s) / span_s,
    }
    contention = {kind: ratio for kind, ratio in usage(records).contention.items() if kind in ("load", *_SERVING)}
    longest = max(shares, key=lambda name: shares[name])
    if longest == "load":
        return Binding("load time", shares, contention, f"load time: {format_percent(shares['load'])} of the time only loads run")
    if longest == "idle":
        return Binding("arrivals", shares, contention, f"arrivals: {format_percent(shares['idle'])} of the time nothing is asked")
    slowed = contention.get(longest, 1.0)
    share = format_percent(shares[longest])
    if slowed > _COMPANY:
        resource = "GPU time" if on_gpu else "cores"
        told = f"{resource}: {longest} takes {share} of the time, and in company {slowed:.2g} times as long as alone"
        return Binding(resource, shares, contention, told)
    resource = "compute" if longest == "prefill" else "memory bandwidth"
    return Binding(resource, shares, contention, f"{resource}: {longest} takes {share} of the time, hardly slowed by company")


def _spans(rows: list[ActivityRow], kinds: tuple[str, ...], first_s: float, last_s: float) -> list[tuple[float, float]]:
    return [(max(row.start_s, first_s), min(row.end_s, last_s)) for row in rows if row.kind in kinds and row.end_s > row.start_s]
