"""Notebooks run from top to bottom, offline, and are kept without their outputs."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

DIRECTORY = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(DIRECTORY.glob("*.ipynb"))
NUMBERED = re.compile(r"0[1-6]_[a-z0-9_]+\.ipynb")
KERNELS = 2
CELL_S = 120  # a cell that takes that long does not end
OFFLINE = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")


def cells(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["cells"]
    return found


@pytest.fixture(scope="module")
def executed() -> dict[str, Any]:
    """Name → the notebook after its execution, or what went wrong."""
    import nbformat
    from nbclient import NotebookClient
    from traitlets.config import Config

    def run(path: Path) -> Any:
        notebook = nbformat.read(path, as_version=4)
        options = {"timeout": CELL_S, "kernel_name": "python3", "resources": {"metadata": {"path": str(DIRECTORY)}}}
        with tempfile.TemporaryDirectory(prefix="nb", ignore_cleanup_errors=True) as sockets:
            # A port that is chosen for a kernel may be taken before the kernel binds it; a file of its own is not.
            ipc = {} if sys.platform == "win32" else {"KernelManager": {"transport": "ipc", "ip": f"{sockets}/k"}}
            try:
                return NotebookClient(notebook, config=Config(ipc), **options).execute(env=os.environ | OFFLINE)
            except Exception as error:
                return error

    with ThreadPoolExecutor(KERNELS) as pool:
        return dict(zip((path.name for path in NOTEBOOKS), pool.map(run, NOTEBOOKS), strict=True))


def test_there_are_six() -> None:
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06"]
    assert all(NUMBERED.fullmatch(path.name) for path in NOTEBOOKS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(path: Path) -> None:
    notebook = json.loads(path.read_text("utf-8"))
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert notebook["metadata"]["language_info"] == {"name": "python"}
    for number, cell in enumerate(notebook["cells"], start=1):
        assert (cell["id"], cell["metadata"]) == (f"c{number:02d}", {})
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_question_is_answered_by_something_computed(path: Path) -> None:
    """No answer is typed in: it stands in code, and holds a number that is put in there."""
    code = [cell for cell in cells(path) if cell["cell_type"] == "code"]
    assert not any("**Answer.**" in "".join(cell["source"]) for cell in cells(path) if cell["cell_type"] == "markdown")
    answers = [source for cell in code if "**Answer.**" in (source := "".join(cell["source"]))]
    assert len(answers) >= 3
    assert all(re.search(r'f"[^"\n]*\{[^}"\n]+\}', source) for source in answers)


def test_the_jetsons_ten_questions_are_asked_in_their_order() -> None:
    (path,) = DIRECTORY.glob("03_*.ipynb")
    asked = [
        int(found[1])
        for cell in cells(path)
        if cell["cell_type"] == "markdown" and (found := re.search(r"^## (\d+)\. .*", "".join(cell["source"])))
    ]
    assert asked == list(range(1, 11))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_answers_after_each_picture(path: Path, executed: dict[str, Any]) -> None:
    notebook = executed[path.name]
    if isinstance(notebook, Exception):
        pytest.fail(str(notebook)[-4000:])
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in shown if output.output_type in ("error", "stream")], "nothing warns"
    pictures = [number for number, output in enumerate(shown) if "image/png" in output.get("data", {})]
    answers = [number for number, output in enumerate(shown) if "**Answer.**" in output.get("data", {}).get("text/markdown", "")]
    assert len(pictures) >= 2 and len(answers) >= 3
    assert all(any(answer > picture for answer in answers) for picture in pictures)
    assert not any(re.search(r"\bnan\b", shown[number]["data"]["text/markdown"]) for number in answers)
