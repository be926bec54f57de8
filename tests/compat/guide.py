"""The guide's code, as it stands in ``data/guide_blocks.md``, and its three models."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

BLOCKS = Path(__file__).parent / "data" / "guide_blocks.md"
IMPORTS = {
    "from predictive_performance.multi_model_execution import": "from mmpredict.compat import",
    "from predictive_performance.predict import": "from mmpredict.compat import",
}
PLATFORMS = ("cpu", "cuda", "rocm", "openvino", "webgpu", "webnn", "mps")


def blocks() -> list[tuple[str, str]]:
    """Heading and code of every block, in order."""
    return re.findall(r"^## (.+?)\n+```python\n(.*?)^```$", BLOCKS.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def runnable(code: str) -> str:
    """The same code with our import path."""
    for theirs, ours in IMPORTS.items():
        code = code.replace(theirs, ours)
    return code


def configs() -> list[dict[str, Any]]:
    """The guide's models."""
    return [
        {"model_name": "bert-base-uncased", "model_type": "text_embedding", "batch_size": 4},
        {"model_name": "vit-base-patch16-224", "model_type": "vision", "batch_size": 1},
        {"model_name": "t5-small", "model_type": "text_generation", "batch_size": 2},
    ]
