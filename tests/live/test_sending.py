"""What really stands behind a failure, where the client sees the connection alone."""

from __future__ import annotations

import threading

import pytest
from process_engine import together

from mmpredict.live import sending
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.live.recorder import Recorder
from mmpredict.live.sending import Sending
from mmpredict.live.text_server import TextServer
from mmpredict.live.word_prompt import Alphabet, Texts
from mmpredict.workload.request import Request


def run_with(around_tokens: int) -> Sending:
    """A run with one model at a server of others whose runner is gone."""

    def ask(*_: object) -> None:
        raise RequestFailure(FailureReason.SERVER_DIED, "an error was encountered while running the model: unexpected EOF")

    texts = Texts(Alphabet((" a", " b", " c", " d", " e", " f", " g", " h"), around_tokens))
    run = Sending(together("m"), {"m": 1.0}, Recorder("together"), lambda: 0.0, 0.0, 60.0, kills=5)
    run.servers["m"] = TextServer(ask, texts, False, 0.0, None, [])  # type: ignore[arg-type]
    return run


@pytest.mark.parametrize(("killed", "status"), [(0, "server-died"), (1, "out-of-memory")])
def test_a_process_of_others_that_the_system_ended(killed: int, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ollama says that its runner is gone, not why; that the system ended a process for want of memory meanwhile tells it."""
    monkeypatch.setattr(sending, "memory_kills", lambda: 5 + killed)
    assert run_with(0).send(Request("r", "m", 4, 2), 0.0, "m", 0.0, 1).status == status


def test_a_prompt_too_short_for_the_template_costs_its_request_only() -> None:
    row = run_with(50).send(Request("r", "m", 32, 2), 0.0, "m", 0.0, 1)
    assert (row.status, row.attempts) == ("bad-request", 0)
    assert "ask for 51 or more" in row.detail


def test_a_request_is_made_before_it_is_due_and_sent_then() -> None:
    """On a clock of its own: the wait until the arrival is what moves it."""
    now_s, done = [3.0], list[tuple[str, float]]()

    class Server:
        def alive(self) -> bool:
            return True

        def prompt(self, tokens: int, seed: int) -> list[int]:
            done.append(("made", now_s[0]))
            return [0] * tokens

        def stream(self, *_: object, **__: object) -> None:
            done.append(("sent", now_s[0]))
            raise RequestFailure(FailureReason.REFUSED, "enough is known")

    class Clock(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            now_s[0] += timeout or 0.0
            return False

    run = Sending(together("m"), {"m": 1.0}, Recorder("together"), lambda: now_s[0], 0.0, 60.0, ended=Clock())
    run.servers["m"] = Server()  # type: ignore[assignment]
    row = run.send(Request("r", "m", 4, 2), 3.5, "m", 0.0, 1)
    assert done == [("made", 3.0), ("sent", 3.5)]
    assert row.dispatched_s == 3.5
    run.send(Request("late", "m", 4, 2), 1.0, "m", 0.0, 2)
    assert done[2:] == [("made", 3.5), ("sent", 3.5)]  # what is due already waits for nothing
