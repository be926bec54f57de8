"""The process of one embedded llama.cpp server, started by ``mmpredict.live.embedded``.

The options come as one JSON object on the first line of standard input. Standard input then stays open as a lifeline: it
reaches its end when the parent closes it or ends, however that happens, and this process leaves at once. What became of
the start is reported as one JSON line on standard output; everything that llama.cpp prints goes to standard error.

Only the standard library and the engine are imported, so that this file can be run by its path.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
from time import perf_counter
from typing import Any

MAX_OPTIONS_BYTES = 65536
LOG_VERBOSITY = 4  # the lowest level at which llama.cpp logs the sizes of its buffers
OPTIONS: dict[str, tuple[type, int, int]] = {
    "model_path": (str, 1, 4096),
    "context_tokens": (int, 16, 16_777_216),
    "slots": (int, 1, 256),
    "batch_tokens": (int, 1, 65536),
    "ubatch_tokens": (int, 1, 65536),
    "threads": (int, 1, 1024),
    "unified": (int, 0, 1),
    "key_type": (int, 0, 64),
    "value_type": (int, 0, 64),
    "embedding": (int, 0, 1),
}
"""Name of each option, its type, and the limits of its value (of its length, for a text). All are required."""


def validate(options: object) -> dict[str, Any]:
    """Return ``options`` if they are complete and within their limits.

    Raises:
        ValueError: they are not; the message names the option.
    """
    if not isinstance(options, dict) or set(options) != set(OPTIONS):
        raise ValueError(f"the options must be an object with exactly: {', '.join(OPTIONS)}")
    for name, (kind, low, high) in OPTIONS.items():
        value = options[name]
        size = len(value) if isinstance(value, str) else value
        if type(value) is not kind or not low <= size <= high:
            raise ValueError(f"option {name} is {value!r}; it must be of type {kind.__name__} and within {low} to {high}")
    return options


def parameters(engine: Any, options: dict[str, Any]) -> Any:
    """llama.cpp's parameters for ``options``. ``engine`` is the module ``xllamacpp``."""
    chosen = engine.CommonParams()
    chosen.model.path = options["model_path"]
    chosen.hostnames = ["127.0.0.1"]
    chosen.port = 0
    chosen.n_ctx = options["context_tokens"]
    chosen.n_parallel = options["slots"]
    chosen.kv_unified = bool(options["unified"])
    chosen.cache_type_k = engine.ggml_type(options["key_type"])
    chosen.cache_type_v = engine.ggml_type(options["value_type"])
    chosen.n_batch = options["batch_tokens"]
    chosen.n_ubatch = options["ubatch_tokens"]
    chosen.cpuparams.n_threads = options["threads"]
    chosen.cpuparams_batch.n_threads = options["threads"]
    chosen.embedding = bool(options["embedding"])
    chosen.n_gpu_layers = 0
    chosen.fit_params = False  # the plan says what fits
    chosen.cache_ram_mib = 0  # nothing is kept from one request for the next, which would make requests depend on their order
    chosen.cache_idle_slots = False
    chosen.n_ctx_checkpoints = 0
    chosen.warmup = True
    chosen.verbosity = LOG_VERBOSITY
    chosen.ui = False
    return chosen


def _end_with_parent() -> None:
    """Make this process end when standard input reaches its end.

    A thread does it on every system, but xllamacpp holds the interpreter's lock while it loads a model, for minutes if the
    model is large. On Linux the kernel therefore ends the process without help: SIGIO, sent at the hang-up of the pipe,
    terminates by default.
    """
    if sys.platform == "linux":
        import fcntl

        signal.signal(signal.SIGIO, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGIO])
        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
        poll = select.poll()
        poll.register(0, select.POLLIN)
        if poll.poll(0):  # the parent ended before the signal was asked for
            os._exit(0)
    threading.Thread(target=_wait_for_end, daemon=True).start()


def _wait_for_end() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def _read_options() -> bytes:
    line = bytearray()
    while not line.endswith(b"\n") and len(line) < MAX_OPTIONS_BYTES:
        byte = os.read(0, 1)
        if not byte:
            os._exit(0)
        line += byte
    return bytes(line)


def main() -> int:
    """Start the server, report, and serve until the lifeline ends.

    The report holds ``address``, ``import_s`` and ``load_s`` [s], or ``error`` and its ``kind``: ``options``, ``missing``
    or ``load``.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the parent decides
    reports = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # llama.cpp prints to standard output too; only the report may go there

    def report(**content: object) -> None:
        print(json.dumps(content), file=reports, flush=True)

    line = _read_options()
    _end_with_parent()
    start_s = perf_counter()
    try:
        options = validate(json.loads(line))
        import xllamacpp

        imported_s = perf_counter()
        server = xllamacpp.Server(parameters(xllamacpp, options))
    except ValueError as error:
        report(kind="options", error=str(error))
    except ImportError as error:
        report(kind="missing", error=str(error))
    except Exception as error:
        report(kind="load", error=str(error))
    else:
        report(address=server.listening_address, import_s=imported_s - start_s, load_s=perf_counter() - imported_s)
        threading.Event().wait()
    return 1


if __name__ == "__main__":
    sys.exit(main())
