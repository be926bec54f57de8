"""The program ``llama-server`` of the tests: its command line and its own server code, from the Python package.

Options and messages are those of llama.cpp (``common/arg.cpp``, ``tools/server/README.md``); what is served is llama.cpp itself.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from mmpredict.live.engine_child import parameters

VALUES = {
    "--model": "-m", "--host": "", "--port": "", "--ctx-size": "-c", "--parallel": "-np", "--batch-size": "-b",
    "--ubatch-size": "-ub", "--threads": "-t", "--threads-batch": "-tb", "--cache-type-k": "-ctk", "--cache-type-v": "-ctv",
    "--cache-ram": "-cram", "--ctx-checkpoints": "-ctxcp", "--verbosity": "-lv",
}  # fmt: skip
SWITCHES = {
    "--kv-unified": "-kvu", "--no-kv-unified": "-no-kvu", "--no-cache-idle-slots": "", "--no-context-shift": "", "--metrics": "",
    "--slots": "", "--no-webui": "", "--offline": "", "--embedding": "",
}  # fmt: skip
TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 8}


def parsed(arguments: list[str]) -> dict[str, Any]:
    """Option → its value, or ``True``; ends as the real program does at what it does not know."""
    found: dict[str, Any] = {}
    words = iter(arguments)
    for word in words:
        if word in SWITCHES:
            found[word] = True
        elif word in VALUES:
            found[word] = next(words)
        else:
            print(f"error: invalid argument: {word}", file=sys.stderr)
            sys.exit(1)
    return found


def usage() -> str:
    lines = [f"{', '.join(filter(None, (short, name)))} N" for name, short in VALUES.items()]
    return "\n".join(["----- common params -----", *lines, *(", ".join(filter(None, (s, n))) for n, s in SWITCHES.items())])


def main() -> None:
    arguments = sys.argv[1:]
    if "--help" in arguments:
        print(usage())
        return
    if "--version" in arguments:
        print("version: 11549 (0c1e570)\nbuilt with cc (GCC) 14.2.0 for x86_64-linux-gnu", file=sys.stderr)
        return
    said = parsed(arguments)
    import xllamacpp

    options = {
        "model_path": said["--model"],
        "context_tokens": int(said["--ctx-size"]),
        "slots": int(said["--parallel"]),
        "batch_tokens": int(said["--batch-size"]),
        "ubatch_tokens": int(said["--ubatch-size"]),
        "threads": int(said["--threads"]),
        "unified": "--kv-unified" in said,
        "key_type": TYPES[said.get("--cache-type-k", "f16")],
        "value_type": TYPES[said.get("--cache-type-v", "f16")],
        "embedding": "--embedding" in said,
    }
    chosen = parameters(xllamacpp, options)
    chosen.hostnames = [said["--host"]]
    chosen.port = int(said["--port"])
    chosen.endpoint_metrics = "--metrics" in said
    chosen.verbosity = int(said.get("--verbosity", 3))
    try:
        server = xllamacpp.Server(chosen)
    except RuntimeError:  # the log says why, as the program's own does
        sys.exit(1)
    assert server.listening_address
    threading.Event().wait()


if __name__ == "__main__":
    main()
