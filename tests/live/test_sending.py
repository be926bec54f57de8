"""What really stands behind a failure, where the client sees the connection alone."""

from __future__ import annotations

import pytest
from process_engine import together

from mmpredict.live import sending
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.live.recorder import Recorder
from mmpredict.live.sending import Sending
from mmpredict.live.text_server import TextServer
from mmpredict.live.word_prompt import Alphabet, Texts
from mmpredict.workload.request import Request


@pytest.mark.parametrize(("killed", "status"), [(0, "server-died"), (1, "out-of-memory")])
def test_a_process_of_others_that_the_system_ended(killed: int, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ollama says that its runner is gone, not why; that the system ended a process for want of memory meanwhile tells it."""

    def ask(*_: object) -> None:
        raise RequestFailure(FailureReason.SERVER_DIED, "an error was encountered while running the model: unexpected EOF")

    monkeypatch.setattr(sending, "memory_kills", lambda: 5 + killed)
    run = Sending(together("m"), {"m": 1.0}, Recorder("together"), lambda: 0.0, 0.0, 60.0, kills=5)
    texts = Texts(Alphabet((" a", " b", " c", " d", " e", " f", " g", " h"), 0))
    run.servers["m"] = TextServer(ask, texts, False, 0.0, None, [])  # type: ignore[arg-type]
    assert run.send(Request("r", "m", 4, 2), 0.0, "m", 0.0, 1).status == status
