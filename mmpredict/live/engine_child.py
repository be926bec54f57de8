"""The process of one embedded llama.cpp server: ``python -m mmpredict.live.engine_child``.

The options come as one JSON object on the first line of standard input, and standard input stays open as a lifeline: it
reaches its end when the parent ends, however that happens, and this process leaves at once. Ready is reported as one
JSON line on standard output; everything that llama.cpp prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any


def _follow_parent() -> None:
    """Leave as soon as the parent closes its end of standard input, or dies."""
    while os.read(0, 4096):
        pass
    os._exit(0)


def _parameters(options: dict[str, Any]) -> Any:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = options["model_path"]
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = options["context_tokens"]
    parameters.n_parallel = options["slots"]
    parameters.kv_unified = True
    parameters.n_batch = options["batch_tokens"]
    parameters.n_ubatch = options["ubatch_tokens"]
    parameters.cpuparams.n_threads = options["threads"]
    parameters.cpuparams_batch.n_threads = options["threads"]
    parameters.n_gpu_layers = 0
    parameters.fit_params = False
    parameters.cache_ram_mib = 0
    parameters.cache_idle_slots = False
    parameters.n_ctx_checkpoints = 0
    parameters.verbosity = 4
    parameters.ui = False
    return parameters


def main() -> int:
    """Start the server, say where it listens, and serve until the lifeline ends."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return 0
        line += byte
    threading.Thread(target=_follow_parent, daemon=True).start()
    import xllamacpp

    reports = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # llama.cpp prints to standard output too; only the report may go there
    try:
        server = xllamacpp.Server(_parameters(json.loads(line)))
    except RuntimeError as error:
        print(json.dumps({"error": str(error)}), file=reports, flush=True)
        return 1
    print(json.dumps({"address": server.listening_address}), file=reports, flush=True)
    threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
