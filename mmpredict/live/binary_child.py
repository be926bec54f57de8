"""The keeper of a server program's process, started by ``mmpredict.live.binary_server``.

A program of others has no lifeline. This process has one in its stead: the command comes as one JSON object on the first line of
standard input, which then stays open until the parent closes it or ends, however that happens; then the program is killed at once.
On Linux the kernel does that too should this process be killed itself. This process ends as the program ends, by the same exit code
or signal.

Only the standard library is imported, so that this file can be run by its path.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

MAX_MESSAGE_BYTES = 65536
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def _dying_with(parent: int) -> Callable[[], None] | None:
    """What the program's process does before it becomes the program: asks the kernel to be killed when its parent ends.

    The signal follows the parent's thread that started it, which is this one: it lives as long as the process.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def _end_like(code: int) -> None:
    """End this process with an exit status of ``subprocess``."""
    if code < 0:
        with suppress(OSError):  # SIGKILL has no handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(max(code, 0))


def main() -> int:
    """Start the program, report its process number, and keep it until the lifeline ends.

    The report holds ``pid``, or ``error``.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the parent decides
    with suppress(ImportError, ValueError, OSError):  # a program that crashes leaves no core file in our name
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    line = sys.stdin.buffer.readline(MAX_MESSAGE_BYTES)
    if not line.endswith(b"\n"):
        return 1
    command = [str(word) for word in json.loads(line)["command"]]
    try:
        program = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            stderr=sys.stderr,
            start_new_session=True,  # so that Ctrl-C does not reach it
            preexec_fn=_dying_with(os.getpid()),
        )
    except OSError as error:
        print(json.dumps({"error": f"{command[0]}: {error.strerror}"}), flush=True)
        return 1

    signal.signal(signal.SIGTERM, lambda *_: program.kill())
    print(json.dumps({"pid": program.pid}), flush=True)
    threading.Thread(target=_kill_at_end, args=(program,), daemon=True).start()
    _end_like(program.wait())
    return 1


def _kill_at_end(program: subprocess.Popen[bytes]) -> None:
    """Kill the program when standard input ends."""
    while os.read(0, 4096):
        pass
    program.kill()


if __name__ == "__main__":
    sys.exit(main())
