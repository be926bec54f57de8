"""A parent that starts two servers from threads of its own, for the tests that end it.

``python server_parent.py MODEL LOG_DIRECTORY loading|generating``: prints the process numbers of its servers as soon as
both are in that phase, then waits to be ended. On Ctrl-C it prints how many of them are still alive, and stops them.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from mmpredict.errors import EngineError
from mmpredict.live import embedded
from mmpredict.live.client import CompletionClient
from mmpredict.simulation.plan import InstancePlan

MODEL, LOGS, PHASE = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
PHASE_REACHED = {name: threading.Event() for name in ("first", "second")}
LOADING_LINE = "loading model tensors"


def serve(name: str) -> None:
    with suppress(EngineError):
        server = embedded.EmbeddedServer.start(InstancePlan(name, "small", 1, context_tokens=1024), MODEL, LOGS / name)
        with CompletionClient(server.url) as client:
            client.stream([5, 6, 7], 1000, 60.0, on_token=lambda _: PHASE_REACHED[name].set())


def watch(name: str) -> None:
    while not ((LOGS / name).exists() and LOADING_LINE in (LOGS / name).read_text(errors="replace")):
        time.sleep(0.001)
    PHASE_REACHED[name].set()


def main() -> None:
    threads = [threading.Thread(target=serve, args=(name,)) for name in PHASE_REACHED]
    if PHASE == "loading":
        threads += [threading.Thread(target=watch, args=(name,)) for name in PHASE_REACHED]
    for thread in threads:
        thread.start()
    for event in PHASE_REACHED.values():
        event.wait()
    servers = list(embedded._running)
    try:
        print(json.dumps([server.pid for server in servers]), flush=True)
        sys.stdin.read()  # until the test interrupts or kills it, or is gone itself
    except KeyboardInterrupt:
        time.sleep(0.1)  # the signal went to the servers too
        print(sum(server.alive() for server in servers), flush=True)
        embedded.stop_all()
        raise


if __name__ == "__main__":
    main()
