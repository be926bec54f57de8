"""What a start does when the engine misbehaves: a stub takes the place of xllamacpp in the child process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmpredict.errors import EngineError, EngineMissingError, ServerDiedError, StorageError
from mmpredict.live import embedded, engine_child, engine_log, server_process
from mmpredict.live.embedded import EmbeddedServer
from mmpredict.live.engine_process import engine_environment, engine_options, spawn
from mmpredict.live.idleness import Idleness
from mmpredict.simulation.plan import InstancePlan

STUB = """
import types
def ggml_type(number):
    return number

class CommonParams:
    def __init__(self):
        self.model = types.SimpleNamespace()
        self.cpuparams = types.SimpleNamespace()
        self.cpuparams_batch = types.SimpleNamespace()
class Server:
    listening_address = "http://0.0.0.0:80"
    def __init__(self, parameters):
"""
HOLD_THE_LOCK = "import ctypes; ctypes.PyDLL(None).sleep(60)"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF and more")
    return path


def install(monkeypatch: pytest.MonkeyPatch, directory: Path, constructor: str, module: str = STUB) -> None:
    stubs = directory / "stubs"
    stubs.mkdir()
    (stubs / "xllamacpp.py").write_text(f"{module}        {constructor}\n")
    monkeypatch.setenv("PYTHONPATH", str(stubs))
    monkeypatch.setattr(embedded, "find_spec", lambda name: object())


def start_error(constructor: str, monkeypatch: pytest.MonkeyPatch, model: Path, timeout_s: float = 10.0) -> EngineError:
    install(monkeypatch, model.parent, constructor)
    with pytest.raises(EngineError) as caught:
        EmbeddedServer.start(InstancePlan("stubbed", "model", 1), model, model.parent / "log", timeout_s)
    assert not embedded._running
    return caught.value


def test_import_fails(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    install(monkeypatch, model.parent, "pass", "raise ImportError('libgomp.so.1: cannot open shared object file')\nif True:\n")
    with pytest.raises(EngineMissingError, match=r"libgomp.so.1: cannot open.*pip install"):
        EmbeddedServer.start(InstancePlan("stubbed", "model", 1), model, model.parent / "log")


def test_load_fails_without_a_log(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    error = start_error("raise RuntimeError('no such tensor')", monkeypatch, model)
    assert isinstance(error, ServerDiedError)
    assert "no such tensor" in str(error)


def test_abort_while_loading(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    words = "/src/ggml.c:99: GGML_ASSERT(ne > 0) failed"
    error = start_error(f"import os; os.write(2, b'{words}\\nframe 1\\n'); os.abort()", monkeypatch, model)
    assert isinstance(error, ServerDiedError)
    assert "killed by SIGABRT" in str(error)
    assert words in str(error)


def test_load_takes_too_long(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    start_s = time.perf_counter()
    error = start_error("print('0.1 I still reading', flush=True); " + HOLD_THE_LOCK, monkeypatch, model, timeout_s=0.5)
    assert "'stubbed' was not ready within 0.5 s" in str(error)
    assert "still reading" in str(error)
    assert time.perf_counter() - start_s < 3


def test_a_load_that_does_nothing_is_given_up_early(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    monkeypatch.setattr(server_process, "LONGEST_IDLE_S", 0.3)
    monkeypatch.setattr(server_process, "IDLE_POLL_S", 0.1)
    error = start_error("import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", monkeypatch, model, timeout_s=60.0)
    assert "'stubbed' did nothing for 0.3 s while it should load" in str(error)


def test_work_of_any_kind_is_not_idleness(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"0" * 1000)
    code = f"import time\nwhile True:\n  open({str(file)!r}, 'rb').read()\n  time.sleep(0.01)"
    with subprocess.Popen([sys.executable, "-c", code]) as child:
        idleness = Idleness(child.pid)
        assert idleness.idle_s() < 0.01
        looks = []
        for _ in range(10):
            time.sleep(0.05)
            looks.append(idleness.idle_s())
        os.kill(child.pid, signal.SIGSTOP)
        idleness.idle_s()
        time.sleep(0.2)
        stopped_s = idleness.idle_s()
        child.kill()
    assert min(looks) < 0.05 and stopped_s >= 0.2
    assert Idleness(child.pid).idle_s() == 0.0  # gone


def test_other_interfaces_are_refused(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    assert "not the loopback interface" in str(start_error("pass", monkeypatch, model))


def test_noise_before_the_report_is_skipped(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    install(monkeypatch, model.parent, "pass")
    (model.parent / "stubs" / "sitecustomize.py").write_text("print('hello\\n17')")
    with pytest.raises(EngineError, match="not the loopback interface"):
        EmbeddedServer.start(InstancePlan("stubbed", "model", 1), model, model.parent / "log")


def test_log_cannot_be_written(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    install(monkeypatch, model.parent, "pass")
    with pytest.raises(StorageError, match="cannot write the server's log"):
        EmbeddedServer.start(InstancePlan("stubbed", "model", 1), model, model / "log")


def test_lifeline_does_not_need_the_interpreters_lock(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    install(monkeypatch, model.parent, "print('loading', flush=True); " + HOLD_THE_LOCK)
    plan = InstancePlan("stubbed", "model", 1)
    child = spawn(plan, model.parent / "log")
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(json.dumps(engine_options(plan, model)).encode() + b"\n")
        while "loading" not in (model.parent / "log").read_text():
            time.sleep(0.005)
        time.sleep(0.05)
        assert child.poll() is None
        child.stdin.close()
        child.wait(2.0)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


GOOD = engine_options(InstancePlan("a", "b", 2), Path("/m.gguf"))


def test_options_are_those_of_the_plan() -> None:
    assert engine_child.validate(GOOD) == GOOD
    assert set(GOOD) == set(engine_child.OPTIONS)


@pytest.mark.parametrize(
    "options",
    [
        [],
        None,
        {},
        GOOD | {"extra": 1},
        GOOD | {"threads": 0},
        GOOD | {"slots": True},
        GOOD | {"threads": "2"},
        GOOD | {"model_path": ""},
    ],
)
def test_options_are_checked(options: object) -> None:
    with pytest.raises(ValueError, match=r"option"):
        engine_child.validate(options)


def test_environment_is_the_plans() -> None:
    inherited = {"PATH": "/bin", "OMP_NUM_THREADS": "7", "GOMP_SPINCOUNT": "9", "LLAMA_ARG_THREADS": "3", "omp_wait_policy": "x"}
    assert engine_environment(InstancePlan("a", "b", 1), inherited) == {"PATH": "/bin"}
    assert engine_environment(InstancePlan("a", "b", 1, spincount=0), inherited) == {"PATH": "/bin", "GOMP_SPINCOUNT": "0"}


def test_reads_buffers_of_every_kind(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "0.1 I load_tensors:   CPU_Mapped model buffer size =    10.00 MiB\n"
        "0.1 I load_tensors:          CPU model buffer size =     1.50 MiB\n"
        "0.1 I load_tensors:          AMX model buffer size =     2.00 MiB\n"
        "0.1 I llama_kv_cache:        CPU KV buffer size =     3.00 MiB\n"
        "0.1 I llama_kv_cache:        CPU KV buffer size =     4.00 MiB\n"
        "0.1 I llama_memory_recurrent: CPU RS buffer size =     0.25 MiB\n"
        "0.2 I srv          init: listening on http://127.0.0.1:1\n"
        "0.3 I llama_kv_cache:        CPU KV buffer size =   100.00 MiB\n"
    )
    mib = 1024**2
    assert engine_log.buffer_bytes(log) == {
        "mapped_model": 10 * mib,
        "model": 3 * mib // 2,
        "amx_model": 2 * mib,
        "kv": 7 * mib,
        "recurrent": mib // 4,
    }
    assert engine_log.buffer_bytes(tmp_path / "none") == {}


def test_a_log_is_complete_when_it_says_that_the_server_listens(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert not engine_log.tells_ready(log)
    log.write_text("0.1 I llama_kv_cache:        CPU KV buffer size =     3.00 MiB\n")
    assert not engine_log.tells_ready(log)
    log.write_text(log.read_text() + "0.2 I srv          init: listening on http://127.0.0.1:1\n")
    assert engine_log.tells_ready(log)


def test_finds_the_telling_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    old, cause, effect = "0.1 E srv: an earlier request was bad", "0.9 E load: not enough", "0.9 E srv: failed to load"
    quiet = "0.5 I srv: fine\n" * 9
    log.write_text(f"{old}\n{quiet}{cause}\n{effect}\n0.9 I cleaning up\n{effect}\n")
    assert (engine_log.cause(log), engine_log.last_line(log)) == ("load: not enough", "srv: failed to load")
    log.write_text(quiet)
    assert (engine_log.cause(log), engine_log.last_line(log)) == ("", "srv: fine")
    log.write_text("")
    assert (engine_log.cause(log), engine_log.last_line(log)) == ("", "")
    assert (engine_log.cause(tmp_path / "none"), engine_log.last_line(tmp_path / "none")) == ("", "")
