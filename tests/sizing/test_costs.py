"""What servers cost on machines that were not calibrated: where their parts lie, what they ask of the machine, what is unsure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmpredict.cost.draw import Draw
from mmpredict.cost.piece import PromptPiece
from mmpredict.cost.published_costs import PublishedSource, Served
from mmpredict.cost.rates.step_terms import Conditions
from mmpredict.cost.server_cost import ServerCost
from mmpredict.cost.speed import PublishedSpeed
from mmpredict.errors import DoesNotFitError, InputError, MmpredictError, NotCalibratedError
from mmpredict.hardware.library import find_profile
from mmpredict.models.cache import CacheOptions
from mmpredict.models.catalog import catalog_spec
from mmpredict.models.spec import ModelSpec
from mmpredict.sizing.costs import PlannedServer, UncalibratedMachine
from mmpredict.sizing.estimate import estimate
from mmpredict.sizing.find_machine import find_machine
from mmpredict.sizing.speed import IN_MEMORY, ON_DISK, choice_of

OPTIONS = CacheOptions(8192, 4, 512)
SMALL = catalog_spec("qwen2.5-0.5b", "Q8_0")
DENSE = catalog_spec("llama3.1-8b", "Q4_K_M")
LARGE = catalog_spec("llama3.2-3b", "Q6_K")
HUGE = catalog_spec("llama3.3-70b", "Q4_K_M")


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMPREDICT_DATA", str(tmp_path))


def machine(name: str) -> UncalibratedMachine:
    return UncalibratedMachine(find_profile(name))


def served(spec: ModelSpec, name: str, threads: int = 16) -> Served:
    planned = PlannedServer(spec, threads, OPTIONS)
    return machine(name).source([[planned]]).served_as(spec, threads, OPTIONS)


def cost(spec: ModelSpec, name: str, threads: int = 16, spincount: int | None = None, draw: Draw | None = None) -> ServerCost:
    source = machine(name).source([[PlannedServer(spec, threads, OPTIONS)]])
    return source.costs(draw or Draw()).instance(spec, threads, spincount, OPTIONS)


def test_a_server_is_as_fast_as_estimate_says() -> None:
    prices = cost(DENSE, "ms-s1-max").prices
    speed = PublishedSpeed(DENSE, choice_of(find_machine("ms-s1-max"), "ms-s1-max").rates, Conditions(sampled=True))
    assert prices.decode_s([4096.0], 128) == pytest.approx(speed.decode(1, 4096, 128, served=True).value, rel=1e-9)
    assert prices.batch_s([], [PromptPiece(0, 512, False)]) == pytest.approx(speed.prompt(512).value, rel=0.01)


def test_a_server_takes_the_memory_that_estimate_says() -> None:
    for name in ("ms-s1-max", "rtx-3090", "raspberry-pi-5", "apple-m4-max"):
        found = served(SMALL, name, 4)
        told = estimate(SMALL, name, context_tokens=8192, slots=4, unified=True).instances[0]
        both = told.host_added.value + told.device_added.value + told.idle_bytes
        assert found.memory.total + found.device_bytes == pytest.approx(both, rel=1e-6), name


def test_a_unified_memory_holds_all_and_a_card_its_part() -> None:
    unified, card = served(DENSE, "ms-s1-max"), served(DENSE, "rtx-3090")
    assert unified.device_bytes == 0.0
    assert unified.memory.total > DENSE.weight_bytes
    assert card.device_bytes > 0.9 * DENSE.weight_bytes > card.memory.total


def test_loads_take_what_estimate_says() -> None:
    figures = estimate(DENSE, "ms-s1-max", speed=True).speeds[0]
    found = cost(DENSE, "ms-s1-max")
    assert found.load_s(cold=False) == pytest.approx(figures.figure(IN_MEMORY).value)
    assert found.load_s(cold=True) == pytest.approx(figures.figure(ON_DISK).value)
    drawn = [cost(DENSE, "ms-s1-max", draw=Draw(0, number)).load_s(cold=True) for number in range(300)]
    low, high = np.percentile(drawn, [10, 90])
    told = figures.figure(ON_DISK)
    assert (float(low), float(high)) == (pytest.approx(told.low, rel=0.15), pytest.approx(told.high, rel=0.15))


def test_work_of_the_gpu_takes_one_thread_and_nearly_all_of_the_gpu() -> None:
    found = cost(DENSE, "ms-s1-max")
    steps = found.demand("decode", 10.0, 400, 1)
    assert (steps.threads, steps.yielding) == (1, True)
    assert 0.9 < steps.gpu < 1.0, "sampling is work of the CPU"
    assert steps.quantum_s == pytest.approx(10.0 / 400)
    assert 0.7 < steps.bandwidth <= 1.0, "a dense model's single token is read from memory"
    several = found.demand("decode", 10.0, 400, 16)
    assert several.gpu < steps.gpu
    assert several.bandwidth < steps.bandwidth
    prompt = found.demand("prefill", 2.0, 4, 1)
    assert prompt.gpu > 0.99
    assert prompt.bandwidth < steps.bandwidth
    assert prompt.quantum_s == pytest.approx(0.5)
    load = found.load_demand(5.0, False)
    assert (load.threads, load.gpu) == (1, 0.0)
    assert 0.0 < load.bandwidth < 0.2


def test_work_of_the_cpu_takes_its_threads() -> None:
    found = cost(SMALL, "raspberry-pi-5", 4)
    steps = found.demand("decode", 10.0, 100, 1)
    assert (steps.threads, steps.gpu, steps.yielding) == (4, 0.0, False)
    assert cost(SMALL, "raspberry-pi-5", 4, 1000).demand("decode", 1.0, 1, 1).yielding
    waiting = cost(SMALL, "raspberry-pi-5", 4, 1000).prices.decode_s([0.0], 1)
    assert 1.0 < waiting / found.prices.decode_s([0.0], 1) < 1.1


def test_fewer_threads_are_slower_and_less_sure() -> None:
    steps = [cost(SMALL, "raspberry-pi-5", threads).prices for threads in (1, 2, 4)]
    single, _, whole = steps
    assert [prices.decode_pass_s(1) for prices in steps] == sorted((p.decode_pass_s(1) for p in steps), reverse=True)
    assert 3.0 < single.batch_pass_s(512, 0) / whole.batch_pass_s(512, 0) <= 4.0
    assert 1.5 < single.decode_pass_s(1) / whole.decode_pass_s(1) < 3.0, "memory is read well by few"
    few, many = (served(SMALL, "raspberry-pi-5", threads).parts[0].prices for threads in (1, 4))
    assert few.prompt_log_halfwidth > many.prompt_log_halfwidth


def test_layers_that_the_gpu_is_not_given_stay_with_the_cpu() -> None:
    # llama-server leaves 1 GiB free, and takes layers from the GPU for it, although both share one memory
    found = served(LARGE, "jetson-orin-nano", 6)
    assert [part.kind for part in found.parts] == ["gpu", "cpu"]
    assert found.device_bytes == 0.0
    server = cost(LARGE, "jetson-orin-nano", 6)
    parts = [part.prices.decode_pass_s(1) for part in found.parts]
    assert server.prices.decode_pass_s(1) == pytest.approx(sum(parts))
    demand = server.demand("decode", 10.0, 10, 1)
    assert demand.threads == 6
    assert demand.gpu == pytest.approx(parts[0] / sum(parts), rel=0.05)
    source = machine("jetson-orin-nano").source([[PlannedServer(LARGE, 6, OPTIONS)]])
    assert any("two processors" in note for note in source.doubts([LARGE], several=False))
    assert [sentence.split(": ")[0] for sentence in source.provenance] == ["jetson-orin-nano:15w, gpu", "jetson-orin-nano:15w, cpu"]


def test_a_host_of_which_nothing_is_known_cannot_have_layers() -> None:
    with pytest.raises(InputError, match="does not say flop_per_s of 'assumed host"):
        served(HUGE, "rtx-3090")


def test_company_that_does_not_fit_is_refused() -> None:
    jetson = machine("jetson-orin-nano")
    alone = PlannedServer(catalog_spec("qwen2.5-3b", "Q4_K_M"), 6, OPTIONS)
    other = PlannedServer(catalog_spec("llama3.2-3b", "Q4_K_M"), 6, OPTIONS)
    assert jetson.source([[alone], [other]]).served_as(alone.spec, 6, OPTIONS).memory.total < 5e9
    with pytest.raises(DoesNotFitError, match=r"qwen2\.5-3b.*llama3\.2-3b.* of unified memory, .*usable; run fewer models at once"):
        jetson.source([[alone, other]])


def test_what_nobody_placed_is_a_defect() -> None:
    source = machine("ms-s1-max").source([[PlannedServer(SMALL, 16, OPTIONS)]])
    with pytest.raises(MmpredictError, match="was not placed on ms-s1-max"):
        source.served_as(DENSE, 16, OPTIONS)


def test_this_machine_must_be_measured_first() -> None:
    with pytest.raises(NotCalibratedError, match="nothing was measured on this machine"):
        machine("this-machine")


def test_a_request_costs_what_is_known_or_usual_with_as_much_doubt() -> None:
    def source(name: str) -> PublishedSource:
        return machine(name).source([[PlannedServer(SMALL, 4, OPTIONS)]])

    measured, usual = source("rtx-3090"), source("ms-s1-max")
    assert 0.005 < measured.request_s < 0.05
    assert usual.request_s == pytest.approx(0.01), "its runs are benchmarks, no requests"
    assert measured.request_log_spread < usual.request_log_spread


@pytest.mark.parametrize(
    ("name", "words"), [("h200", "taken from runs on an H200"), ("ms-s1-max", "assumed: turns"), ("raspberry-pi-5", "fair shares")]
)
def test_what_is_assumed_of_company_is_said(name: str, words: str) -> None:
    source = machine(name).source([[PlannedServer(SMALL, 4, OPTIONS)]])
    assert any(words in doubt for doubt in source.doubts([SMALL], several=True))
    assert not any(words in doubt for doubt in source.doubts([SMALL], several=False))
    assert source.on_cpu is (name == "raspberry-pi-5")


def test_two_plans_share_their_luck() -> None:
    pair = [cost(DENSE, "ms-s1-max", threads, draw=Draw(3, 7)) for threads in (16, 8)]
    first, second = (one.prices.decode_s([100.0], 10) for one in pair)
    assert first == second != cost(DENSE, "ms-s1-max").prices.decode_s([100.0], 10)


@pytest.mark.parametrize(("name", "backend", "sliced"), [("rtx-3090", "vulkan", True), ("ms-s1-max", "vulkan", False)])
def test_time_is_sliced_by_the_make_of_the_gpu_not_by_its_backend(name: str, backend: str, sliced: bool) -> None:
    source = UncalibratedMachine(find_profile(name), backend).source([[PlannedServer(SMALL, 4, OPTIONS)]])
    assert source.nvidia is sliced


def test_layers_that_are_asked_for_are_placed_there() -> None:
    board = machine("ms-s1-max")

    def parts(gpu_layers: int | None) -> list[str]:
        source = board.source([[PlannedServer(DENSE, 16, OPTIONS, gpu_layers)]])
        return [part.kind for part in source.served_as(DENSE, 16, OPTIONS, gpu_layers).parts]

    assert (parts(None), parts(0), parts(16)) == (["gpu"], ["cpu"], ["gpu", "cpu"])

    def decode_s(gpu_layers: int) -> float:
        source = board.source([[PlannedServer(DENSE, 16, OPTIONS, gpu_layers)]])
        return source.costs(Draw()).instance(DENSE, 16, None, OPTIONS, None, gpu_layers).prices.decode_pass_s(1)

    assert decode_s(33) < decode_s(16) < decode_s(0)
    with pytest.raises(InputError, match="has no GPU that models could use, so 5 layers cannot be on it"):
        machine("raspberry-pi-5").source([[PlannedServer(SMALL, 4, OPTIONS, 5)]])
