"""A ``FakeServer`` in a process of its own: ``python fake_process.py MODE PREFILL_TOKENS_S DECODE_TOKENS_S``.

Prints its address on the first line, then serves until its standard input ends.
"""

from __future__ import annotations

import os
import sys
from typing import cast

from fake_server import FakeServer, Mode

if __name__ == "__main__":
    with FakeServer(float(sys.argv[2]), float(sys.argv[3]), cast("Mode", sys.argv[1])) as fake:
        print(fake.url, flush=True)
        os.read(0, 1)
