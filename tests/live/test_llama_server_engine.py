"""llama-server programs as child processes, servers that run already, and what is said of both."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from engines import program
from fake_router import FakeRouter
from test_lifeline import LIMIT_S, running, wait_for_end

from mmpredict.errors import EngineError, EngineMissingError, InputError, ServerDiedError, UnknownNameError
from mmpredict.live.attached import disturbances
from mmpredict.live.binary_server import BinaryServer, find_program
from mmpredict.live.client import CompletionClient
from mmpredict.live.embedded import EmbeddedServer
from mmpredict.live.llama_command import Program, build_of, known_options, missing, server_command
from mmpredict.live.llama_server_engine import LlamaServerEngine
from mmpredict.live.server_process import stop_all
from mmpredict.live.server_state import differences, metric
from mmpredict.models.resolve import resolve
from mmpredict.models.servers import ServedModel
from mmpredict.simulation.plan import InstancePlan, Plan, Stage

SMALL = "synthetic:smollm2-135m@q4_0"

live = pytest.mark.live


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return find_program(str(program(tmp_path_factory.mktemp("bin"))))


@pytest.fixture
def binary(found: Program, small_model: Path, instance: InstancePlan, tmp_path: Path) -> Iterator[BinaryServer]:
    with BinaryServer.start(found, instance, small_model, tmp_path / "server.log") as server:
        yield server


def test_options_are_read_from_the_help() -> None:
    text = "-np,   --parallel N         number of server slots (default: -1)\n-kvu, --kv-unified, -no-kvu, --no-kv-unified\n"
    assert known_options(text) >= {"-np", "--parallel", "--kv-unified", "--no-kv-unified"}
    assert build_of("version: 8123 (1a2b3c4)\nbuilt with") == "b8123 (1a2b3c4)"
    assert build_of("version: 0.5.0-dev (build 11549, commit 0c1e570)\nbuilt with GNU 12.2.0") == "b11549 (0c1e570)"
    assert build_of("version: 8123") == "b8123"
    assert build_of("something else") == ""


def test_the_command_says_all_that_the_plan_does() -> None:
    plan = InstancePlan(
        "x", "m", 3, context_tokens=1024, slots=2, batch_tokens=64, ubatch_tokens=32, unified=False, key_type="q8_0"
    )
    old = Program(Path("/bin/llama-server"), frozenset({"--parallel", "--metrics"}), "")
    command = server_command(old, plan, Path("/m.gguf"), 1234)
    told = dict(pairwise(command))
    assert (told["--ctx-size"], told["--parallel"], told["--batch-size"], told["--ubatch-size"]) == ("1024", "2", "64", "32")
    assert (told["--threads"], told["--threads-batch"], told["--host"], told["--port"]) == ("3", "3", "127.0.0.1", "1234")
    assert told["--cache-type-k"] == "q8_0" and "--cache-type-v" not in command
    assert "--metrics" in command and "--cache-ram" not in command
    assert "--no-kv-unified" in missing(old, [plan, plan]) and len(set(missing(old, [plan, plan]))) == len(
        missing(old, [plan, plan])
    )


def test_what_differs_from_the_plan_is_said() -> None:
    spec, plan = resolve(SMALL), InstancePlan("x", SMALL, 1, context_tokens=1024, slots=4)
    same = ServedModel("m", "m", 1024, 4, "b1", n_vocab=spec.shape.n_vocab, size_bytes=spec.weight_bytes)
    assert differences(same, plan, spec) == []
    other = ServedModel("m", "m", 512, 1, "b1", n_vocab=spec.shape.n_vocab, size_bytes=2 * spec.weight_bytes)
    assert [text.split()[0] for text in differences(other, plan, spec)] == ["it", "a", "its"]
    assert "vocabulary of 7" in differences(ServedModel("m", "m", 1024, 4, "b1", n_vocab=7), plan, spec)[0]


def test_figures_of_metrics() -> None:
    text = "# TYPE llamacpp:requests_deferred gauge\nllamacpp:requests_deferred 3\nllamacpp:odd x\n"
    assert metric(text, "requests_deferred") == 3
    assert metric(text, "odd") != metric(text, "odd")


def test_no_program_is_an_error_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineMissingError, match=r"\[engine\] binary"):
        find_program()
    other = tmp_path / "llama-server"
    other.write_text("#!/bin/sh\necho hello\n")
    other.chmod(0o755)
    with pytest.raises(EngineError, match="is no llama-server"):
        find_program()


@live
def test_a_program_on_the_path_is_found_and_says_its_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_program().build == "b11549 (0c1e570)"


@live
def test_it_runs_as_the_plan_says(binary: BinaryServer) -> None:
    assert binary.alive() and binary.pid != binary._process.pid
    variables = psutil.Process(binary.pid).environ()
    assert {name: value for name, value in variables.items() if name.startswith(("OMP_", "GOMP_", "LLAMA_"))} == {
        "GOMP_SPINCOUNT": "1000"
    }
    log = binary.log_path.read_text(errors="replace")
    assert "n_threads = 1 (n_threads_batch = 1)" in log
    assert "n_slots = 4, n_ctx_slot = 256, kv_unified = 'true'" in log
    assert set(binary.buffer_bytes()) >= {"mapped_model", "kv", "compute", "output"}
    listening = {one.laddr.ip for one in psutil.Process(binary.pid).net_connections() if one.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}
    with CompletionClient(binary.url) as client:
        assert client.stream([5, 6, 7], 3, 20.0).output_tokens == 3
        assert metric(client.content("/metrics").decode(), "requests_processing") == 0


@live
def test_others_that_use_a_server_are_noticed(binary: BinaryServer) -> None:
    assert disturbances(binary.url) == []
    with CompletionClient(binary.url) as client:
        begun = threading.Event()
        threading.Thread(target=stream_until_given_up, args=(client, begun), daemon=True).start()
        assert begun.wait(20)
        assert disturbances(binary.url) == ["1 of its slots work for others at the moment"]
        client.abandon()


def stream_until_given_up(client: CompletionClient, begun: threading.Event) -> None:
    with suppress(EngineError):
        client.stream([5], 240, 30.0, on_token=lambda _: begun.set())


@live
@pytest.mark.parametrize("victim", ["program", "keeper"])
def test_a_program_that_is_killed_is_noticed_and_leaves_nothing(binary: BinaryServer, victim: str) -> None:
    os.kill(binary.pid if victim == "program" else binary._process.pid, signal.SIGKILL)
    assert wait_for_end([binary.pid]) < LIMIT_S
    binary._process.wait(LIMIT_S)
    assert binary.death().startswith("killed by SIGKILL")


@live
def test_stop_all_ends_programs(found: Program, small_model: Path, instance: InstancePlan, tmp_path: Path) -> None:
    server = BinaryServer.start(found, instance, small_model, tmp_path / "log")
    stop_all()
    assert not running(server.pid)
    assert server.death() == "it was stopped"


@live
def test_a_program_ends_with_the_process_that_started_it(found: Program, small_model: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from mmpredict.live.binary_server import BinaryServer, find_program; from mmpredict.simulation.plan import InstancePlan\n"
        "server = BinaryServer.start(find_program(sys.argv[1]), InstancePlan('x', 'm', 1, context_tokens=256), Path(sys.argv[2]), "
        "Path(sys.argv[3])); print(server.pid, flush=True); sys.stdin.read()"
    )
    arguments = [sys.executable, "-c", code, str(found.path), str(small_model), str(tmp_path / "log")]
    parent = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdin is not None and parent.stdout is not None
    with parent.stdin, parent.stdout:
        pid = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
    assert wait_for_end([pid]) < LIMIT_S


@live
def test_a_program_that_cannot_load_says_why(found: Program, small_model: Path, instance: InstancePlan, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(small_model.read_bytes()[:5_000_000])
    with pytest.raises(ServerDiedError, match=r"ended while it loaded its model.*corrupted or incomplete"):
        BinaryServer.start(found, instance, damaged, tmp_path / "log")


@live
def test_what_cannot_be_served_is_refused_before_anything_begins(server: EmbeddedServer, small_model: Path, tmp_path: Path) -> None:
    pair = [InstancePlan(name, name, 1, context_tokens=256) for name in ("a", "b")]
    plan = Plan("two", tuple(pair), (Stage(("a", "b")),))
    specs = dict.fromkeys(("a", "b"), resolve(SMALL))
    with pytest.raises(InputError, match="serves one model"):
        LlamaServerEngine(url=server.url).prepare(plan, specs, cold=False)
    with pytest.raises(EngineError, match="no llama-server answers"):
        LlamaServerEngine(url="http://127.0.0.1:1").prepare(plan, specs, cold=False)
    with FakeRouter({"text": small_model}, pair[0], tmp_path) as router, pytest.raises(UnknownNameError, match="router"):
        LlamaServerEngine(url=router.url).prepare(plan, specs, cold=False)


@live
def test_an_attached_server_goes_on_and_its_differences_are_told(server: EmbeddedServer, tmp_path: Path) -> None:
    plan = Plan("one", (InstancePlan("a", SMALL, 1, context_tokens=1024, slots=1),), (Stage(("a",)),))
    engine = LlamaServerEngine(url=server.url)
    engine.prepare(plan, {SMALL: resolve(SMALL)}, cold=True)
    attached = engine.load(plan.instances[0], tmp_path / "log")
    assert attached.attached and attached.memory_bytes() > 75e6
    attached.stop()
    assert server.alive()
    assert sum("the plan" in note for note in engine.notes) == 2


@live
def test_a_router_that_cannot_load_a_model_says_so(small_model: Path, instance: InstancePlan, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(small_model.read_bytes()[:5_000_000])
    plan = Plan("one", (InstancePlan("a", SMALL, 1, context_tokens=256),), (Stage(("a",)),))
    with FakeRouter({"m": damaged}, instance, tmp_path) as router:
        engine = LlamaServerEngine(url=router.url, names={SMALL: "m"})
        engine.prepare(plan, {SMALL: resolve(SMALL)}, cold=False)
        with pytest.raises(EngineError, match="could not load 'm'"):
            engine.load(plan.instances[0], tmp_path / "log")
    assert router.calls == ["load m"]
