"""``mmpredict recommend SCENARIO``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mmpredict.cli.console import OUTPUT, REMARKS, print_json, progress_bars, remark, warn, write_json
from mmpredict.cli.scenario import AsJson, Hardware, ScenarioFile, Seed


def recommend(
    scenario: ScenarioFile,
    goal: Annotated[
        str | None,
        typer.Option("--goal", help="makespan, throughput, latency, latency-p95, ttft, ttft-p95, memory or energy."),
    ] = None,
    max_memory: Annotated[str | None, typer.Option("--max-memory", help="Of all servers together (5GiB, 80%).")] = None,
    max_cores: Annotated[int | None, typer.Option("--max-cores", help="Threads that may work at the same time.")] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option("--objective", help="A limit on a time, MODEL:ttft_p95=2s (ttft, itl, e2e; mean, p50 … p99); repeatable."),
    ] = None,
    resident: Annotated[list[str] | None, typer.Option("--resident", help="A model that must stay loaded; repeatable.")] = None,
    deadlines_met: Annotated[
        float | None, typer.Option("--deadlines-met", min=0.0, max=1.0, help="Least part of the deadlines that must be met (0.95).")
    ] = None,
    quantization: Annotated[
        list[str] | None,
        typer.Option("--quantization", help="A file type that all models may have instead (Q4_K_M); repeatable."),
    ] = None,
    family: Annotated[
        list[str] | None,
        typer.Option(
            "--family",
            help="Plans to look at: sequential, parallel, batched, swap, pool, split (these by default), ollama, llama-swap, "
            "llama-server-router; repeatable.",
        ),
    ] = None,
    thorough: Annotated[
        bool | None, typer.Option("--thorough", help="Vary slots, context, keep-alive and divided layers too.", show_default=False)
    ] = None,
    hardware: Hardware = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Plans that are shown.")] = 10,
    finalists: Annotated[int, typer.Option("--finalists", min=1, max=100, help="Plans that get intervals.")] = 3,
    draws: Annotated[
        int | None,
        typer.Option("--draws", min=1, max=100_000, help="Simulations behind the intervals; by itself 10 to 20."),
    ] = None,
    seed: Seed = 0,
    workers: Annotated[int | None, typer.Option("--workers", min=1, max=1024, help="Processes; by itself where worth it.")] = None,
    as_json: AsJson = False,
    output: Annotated[
        Path | None, typer.Option("--output", help="Directory for the JSON document, report and exported files.")
    ] = None,
    export: Annotated[
        str | None, typer.Option("--export", help="Write the plan's configuration for ollama, llama-swap or llama-server.")
    ] = None,
    plan: Annotated[
        int | None, typer.Option("--plan", min=1, help="Which plan of the ranking to export; by default the first that it can run.")
    ] = None,
) -> None:
    """Find the best way of running a scenario's models: order, groups, threads, waiting rule, servers on demand, CPU or GPU.

    Example: mmpredict recommend scenario.toml --goal ttft-p95 --max-memory 5GiB --export llama-server --output best
    """
    from mmpredict import api
    from mmpredict.advising import export as export_plan
    from mmpredict.report.ranking import ranking_lines, ranking_table
    from mmpredict.report.recommendation_page import write_recommendation_page
    from mmpredict.scenario import read_scenario

    question = read_scenario(scenario)
    if hardware is not None:
        question = question.model_copy(update={"hardware": hardware})
    arguments: dict[str, Any] = {
        "max_memory": max_memory,
        "max_cores": max_cores,
        "objectives": objective or None,
        "resident": resident or None,
        "deadlines_met": deadlines_met,
        "quantizations": quantization or None,
        "families": family or None,
        "thorough": thorough,
        "finalists": finalists,
        "draws": draws,
        "seed": seed,
        "workers": workers,
    }
    if REMARKS.is_terminal:
        with progress_bars() as bars:
            found = api.recommend(
                question, goal, **arguments, progress=lambda label, fraction: bars("looking at plans", label, fraction)
            )
    else:
        found = api.recommend(question, goal, **arguments)
    if output is not None:
        write_json(found.to_dict(), output / "recommendation.json")
        write_recommendation_page(question.hardware, found.ranking, output / "report.html")
    if as_json:
        print_json(found.to_dict())
    else:
        OUTPUT.print(ranking_table(found.ranking, top))
        for line in ranking_lines(found.ranking):
            OUTPUT.print(line, highlight=False, markup=False, soft_wrap=True)
    for warning in found.ranking.warnings:
        warn(warning)
    if export is not None:
        chosen, written = export_plan(found, export, output or Path(), plan)
        remark(f"exported for {export}: plan {chosen.rank}, {chosen.name}")
        for path in written:
            remark(f"written: {path}")
