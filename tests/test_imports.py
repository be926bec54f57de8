"""Imports go one way, stay light, and every file stays small enough to read."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mmpredict

PACKAGE = Path(mmpredict.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 400
HEAVY = ("matplotlib", "sklearn", "scipy", "pandas", "httpx2", "simpy", "pydantic")

_GROUND = {"errors", "saving", "units"}
_FACTS = {*_GROUND, "hardware", "models", "workload"}
_SIMULATION = {*_FACTS, "cost", "results", "simulation"}
_EVERYTHING = {
    *_SIMULATION,
    "strategy",
    "planning",
    "sizing",
    "live",
    "calibrate",
    "validation",
    "report",
    "scenario",
    "answers",
    "calibrated",
    "costing",
    "forecasting",
    "advising",
    "sweeping",
    "api",
    "compat",
    "demo",
    "cli",
}
# What each room may import besides itself; a dotted name stands for one module of a room.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "saving": {"errors"},
    "units": {"errors"},
    "hardware": _GROUND,
    "models": _GROUND,
    "workload": _GROUND,
    "cost": _FACTS,
    "results": _FACTS,
    "simulation": _SIMULATION,
    "strategy": _SIMULATION,
    "planning": {*_SIMULATION, "strategy"},
    "sizing": {*_FACTS, "cost", "results", "planning"},
    "live": {*_FACTS, "results", "simulation"},
    "calibrate": {*_GROUND, "live", "cost", "hardware", "models", "results", "simulation.plan"},
    "validation": {*_SIMULATION, "strategy", "scenario", "live", "calibrate"},
    "report": {*_GROUND, "results"},
    "scenario": {*_SIMULATION, "strategy", "live.describe"},
    "calibrated": {*_FACTS, "cost", "live.choice", "live.embedded"},
    "costing": {*_SIMULATION, "sizing", "calibrated", "live.choice"},
    "forecasting": {*_SIMULATION, "scenario", "costing", "validation.answered"},
    "advising": {*_SIMULATION, "strategy", "planning", "sizing", "scenario", "costing"},
    "sweeping": {*_SIMULATION, "planning", "scenario", "costing", "advising"},
    "compat": {*_SIMULATION, "strategy", "sizing"},
    "answers": {*_SIMULATION, "planning", "scenario"},
    "api": _EVERYTHING - {"cli", "demo", "compat"},
    "demo": _EVERYTHING - {"cli"},
    "suite": _EVERYTHING - {"cli", "demo", "compat", "calibrate", "report"} | {"suite"},
    "cli": _EVERYTHING | {"suite"},
    "__main__": {"cli"},
    "": {"advising", "answers", "api", "compat", "errors", "results", "scenario", "sizing"},  # the public names
}


def module_name(path: Path) -> str:
    """``cost.step`` for ``mmpredict/cost/step.py``; the package's own ``__init__`` is the empty name."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(source: str, module: str, is_package: bool = False) -> Iterator[str]:
    """Absolute names of everything that a module's source imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = ["mmpredict", *module.split(".")]
                kept = parents[: len(parents) - node.level + is_package]
                base = ".".join([*kept, base]) if base else ".".join(kept)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def wrong_arrows(source: str, module: str, is_package: bool = False) -> list[str]:
    """Imports of the project's own modules that the order of the rooms does not allow."""
    room = module.partition(".")[0]
    wrong = []
    for name in imported(source, module, is_package):
        package, _, inner = name.partition(".")
        if package != "mmpredict":
            continue
        target = inner.partition(".")[0]
        allowed = target == room or target in ALLOWED[room] or any(f"{inner}.".startswith(f"{one}.") for one in ALLOWED[room])
        if not allowed:
            wrong.append(f"{module} imports {name}")
    return wrong


def test_every_room_has_its_place_in_the_order() -> None:
    assert {module_name(path).partition(".")[0] for path in FILES} == set(ALLOWED)


def test_the_order_itself_has_no_cycle() -> None:
    done: set[str] = set()
    waiting = dict(ALLOWED)
    while waiting:
        free = [room for room, needs in waiting.items() if {need.partition(".")[0] for need in needs} - {room} <= done]
        assert free, f"cycle among {sorted(waiting)}"
        done |= set(free)
        for room in free:
            del waiting[room]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_arrow_points_the_wrong_way(path: Path) -> None:
    assert wrong_arrows(path.read_text("utf-8"), module_name(path), path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("source", "module", "caught"),
    [
        ("from mmpredict.simulation.run import simulate", "cost.step", True),
        ("import mmpredict.cost.chain", "live.execute", True),
        ("from mmpredict import cost", "report.table", True),
        ("from ..simulation import run", "calibrate.fit", True),
        ("from ..simulation.plan import Plan", "calibrate.fit", False),
        ("from mmpredict.simulation.plan import Plan", "calibrate.fit", False),
        ("from mmpredict.simulation.planet import Plan", "calibrate.fit", True),
        ("from .step import x", "cost.chain", False),
        ("def f():\n    from mmpredict.cli import main", "api", True),
        ("import mmpredictor, simpy", "units", False),
    ],
)
def test_the_walk_would_catch_a_wrong_arrow(source: str, module: str, caught: bool) -> None:
    assert bool(wrong_arrows(source, module)) is caught


def test_one_file_alone_speaks_http() -> None:
    """``live.exchange`` does, with plain sockets; others wait for these, shut them down, and look for a free port."""
    libraries = ("httpx", "http", "urllib.request", "urllib3", "requests", "socket")
    users = {
        module_name(path): name for path in FILES for name in imported(path.read_text("utf-8"), "") if name.startswith(libraries)
    }
    assert users == dict.fromkeys(("live.exchange", "live.reception", "live.server_client", "live.binary_server"), "socket")


def test_one_file_alone_looks_back() -> None:
    """Imports by name escape the walk; two files may: the public names, and results that show themselves in notebooks."""
    users = {module_name(path) for path in FILES if any("import_module" in n for n in imported(path.read_text("utf-8"), ""))}
    users |= {module_name(path) for path in FILES if "__import__" in path.read_text("utf-8")}
    assert users == {"", "results.display"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= MAX_LINES


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = f"import sys, mmpredict; print(*[name for name in {HEAVY} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


def test_every_public_name_resolves_and_is_announced() -> None:
    assert mmpredict.__all__ == sorted(mmpredict.__all__)
    for name in mmpredict.__all__:
        assert getattr(mmpredict, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'simulate'"):
        _ = mmpredict.simulate
