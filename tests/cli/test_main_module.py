"""``python -m mmpredict`` is the command."""

from __future__ import annotations

import subprocess
import sys


def test_the_package_can_be_run() -> None:
    found = subprocess.run([sys.executable, "-m", "mmpredict", "--help"], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "mmpredict demo" in found.stdout
    wrong = subprocess.run(
        [sys.executable, "-m", "mmpredict", "models", "show", "no-such-model"], capture_output=True, text=True, check=False
    )
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("mmpredict: unknown model")
