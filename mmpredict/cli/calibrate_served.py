"""``mmpredict calibrate run SERVER…``: measuring what running servers serve, and fitting it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from mmpredict.cli.console import progress_bars, remark, warn_if_busy


def run_served(
    servers: Sequence[str], hardware: str, model: str | None, backend: str | None, output: Path | None, as_json: bool
) -> None:
    """Measure running servers one after another, and fit their rows together with those of earlier runs on this machine.

    Args:
        servers: ``http://127.0.0.1:PORT`` or ``ollama://TAG``.
        hardware: the machine that this is.
        model: of the server, whatever it says; only with one server.
        backend: programming interface of its GPU.
        output: file for the rows, which are then fitted alone; only with one server.
        as_json: whether the fit is printed as JSON.

    Raises:
        InputError, EngineError, StorageError: see ``calibrate.served.run`` and ``fit_benchmarks``.
    """
    from mmpredict.calibrate.served.run import measure, server_of
    from mmpredict.calibrate.store import served_directory, served_path
    from mmpredict.cli.calibrate_own import fit_benchmarks
    from mmpredict.errors import InputError
    from mmpredict.hardware.library import find_profile

    if len(servers) > 1 and (output or model):
        raise InputError("--output and --model are for one server; give one at a time")
    profile = find_profile(hardware, gpus=True)
    warn_if_busy()
    opened = [
        server_of(name, backend, model) for name in servers
    ]  # all, so that a wrong address is told before the first is measured
    for one in opened:
        with closing(one) as server, progress_bars() as bars:
            path = output or served_path(profile, server.engine, server.model)
            found = measure(server, path, partial(bars, f"measuring {server.model}"))
        remark(f"{found.rows} rows of {server.model} ({server.engine}): {found.path}")
        for reason, count in found.rejected.most_common():
            remark(f"not measured: {count} × {reason}")
        if found.too_long:
            remark(f"left out, as a request would take more than a minute: prompts of {', '.join(map(str, found.too_long))} tokens")
    files = [output] if output else sorted(served_directory(profile).glob("*.jsonl"))
    fit_benchmarks(files, hardware, None, backend, None, as_json)
