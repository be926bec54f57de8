"""``[[load]]`` and the newer keys of ``[[requests]]``: what they mean, and one clear line for each mistake."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from mmpredict.errors import FileFormatError, InputError, UnknownNameError
from mmpredict.scenario import MAX_REQUESTS, Scenario, read_scenario

POISSON = """
[[load]]
kind = "poisson"
rate_per_s = 2.0
requests = 5
model = "synthetic:smollm2-135m@q8_0"
prompt_tokens = { kind = "lognormal", median = 300, p95 = 2000, min = 10, max = 400 }
output_tokens = 16
"""
SESSIONS = """
[[load]]
kind = "sessions"
arrivals = { kind = "constant", rate_per_s = 1.0 }
sessions = 2
turns = 3
models = { a = 1, b = 1 }
user_tokens = 20
output_tokens = 30
memory = { kind = "window", window_tokens = 100 }
"""
GRAPH = """
[[load]]
kind = "graph"
arrivals = { kind = "bursts", burst_size = 2, gap_s = 10 }
tasks = 4

[[load.calls]]
id = "first"
model = "a"
prompt_tokens = 10
output_tokens = 5

[[load.calls]]
id = "second"
model = "b"
after = ["first"]
prompt_tokens = 10
output_tokens = 5
"""
CLOSED = POISSON.replace('"poisson"\nrate_per_s = 2.0\nrequests = 5', '"closed"\nusers = 3\nrequests_per_user = 2\nthink_s = 1.5')
ONE = '[[requests]]\nmodel = "m"\nprompt_tokens = 8\noutput_tokens = 4\n'


def read(folder: Path, text: str) -> Scenario:
    path = folder / "question.toml"
    path.write_text(text, "utf-8")
    return read_scenario(path)


def test_single_requests_have_all_that_a_request_has(tmp_path: Path) -> None:
    more = 'session = "s"\nshared_tokens = 3\nafter = ["x", "y"]\ndelay_s = 2.0\ndeadline_s = 9.0\npriority = -1\n'
    text = ONE + more + ONE + 'id = "x"\ncount = 2\narrival_s = 5.0\n' + ONE + 'id = "y"\n'
    requests = {request.id: request for request in read(tmp_path, text).workload().requests}
    waiting = requests["r1"]
    assert (waiting.session, waiting.shared_tokens, waiting.priority, waiting.deadline_s) == ("s", 3, -1, 9.0)
    assert (waiting.after, waiting.delay_s, waiting.arrival_s) == (("x.1", "x.2", "y"), 2.0, 7.0)
    assert list(requests)[-1] == "r1"


def test_everything_is_merged_in_order_of_arrival(tmp_path: Path) -> None:
    scenario = read(tmp_path, ONE + "arrival_s = 1.0\n" + POISSON + SESSIONS + GRAPH + CLOSED)
    requests = list(scenario.stream())
    assert tuple(requests) == scenario.workload().requests
    assert [request.arrival_s for request in requests] == sorted(request.arrival_s for request in requests)
    assert {request.id.partition(".")[0] for request in requests} == {"r1", "load1", "load2", "load3", "load4"}
    assert len(requests) == 1 + 5 + 2 * 3 + 4 * 2 + 3 * 2
    assert all(10 <= request.prompt_tokens <= 400 for request in requests if request.id.startswith("load1."))
    assert scenario.models() == ("m", "synthetic:smollm2-135m@q8_0", "a", "b")
    assert Scenario.model_validate(scenario.model_dump(mode="json")).workload() == scenario.workload()


def test_plans_and_specs_are_of_the_models_of_loads_too(tmp_path: Path) -> None:
    scenario = read(tmp_path, 'strategies = ["parallel"]\n' + POISSON)
    assert list(scenario.specs()) == ["synthetic:smollm2-135m@q8_0"]
    assert [instance.model for instance in scenario.plans(2)[0].instances] == ["synthetic:smollm2-135m@q8_0"]


def test_loads_have_a_name_a_start_and_marks(tmp_path: Path) -> None:
    text = POISSON + 'id = "chat"\nstart_s = 100.0\npriority = 3\ndeadline_s = 8.0\nseed = 5\n'
    first = next(read(tmp_path, text).stream())
    assert (first.id, first.priority, first.deadline_s) == ("chat.1", 3, 8.0) and first.arrival_s > 100.0
    assert first.arrival_s != next(read(tmp_path, text.replace("seed = 5", "seed = 6")).stream()).arrival_s


def test_a_stream_has_no_end_to_fear_but_a_workload_has(tmp_path: Path) -> None:
    scenario = read(tmp_path, POISSON.replace("requests = 5", "requests = 900_000_000"))
    assert len(list(itertools.islice(scenario.stream(), 1000))) == 1000
    with pytest.raises(InputError, match=f"the scenario holds more than {MAX_REQUESTS} requests"):
        scenario.workload()


TRACE = '[[load]]\nkind = "trace"\nformat = "jsonl"\nfile = "t.jsonl"\n'


def test_a_trace_lies_beside_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"id": "a", "model": "m1", "prompt_tokens": 3, "output_tokens": 2, "arrival_s": 8}\n')
    scenario = read(tmp_path, TRACE + "speed = 4.0\n")
    assert [(one.id, one.model, one.arrival_s) for one in scenario.stream()] == [("a", "m1", 2.0)]
    assert scenario.models() == ("m1",)
    named = read(tmp_path, TRACE + 'id = "mine"\nnames = { m1 = "m2" }\n')
    assert [(one.id, one.model) for one in named.stream()] == [("mine.a", "m2")] and named.models() == ("m2",)
    assert read(tmp_path, TRACE + 'model = "m3"\n').models() == ("m3",)


MISTAKES = [
    (POISSON.replace("rate_per_s", "rate_per_ss"), r"unknown key 'load\.0\.rate_per_ss'; did you mean 'rate_per_s'\?"),
    (POISSON.replace("poisson", "poison"), r"load\.0: unknown kind 'poison'; did you mean 'poisson'\?"),
    (
        POISSON.replace("poisson", "zzz"),
        r"unknown kind 'zzz'; allowed: bursts, closed, constant, gamma, graph, poisson, sessions, trace",
    ),
    (POISSON.replace('kind = "poisson"\n', ""), r"load\.0\.kind is missing; allowed: constant, poisson, gamma"),
    (POISSON.replace("rate_per_s = 2.0\n", ""), r"load\.0\.rate_per_s is missing"),
    (POISSON.replace("2.0", '"often"'), r"load\.0\.rate_per_s: .*number.*\(found 'often'\)"),
    (POISSON.replace("median", "medain"), r"unknown key 'load\.0\.prompt_tokens\.medain'; did you mean 'median'\?"),
    (POISSON.replace("lognormal", "lognromal"), r"load\.0\.prompt_tokens: unknown kind 'lognromal'; did you mean 'lognormal'\?"),
    (POISSON.replace('kind = "lognormal", ', ""), r"load\.0\.prompt_tokens\.kind is missing; allowed: uniform, exponential"),
    (
        POISSON.replace("= 16", '= "many"'),
        r"output_tokens: write a number, or a table with kind = one of uniform.*\(found 'many'\)",
    ),
    (POISSON.replace("= 16", "= 16.5"), r"load\.0\.output_tokens: .*integer.*\(found 16\.5\)"),
    ("load = 3\n", "load: .*tuple"),
    ("load = [3]\n", r"load\.0: write a table with kind = one of constant"),
    (POISSON + "users = 3\n", r"unknown key 'load\.0\.users'"),
    (SESSIONS.replace("constant", "constnat"), r"load\.0\.arrivals: unknown kind 'constnat'; did you mean 'constant'\?"),
    (
        SESSIONS.replace("window_tokens", "window_token"),
        r"unknown key 'load\.0\.memory\.window_token'; did you mean 'window_tokens'\?",
    ),
    (GRAPH.replace('model = "b"', 'modle = "b"'), r"unknown key 'load\.0\.calls\.1\.modle'; did you mean 'model'\?"),
    (ONE + "prioritty = 3\n", r"unknown key 'requests\.0\.prioritty'; did you mean 'priority'\?"),
    (ONE + 'after = "x"\n', r"requests\.0\.after: .*tuple"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES, ids=[str(number) for number in range(len(MISTAKES))])
def test_mistakes_in_loads_are_named_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FileFormatError, match=message) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (POISSON.replace("requests = 5\n", ""), "load 'load1': it has no end; give requests or duration_s"),
        (SESSIONS.replace("sessions = 2\n", ""), "load 'load1': it has no end; give sessions or duration_s"),
        (GRAPH.replace("tasks = 4\n", ""), "load 'load1': it has no end; give tasks or duration_s"),
        (POISSON.replace("2.0", "-2.0"), r"load 'load1': rate_per_s is -2\.0; it must be more than 0"),
        (POISSON.replace("p95 = 2000", "p95 = 2"), r"load 'load1': prompt_tokens: p95 is 2\.0; it must be the median"),
        (POISSON.replace("p95 = 2000, ", ""), "load 'load1': prompt_tokens: a lognormal distribution needs p95 or sigma"),
        (
            POISSON.replace("min = 10", "min = 0"),
            "load 'load1': prompt_tokens: min is 0.0 and max is 400.0; whole numbers from 1 on",
        ),
        (POISSON.replace("max = 400", "max = inf"), "load 'load1': prompt_tokens: "),
        (POISSON.replace("= 16", "= 0"), "load 'load1': output_tokens: it is 0; at least 1 is needed"),
        (POISSON.replace('model = "', "models = {}\n#"), "load 'load1': give model, or models with their weights"),
        (POISSON + "seed = -1\n", "seed is -1"),
        (POISSON + "priority = 9999999\n", "request 'load1.1': priority is 9999999"),
        (CLOSED.replace("1.5", "-1.5"), r"load 'load1': think_s: value is -1\.5"),
        (
            GRAPH.replace('["first"]', '["frist"]'),
            "load 'load1': call 'second': after names 'frist', which is no call; did you mean 'first'",
        ),
        (POISSON + 'id = "x"\n' + CLOSED + 'id = "x"\n', "two loads are called 'x'"),
        (ONE + 'after = ["load1.1"]\n' + POISSON, r"request 'r1': after names 'load1\.1', which is no request"),
        (TRACE, r"cannot read trace .*t\.jsonl: No such file"),
        (TRACE + 'model = "a"\nnames = { b = "c" }\n', "load 'load1': names and models cannot both be given"),
        (POISSON.replace("requests = 5", "requests = 5\nduration_s = 1e-9"), "the workload holds no request"),
    ],
)
def test_impossible_loads_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, text).workload()
    assert "\n" not in str(caught.value)


def test_a_load_that_asks_nobody_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n")
    text = '[[load]]\nid = "azure"\nkind = "trace"\nformat = "azure"\nfile = "t.csv"\n'
    with pytest.raises(InputError, match="load 'azure': this trace does not say which model was asked; give model, or models"):
        read(tmp_path, text).models()
    assert read(tmp_path, text + "models = { a = 1, b = 2 }\n").models() == ("a", "b")


def test_unknown_trace_formats_are_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown trace format 'json'; did you mean jsonl"):
        read(tmp_path, TRACE.replace('"jsonl"', '"json"')).workload()
