"""The question of a board with 5 GB for models and a fast disk: one model of 7B and two of 0.5B, more than fit together."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from mmpredict.api import forecast
from mmpredict.cost.chain import CalibratedSource, CostModel
from mmpredict.cost.coefficients import Coefficients
from mmpredict.report.waits import waits, waits_table
from mmpredict.results.records import Records
from mmpredict.scenario import read_scenario
from mmpredict.simulation.repeat import predict_plan
from mmpredict.simulation.run import simulate
from mmpredict.simulation.site import Site

GB = 1e9
BUDGET_BYTES = 5 * GB
LARGE, ONE, OTHER = "synthetic:qwen2.5-7b@iq4_xs", "synthetic:qwen2.5-0.5b@q8_0", "synthetic:qwen2.5-0.5b@f16"
NVME = Site(BUDGET_BYTES, swap_bytes=91 * GB, swap_bytes_per_s=2 * GB)
QUESTION = f"""
[serving]
{{serving}}

[server]
context_tokens = 2048
slots = 1

[[load]]
kind = "poisson"
rate_per_s = 0.05
requests = 24
seed = 5
models = {{{{ "{LARGE}" = 1, "{ONE}" = 3, "{OTHER}" = 3 }}}}
prompt_tokens = 200
output_tokens = 30
"""
POOL = 'rules = "pool"\nbudget = "5GB"\nunload = "5s"'
SWAP = 'rules = "swap"\nunload = "5s"'
OLLAMA = 'rules = "ollama"'
ROUTER = 'rules = "llama-server-router"'


def asked(folder: Path, coefficients: Coefficients, serving: str, site: Site = NVME) -> Records:
    path = folder / "question.toml"
    path.write_text(QUESTION.format(serving=serving), "utf-8")
    question = read_scenario(path)
    (plan,) = question.plans(coefficients.cores)
    return simulate(plan, question.workload(), question.specs(), CostModel(coefficients), 8 * GB, site=site)


def test_the_pool_keeps_its_budget_and_says_who_waited_for_what(
    tmp_path: Path, coefficients: Coefficients, capsys: pytest.CaptureFixture[str]
) -> None:
    records = asked(tmp_path, coefficients, POOL)
    assert {row.status for row in records.requests} == {"ok"}
    assert max(row.used for row in records.states if row.resource == "memory") <= BUDGET_BYTES
    evicted = [row for row in records.activities if row.kind == "unload"]
    assert {row.instance for row in evicted} == {LARGE, ONE, OTHER}
    assert all(row.end_s - row.start_s == pytest.approx(5.0) for row in evicted)
    for wait in waits(records):
        assert wait.wait_s == pytest.approx(wait.request.dispatched_s - wait.request.arrival_s)
    large = [wait for wait in waits(records) if wait.request.model == LARGE and wait.evicted]
    assert any(set(wait.evicted) == {ONE, OTHER} for wait in large), "the large model needs all of the room"
    Console(width=200).print(waits_table(records))
    printed = capsys.readouterr().out
    assert "unload of" in printed
    assert f"{len(waits(records))} of 24 requests waited, 0 were refused" in printed


def test_small_models_stay_together_in_a_pool_but_not_on_a_swap_server(tmp_path: Path, coefficients: Coefficients) -> None:
    loads = {
        rules: sum(row.kind == "load" for row in asked(tmp_path, coefficients, rules).activities) for rules in (POOL, SWAP, OLLAMA)
    }
    assert loads[OLLAMA] == 3 < loads[POOL] < loads[SWAP]


def test_rules_that_do_not_look_at_memory_swap_and_pay_for_it(tmp_path: Path, coefficients: Coefficients) -> None:
    records = asked(tmp_path, coefficients, OLLAMA)
    over = max(row.used for row in records.states if row.resource == "swapped")
    assert 0 < over < 1.5 * GB
    roomy = asked(tmp_path, coefficients, OLLAMA, Site(8 * GB))
    pairs = zip(records.requests, roomy.requests, strict=True)
    assert any(slow.finish_s - slow.first_token_s > 1.02 * (fast.finish_s - fast.first_token_s) for slow, fast in pairs)
    without = asked(tmp_path, coefficients, OLLAMA, Site(BUDGET_BYTES))
    assert "out of memory" in {row.status for row in without.requests}


def test_a_prediction_warns_of_memory_that_is_not_there(tmp_path: Path, coefficients: Coefficients) -> None:
    path = tmp_path / "question.toml"
    path.write_text(QUESTION.format(serving=OLLAMA), "utf-8")
    question = read_scenario(path)
    (plan,) = question.plans(coefficients.cores)
    source, workload, specs = CalibratedSource(coefficients), question.workload(), question.specs()
    found = predict_plan(plan, workload, specs, source, BUDGET_BYTES, draws=2, site=NVME)
    assert any("the system swaps" in warning for warning in found.warnings)
    killed = predict_plan(plan, workload, specs, source, BUDGET_BYTES, draws=2)
    assert any("fail because their model does not fit into memory" in warning for warning in killed.warnings)


@pytest.mark.parametrize("serving", [POOL, OLLAMA, SWAP, ROUTER])
def test_the_board_itself_with_models_as_they_are_pulled(tmp_path: Path, serving: str) -> None:
    """With its CUDA context the large model alone needs a little more than there is: refused, or swapped."""
    path = tmp_path / "question.toml"
    text = QUESTION.format(serving=serving).replace(LARGE, "qwen2.5:7b").replace(ONE, "qwen2.5:0.5b").replace(OTHER, "llama3.2:1b")
    path.write_text('hardware = "jetson-orin-nano"\n' + text, "utf-8")
    (prediction,) = forecast(read_scenario(path), draws=1).predictions
    refused = {row.model for row in prediction.records.requests if row.status == "out of memory"}
    assert refused == ({"qwen2.5:7b"} if serving == POOL else set())
    assert any("the system swaps" in warning for warning in prediction.warnings) == (serving != POOL)
    evicted = {name for wait in waits(prediction.records) for name in wait.evicted}
    assert bool(evicted) == (serving in (OLLAMA, SWAP)), "Ollama looks at the memory of a GPU, the router at none"
