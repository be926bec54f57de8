"""No server outlives the process that started it, however that process ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from mmpredict.live.embedded import EmbeddedServer, stop_all
from mmpredict.simulation.plan import InstancePlan

PARENT = Path(__file__).with_name("server_parent.py")
LIMIT_S = 5.0

pytestmark = pytest.mark.live


def running(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1  # other threads may end later
    except psutil.NoSuchProcess:
        return False


def wait_for_end(pids: list[int]) -> float:
    """Seconds until none of ``pids`` runs, at most ``LIMIT_S``."""
    start_s = time.perf_counter()
    while any(running(pid) for pid in pids) and time.perf_counter() - start_s < LIMIT_S:
        time.sleep(0.005)
    return time.perf_counter() - start_s


@pytest.mark.parametrize("phase", ["loading", "generating"])
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_servers_end_with_their_parent(ending: signal.Signals, phase: str, small_model: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(PARENT), str(small_model), str(tmp_path), phase]
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    parent = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere, start_new_session=True)
    assert parent.stdout is not None
    try:
        pids = json.loads(parent.stdout.readline())
        assert len(pids) == 2
        assert all(running(pid) for pid in pids)
        if ending is signal.SIGINT:
            os.killpg(parent.pid, ending)  # what a terminal does on Ctrl-C: every process of the group gets it
            assert parent.stdout.readline() == b"2\n"  # the servers leave the decision to their parent
        else:
            parent.send_signal(ending)
        took_s = wait_for_end(pids)
        assert not any(running(pid) for pid in pids)
        assert took_s < LIMIT_S
        assert parent.wait(LIMIT_S) == -ending
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()


def test_lifelines_are_not_shared(small_model: Path, instance: InstancePlan, tmp_path: Path) -> None:
    with (
        EmbeddedServer.start(instance, small_model, tmp_path / "first") as first,
        EmbeddedServer.start(instance, small_model, tmp_path / "second") as second,
    ):
        lifeline = first._process.stdin
        assert lifeline is not None
        lifeline.close()
        first._process.wait(LIMIT_S)
        assert second.alive()


def test_stop_all(small_model: Path, instance: InstancePlan, tmp_path: Path) -> None:
    servers = [EmbeddedServer.start(instance, small_model, tmp_path / name) for name in ("first", "second")]
    stop_all()
    assert not any(running(server.pid) for server in servers)
    assert [server.death() for server in servers] == ["it was stopped"] * 2
