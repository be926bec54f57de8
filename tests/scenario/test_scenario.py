"""Scenario files: what they mean, and one clear line for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmpredict.errors import FileFormatError, InputError, MmpredictError, UnknownNameError
from mmpredict.hardware.detect import THIS_MACHINE
from mmpredict.scenario import MAX_FILE_BYTES, MAX_REQUESTS, RequestSection, Scenario, read_scenario
from mmpredict.simulation.plan import InstancePlan
from mmpredict.strategy.table import STRATEGIES

SMALL, OTHER = "synthetic:smollm2-135m@q8_0", "synthetic:gemma3-270m@q4_0"
ONE = f'[[requests]]\nmodel = "{SMALL}"\nprompt_tokens = 8\noutput_tokens = 4\n'
WHOLE = f"""
hardware = "ms-s1-max"
strategies = ["parallel", "sequential", "parallel"]
cold = true

[server]
context_tokens = 2048
slots = 2
batch_tokens = 512
ubatch_tokens = 128

[[requests]]
model = "{OTHER}"
prompt_tokens = 100
output_tokens = 20
arrival_s = 1.5
count = 2
id = "chat"

[[requests]]
model = "{SMALL}"
prompt_tokens = 10
output_tokens = 5
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "question.toml"
    path.write_text(text, "utf-8")
    return path


def read(folder: Path, text: str) -> Scenario:
    return read_scenario(written(folder, text))


def test_a_whole_file_means_what_it_says(tmp_path: Path) -> None:
    scenario = read(tmp_path, WHOLE)
    assert (scenario.hardware, scenario.cold, scenario.base) == ("ms-s1-max", True, tmp_path.resolve())
    assert [(r.id, r.model, r.prompt_tokens, r.output_tokens, r.arrival_s) for r in scenario.workload().requests] == [
        ("r1", SMALL, 10, 5, 0.0),
        ("chat.1", OTHER, 100, 20, 1.5),
        ("chat.2", OTHER, 100, 20, 1.5),
    ]
    assert {name: spec.shape.architecture for name, spec in scenario.specs().items()} == {OTHER: "gemma3", SMALL: "llama"}
    plans = scenario.plans(cores=6)
    assert [plan.strategy for plan in plans] == ["parallel", "sequential"], "each once, in the order given"
    for plan in plans:
        assert plan.instances == tuple(InstancePlan(name, name, 6, None, 2048, 2, 512, 128) for name in (OTHER, SMALL))


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    scenario = read(tmp_path, ONE)
    assert (scenario.hardware, scenario.cold, scenario.strategies) == (THIS_MACHINE, False, tuple(STRATEGIES))
    assert scenario.plans(2)[0].instances == (InstancePlan(SMALL, SMALL, 2),)
    assert [request.id for request in scenario.workload().requests] == ["r1"]


def test_equal_requests_are_counted(tmp_path: Path) -> None:
    scenario = read(tmp_path, ONE + "count = 7\n" + ONE + 'count = 2\nid = "x"\n')
    requests = scenario.workload().requests
    assert len(requests) == len({request.id for request in requests}) == 9
    assert {request.id for request in requests if request.id.startswith("x")} == {"x.1", "x.2"}


def test_models_are_found_beside_the_file(tmp_path: Path) -> None:
    scenario = read(tmp_path, ONE.replace(SMALL, "models/mine.gguf"))
    with pytest.raises(InputError, match=str(tmp_path / "models" / "mine.gguf")):
        scenario.specs()


MISTAKES = [
    (ONE + "prompt_toknes = 3\n", r"unknown key 'requests\.0\.prompt_toknes'; did you mean 'prompt_tokens'\?"),
    (ONE.replace("prompt_tokens", "promt_tokens"), r"unknown key 'requests\.0\.promt_tokens'; did you mean 'prompt_tokens'\?"),
    ("[server]\nslot = 2\n" + ONE, r"unknown key 'server\.slot'; did you mean 'slots'\?"),
    ('hardwar = "x"\n' + ONE, r"unknown key 'hardwar'; did you mean 'hardware'\?"),
    (
        "zzz = 1\n" + ONE,
        "unknown key 'zzz'; allowed: cold, engine, hardware, load, recommend, recovery, requests, server, serving, strat",
    ),
    ('base = "/"\n' + ONE, "unknown key 'base'"),
    (ONE + "count = 0\n", r"requests\.0\.count: .*greater than or equal to 1 \(found 0\)"),
    (ONE + f"count = {MAX_REQUESTS + 1}\n", r"requests\.0\.count: .*less than or equal to 100000"),
    (ONE.replace("= 8", '= "eight"'), r"requests\.0\.prompt_tokens: .*integer.*\(found 'eight'\)"),
    (ONE.replace("= 8", "= 8.5"), r"requests\.0\.prompt_tokens: .*integer"),
    (ONE.replace("prompt_tokens = 8\n", ""), r"requests\.0\.prompt_tokens is missing"),
    ("", r"asks nothing; give at least one \[\[requests\]\] or \[\[load\]\] entry"),
    ("requests = []\n", "asks nothing"),
    ("cold = 3\n" + ONE, "cold: .*boolean"),
    ('strategies = "parallel"\n' + ONE, "strategies: .*tuple"),
    ("[requests]\nmodel = 3\n", "requests: "),
    ("this is not TOML", r"question\.toml is not TOML: "),
    (ONE + ONE + "[[requests]\n", r"question\.toml is not TOML: .*line 9"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES, ids=[str(number) for number in range(len(MISTAKES))])
def test_mistakes_in_the_file_are_named_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(FileFormatError, match=message) as caught:
        read_scenario(path)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ONE.replace("= 8", "= -8"), "request 'r1': prompt_tokens is -8; it must be between 1 and"),
        (ONE.replace("= 4", "= 0"), "request 'r1': output_tokens is 0"),
        (ONE + "arrival_s = -1.0\n", "request 'r1': arrival_s is -1.0; it must be 0 or more seconds"),
        (ONE + "arrival_s = nan\n", "arrival_s is nan"),
        (ONE + "count = 99999\n" + ONE + "count = 2\n", "more than 100000 requests"),
        (ONE + 'id = "a"\n' + ONE + 'id = "a"\n', "two requests are called 'a'"),
    ],
)
def test_impossible_requests_are_named(tmp_path: Path, text: str, message: str) -> None:
    scenario = read(tmp_path, text)
    with pytest.raises(InputError, match=message) as caught:
        scenario.workload()
    assert caught.value.exit_code == 2


def test_unknown_models_are_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown architecture 'smollm2-136m'; did you mean .*smollm2-135m"):
        read(tmp_path, ONE.replace("135m", "136m")).specs()
    with pytest.raises(InputError, match=r"lama3.2:1b.* did you mean .*llama3.2:1b"):
        read(tmp_path, ONE.replace(SMALL, "lama3.2:1b")).specs()


def test_a_model_of_the_library_is_known_without_its_file(tmp_path: Path) -> None:
    (spec,) = read(tmp_path, ONE.replace(SMALL, "llama3.2:1b")).specs().values()
    assert spec.shape.n_layers == 16
    assert spec.path is None


def test_unknown_strategies_are_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown strategy 'sequentiell'; did you mean sequential") as caught:
        read(tmp_path, 'strategies = ["sequentiell"]\n' + ONE).plans(4)
    assert caught.value.exit_code == 2


def test_impossible_server_options_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="slots is 0; it must be between 1 and 256"):
        read(tmp_path, "[server]\nslots = 0\n" + ONE).plans(4)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read scenario .*missing\.toml: No such file"):
        read_scenario(tmp_path / "missing.toml")
    with pytest.raises(InputError, match=r"cannot read scenario .*: Is a directory"):
        read_scenario(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileFormatError, match=r"binary\.toml is not TOML"):
        read_scenario(tmp_path / "binary.toml")
    with (tmp_path / "large.toml").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(FileFormatError, match="larger than"):
        read_scenario(tmp_path / "large.toml")


def test_a_scenario_can_be_made_without_a_file() -> None:
    scenario = Scenario(requests=(RequestSection(model=SMALL, prompt_tokens=3, output_tokens=2),))
    assert scenario.workload().requests[0].prompt_tokens == 3
    assert Scenario.model_validate(scenario.model_dump(mode="json")) == scenario


def test_every_mistake_is_the_projects_own_error() -> None:
    assert issubclass(FileFormatError, MmpredictError) and FileFormatError.exit_code == InputError.exit_code == 2


def test_made_up_names_avoid_the_given_ones(tmp_path: Path) -> None:
    entry = f'[[requests]]\nmodel = "{SMALL}"\nprompt_tokens = 1\noutput_tokens = 1\n'
    scenario = read(tmp_path, entry + entry + 'id = "r1"\n' + entry)
    assert [request.id for request in scenario.workload().requests] == ["r2", "r1", "r3"]


@pytest.mark.parametrize(
    ("text", "kind", "url"),
    [
        ("", "embedded", ""),
        ('engine = "ollama"\n', "ollama", ""),
        ('engine = {kind = "openai", url = "http://127.0.0.1:1234"}\n', "openai", "http://127.0.0.1:1234"),
    ],
)
def test_the_engine_is_a_name_or_a_section(text: str, kind: str, url: str, tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(text + ONE)
    assert (read_scenario(path).engine.kind, read_scenario(path).engine.url) == (kind, url)


def test_the_engine_section_has_all_of_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    page = (Path(__file__).parents[2] / "docs" / "engines.md").read_text().partition("```toml")[2].partition("```")[0]
    path.write_text(page.replace('engine = "embedded"', 'hardware = "this-machine"', 1) + ONE)
    engine = read_scenario(path).engine
    assert set(page.split()) >= {*type(engine).model_fields.keys() - {"urls", "names"}, "[engine.urls]", "[engine.names]"}
    assert (engine.gpu_layers, engine.names, engine.urls) == (
        20,
        {"models/a.gguf": "qwen2.5:7b"},
        {"models/a.gguf": "http://127.0.0.1:8081"},
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('engine = "olama"\n', "engine.kind"),
        ("engine = 3\n", "one of embedded, llama-server, ollama, openai"),
        ('engine = {knd = "ollama"}\n', "did you mean 'kind'"),
        ("engine = {gpu_layers = -1}\n", "engine.gpu_layers"),
    ],
)
def test_an_engine_that_cannot_be_is_said(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(text + ONE)
    with pytest.raises(FileFormatError, match=words):
        read_scenario(path)
