"""llama-server's rules, against times computed by hand, a simulation of one step at a time, and a queueing simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import ciw
import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st
from step_by_step import Asked, rows_of, step_by_step

from mmpredict.cost.chain import CostModel
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.contention import Contention, Demand, Phase
from mmpredict.cost.memory import MemoryParts
from mmpredict.cost.prices import StepPrices
from mmpredict.models.cache import CacheOptions
from mmpredict.models.catalog import uniform_spec
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.results.columns import RequestRow
from mmpredict.simulation.job import Job
from mmpredict.simulation.machine import Machine
from mmpredict.simulation.passes import Split
from mmpredict.simulation.server import LlamaServer

FAIR = Contention(1, 1.0, 1.0, 1.0, 1.0, 0.0)


class RoundPrices(StepPrices):
    """10 ms for every prompt token and 1 s for every decode step, plus 100 ms for every sequence in it: times to do in the head.

    Attributes:
        pieces: (start, tokens) of every piece of a prompt that was priced.
        batches: (tokens, sampled) of every pass that was priced.
    """

    def __init__(self) -> None:
        super().__init__(100_000)
        self.pieces: list[tuple[int, int]] = []
        self.batches: list[tuple[int, int]] = []

    def piece_s(self, start: int, tokens: int) -> float:
        self.pieces.append((start, tokens))
        return -0.09 * tokens  # the passes count a tenth of a second for every token

    def batch_pass_s(self, tokens: int, sampled: int) -> float:
        self.batches.append((tokens, sampled))
        return 0.1 * tokens

    def _price_decode_pass(self, sequences: int) -> float:
        return 1.0 + 0.1 * sequences

    def _price_batch_pass(self, tokens: int, sampled: int) -> float:
        raise AssertionError("not asked")


class Cost:
    """A server of any prices."""

    memory = MemoryParts()
    program_bytes = device_bytes = 0.0
    stacked = False
    unload_s = 0.0

    def __init__(self, prices: StepPrices) -> None:
        self.prices = prices

    def load_s(self, cold: bool) -> float:
        raise AssertionError("it is loaded")

    def load_demand(self, solo_s: float, cold: bool) -> Demand:
        raise AssertionError("it is loaded")

    def demand(self, phase: Phase, solo_s: float, passes: int, sequences: int) -> Demand:
        return Demand(phase, 1, False, solo_s, float(passes), False)


def served(
    requests: Sequence[Asked],
    slots: int = 4,
    batch_tokens: int = 2048,
    prices: StepPrices | None = None,
    contention: Contention = FAIR,
    split: Split = "simple",
) -> list[RequestRow]:
    """The rows of requests that reach one server, alone on its machine."""
    env = simpy.Environment()
    finished: list[RequestRow] = []
    cost = Cost(prices or RoundPrices())
    server = LlamaServer(env, Machine(env, contention), cost, slots, batch_tokens, split, lambda job: finished.append(job.row))
    rows = rows_of(requests)

    def client(row: RequestRow) -> Iterator[Any]:
        yield env.timeout(row.arrival_s)
        server.submit(Job(row))

    for row in rows:
        env.process(client(row))
    env.run()
    assert sorted(row.request for row in finished) == sorted(row.request for row in rows)
    return rows


def times(row: RequestRow) -> tuple[float, float, float]:
    return row.prefill_start_s, row.first_token_s, row.finish_s


def test_first_token_after_the_prompt_and_the_others_after_a_step_each() -> None:
    (row,) = served([(3.0, 200, 11)])
    assert times(row) == pytest.approx((3.0, 5.0, 5.0 + 10 * 1.1))


def test_a_single_token_is_out_with_the_prompt() -> None:
    (row,) = served([(0.0, 50, 1)])
    assert times(row) == pytest.approx((0.0, 0.5, 0.5))


def test_requests_at_the_same_moment_share_their_batches() -> None:
    rows = served([(0.0, 100, 3), (0.0, 200, 3)])
    assert [times(row) for row in rows] == [pytest.approx((0.0, 3.0, 3.0 + 2 * 1.2))] * 2


def test_an_arrival_during_decode_is_seen_at_the_end_of_the_step() -> None:
    # steps of the first end at 1.0 (prompt), 2.1, 3.2, ...; the second comes within the one that ends at 3.2
    first, second = served([(0.0, 100, 10), (2.5, 50, 2)])
    assert second.prefill_start_s == pytest.approx(3.2)
    # the mixed batch: 50 prompt tokens and one of the first's
    assert second.first_token_s == pytest.approx(3.2 + 0.5 + 0.1)
    assert second.finish_s == pytest.approx(3.8 + 1.2)
    # the first has 1 + 2 + 1 + 1 tokens then, and 5 more to come alone
    assert first.finish_s == pytest.approx(5.0 + 5 * 1.1)


def test_an_arrival_during_decode_in_company_is_seen_at_the_end_of_the_step() -> None:
    # Another activity halves the speed all the time, so the step that ends at 3.2 of the work ends at 6.4.
    env = simpy.Environment()
    machine = Machine(env, FAIR)
    machine.start(Demand("decode", 1, False, 1000.0, 1.0, False), lambda _: None)
    server = LlamaServer(env, machine, Cost(RoundPrices()), 4, 2048, "simple", lambda _: None)
    first, second = rows_of([(0.0, 100, 10), (5.0, 50, 2)])
    server.submit(Job(first))
    env.run(until=5.0)
    server.submit(Job(second))
    env.run(until=40.0)
    assert times(first) == pytest.approx((0.0, 2.0, 21.0))
    assert times(second) == pytest.approx((6.4, 7.6, 10.0))


def test_an_arrival_in_the_very_last_step_waits_for_its_end() -> None:
    first, second = served([(0.0, 100, 3), (2.5, 10, 1)])
    assert first.finish_s == second.prefill_start_s == pytest.approx(3.2)


def test_several_arrivals_within_one_step_are_seen_together() -> None:
    rows = served([(0.0, 100, 10), (2.4, 10, 2), (2.9, 30, 2)])
    assert [row.prefill_start_s for row in rows[1:]] == pytest.approx([3.2, 3.2])
    assert [row.first_token_s for row in rows[1:]] == pytest.approx([3.2 + 0.4 + 0.1] * 2)


def test_a_prompt_stalls_the_decoding_slots_for_its_whole_batch() -> None:
    prices = RoundPrices()
    first, second = served([(0.0, 10, 4), (0.5, 1000, 1)], prices=prices)
    # step 0.1 .. 1.2, then 1000 prompt tokens with one token of the first, then its last token
    assert second.first_token_s == pytest.approx(1.2 + 10.0 + 0.1)
    assert first.finish_s == pytest.approx(11.3 + 1.1)
    assert prices.pieces == [(0, 10), (0, 1000)]
    assert prices.batches == [(10, 1), (1001, 2)]


def test_prompts_fill_the_batch_greedily_in_the_order_of_slots() -> None:
    prices = RoundPrices()
    rows = served([(0.0, 250, 1), (0.0, 30, 1), (0.0, 120, 2)], slots=3, batch_tokens=100, prices=prices)
    assert [row.slot for row in rows] == [2, 1, 0], "of equally old slots the last is taken"
    assert prices.pieces == [
        (0, 100),  # slot 0 takes the whole batch
        *((100, 20), (0, 30), (0, 50)),
        (50, 99),  # the decoding slot's token has its place first
        (149, 100),
        (249, 1),
    ]
    assert prices.batches == [(100, 0), (100, 2), (100, 1), (100, 0), (1, 1)]
    assert rows[2].prefill_start_s == 0.0
    assert rows[1].prefill_start_s == rows[0].prefill_start_s == pytest.approx(1.0), "they start when there is room"


def test_no_more_requests_than_slots_are_served_and_the_others_wait_in_order() -> None:
    rows = served([(0.1 * number, 10, 5) for number in range(7)], slots=2)
    for moment in sorted({row.prefill_start_s for row in rows} | {row.first_token_s for row in rows}):
        assert sum(row.prefill_start_s <= moment < row.finish_s for row in rows) <= 2
    begins = [row.prefill_start_s for row in rows]
    assert begins == sorted(begins)


def test_a_freed_slot_is_taken_by_the_head_of_the_queue() -> None:
    rows = served([(0.0, 10, 3), (0.0, 10, 8), (0.1, 10, 2), (0.2, 10, 2)], slots=2)
    assert rows[2].prefill_start_s == rows[0].finish_s
    assert rows[2].slot == rows[0].slot
    assert rows[3].prefill_start_s == rows[2].finish_s


def test_the_slot_used_longest_ago_is_taken() -> None:
    rows = served([(0.0, 10, 2), (10.0, 10, 2), (20.0, 10, 2), (30.0, 10, 2), (40.0, 10, 2)], slots=3)
    assert [row.slot for row in rows] == [2, 1, 0, 2, 1]


def test_a_full_server_decodes_to_the_end_of_the_shortest() -> None:
    first, second = served([(0.0, 10, 6), (0.35, 10, 1)], slots=1)
    assert first.finish_s == second.prefill_start_s == pytest.approx(0.1 + 5 * 1.1)


def workloads(span_s: float) -> st.SearchStrategy[list[Asked]]:
    """Up to eight requests within a time, some of them at the same moment."""
    arrivals = st.one_of(st.just(0.0), st.floats(0, span_s))
    return st.lists(st.tuples(arrivals, st.integers(1, 300), st.integers(1, 40)), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def real_prices(coefficients: Coefficients) -> Callable[[str, int], StepPrices]:
    specs = {name: uniform_spec(name, weight_type("q8_0")) for name in ("smollm2-135m", "gemma3-270m")}
    options = CacheOptions(65536, 4, 128)
    return lambda name, threads: CostModel(coefficients).instance(specs[name], threads, None, options).prices


@given(
    workloads(1.0),
    st.integers(1, 4),
    st.sampled_from([4, 64, 2048]),
    st.sampled_from([1, 2]),
    st.sampled_from(["smollm2-135m", "gemma3-270m"]),
    st.sampled_from(["simple", "equal", "sequential"]),
)
@settings(max_examples=300)
def test_closed_forms_equal_one_step_at_a_time(
    real_prices: Callable[[str, int], StepPrices],
    requests: list[Asked],
    slots: int,
    batch_tokens: int,
    threads: int,
    model: str,
    split: Split,
) -> None:
    prices = real_prices(model, threads)
    prices.masked_decode_s, prices.masked_batch_s = 3e-7, 1e-7
    prices.rests = ((0.1, 0.01), (0.5, 0.03))
    found = served(requests, slots, batch_tokens, prices, Contention(4, 1.0, 1.0, 1.0, 1.0, 0.0), split)
    for mine, exact in zip(found, step_by_step(requests, slots, batch_tokens, prices, split), strict=True):
        assert times(mine) == pytest.approx(times(exact), rel=1e-9)
        assert mine.slot == exact.slot


@given(workloads(6.0), st.integers(1, 4), st.sampled_from([1, 16, 2048]))
def test_every_prompt_token_is_evaluated_once_and_times_are_in_order(requests: list[Asked], slots: int, batch_tokens: int) -> None:
    prices = RoundPrices()
    rows = served(requests, slots, batch_tokens, prices)
    assert sum(tokens for _, tokens in prices.pieces) == sum(row.prompt_tokens for row in rows)
    assert sum(start == 0 for start, _ in prices.pieces) == len(rows)
    assert all(tokens <= max(batch_tokens, slots) for tokens, _ in prices.batches)
    for row in rows:
        assert row.arrival_s <= row.prefill_start_s < row.first_token_s <= row.finish_s
        assert row.finish_s - row.first_token_s >= (row.output_tokens - 1) * 0.1 - 1e-9, "one token a step, of 0.1 s or more"


@given(workloads(6.0), st.integers(1, 3))
def test_the_work_of_a_single_slot_adds_up(requests: list[Asked], batch_tokens: int) -> None:
    free_s = 0.0
    found = served(requests, slots=1, batch_tokens=100 * batch_tokens)
    for row in sorted(found, key=lambda row: row.arrival_s):
        service_s = 0.01 * row.prompt_tokens + 1.1 * (row.output_tokens - 1)
        free_s = max(free_s, row.arrival_s) + service_s
        assert row.finish_s == pytest.approx(free_s)


CUSTOMERS = 6000
PROMPT_TOKENS, OUTPUT_TOKENS = 50, 6
SERVICE_S = 0.5 + 5 * 1.1


@pytest.fixture(scope="module")
def poisson() -> tuple[list[float], list[RequestRow]]:
    """Gaps between requests at 60 % load, and the rows of a server of one slot."""
    random = np.random.default_rng(11)
    gaps_s = list(map(float, random.exponential(SERVICE_S / 0.6, CUSTOMERS)))
    return gaps_s, served([(arrival_s, PROMPT_TOKENS, OUTPUT_TOKENS) for arrival_s in accumulate(gaps_s)], slots=1)


def test_one_slot_is_the_queue_of_an_independent_simulator(poisson: tuple[list[float], list[RequestRow]]) -> None:
    gaps_s, rows = poisson
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Sequential([*gaps_s, 1e9])],
        service_distributions=[ciw.dists.Deterministic(SERVICE_S)],
        number_of_servers=[1],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_time(1e8)
    records = sorted(simulation.get_all_records(), key=lambda record: record.id_number)
    assert len(records) == CUSTOMERS
    assert [row.prefill_start_s for row in rows] == pytest.approx([record.service_start_date for record in records])
    assert [row.finish_s for row in rows] == pytest.approx([record.exit_date for record in records])


def test_the_mean_wait_is_that_of_an_m_d_1_queue(poisson: tuple[list[float], list[RequestRow]]) -> None:
    _, rows = poisson
    load = 0.6
    waits_s = [row.prefill_start_s - row.arrival_s for row in rows]
    assert float(np.mean(waits_s)) == pytest.approx(load * SERVICE_S / (2 * (1 - load)), rel=0.1)
