"""Every verb: its help, and the verbs that only tell."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from commands import ENGINE, Call

from mmpredict.calibrate.store import save_coefficients
from mmpredict.cli.main import app
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.library import machine_key
from mmpredict.errors import EngineMissingError
from mmpredict.hardware.library import find_profile
from mmpredict.live import embedded


def leaves(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, found in group.commands.items():
        if hasattr(found, "commands"):
            yield from leaves(found, (*words, name))
        else:
            yield (*words, name), found


VERBS = dict(leaves(typer.main.get_command(app)))


def test_every_verb_is_known() -> None:
    assert {" ".join(words) for words in VERBS} == {
        "demo",
        "predict",
        "recommend",
        "sweep",
        "execute",
        "validate",
        "history",
        "doctor",
        "estimate",
        "fit",
        "documents",
        "timeline",
        "suite",
        *(f"calibrate {word}" for word in ("run", "pace", "import", "fit", "show")),
        *(f"hardware {word}" for word in ("list", "show", "detect")),
        *(f"models {word}" for word in ("list", "show", "synthesize")),
    }


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_help_has_an_example_that_can_be_typed(words: tuple[str, ...], call: Call) -> None:
    outcome = call(*words, "--help")
    assert outcome.code == 0
    example = re.search(rf"Example: (mmpredict {' '.join(words)}\b.*)", VERBS[words].help)
    assert example
    assert example[1].split()[-1] in outcome.out
    typed = shlex.split(example[1])
    VERBS[words].make_context(typed[0], typed[1 + len(words) :])  # complains about whatever it does not understand


def test_models(call: Call, place: Path) -> None:
    listed = call("models", "list")
    assert listed.code == 0
    assert re.search(r"smollm2-135m +llama +135 M +text-generation +smollm2:135m", listed.out)
    assert re.search(r"qwen3-30b-a3b-2507 +qwen3moe +30\.5 B \(3\.\d B active\) +text-generation +qwen3:30b", listed.out)
    few = json.loads(call("models", "list", "mixtral", "--json").out)["models"]
    assert [(model["name"], model["parameters"]) for model in few] == [
        ("mixtral-8x7b", 46_702_792_704),
        ("mixtral-8x22b", 140_630_071_296),
    ]
    shown = json.loads(call("models", "show", "synthetic:smollm2-135m@q8_0", "--json").out)
    assert (shown["schema_version"], shown["parameters"], shown["layers"]) == (1, 134_515_008, 30)
    assert f"{shown['weight_bytes']} (" in call("models", "show", "synthetic:smollm2-135m@q8_0").out
    assert not (place / "cache").exists()
    written = call("models", "synthesize", "synthetic:probe-deep@q4_0")
    assert written.code == 0
    path = Path(written.out.removesuffix("\n"))
    assert path.is_relative_to(place / "cache")
    assert "random" in written.err
    assert json.loads(call("models", "show", str(path), "--json").out)["vocabulary"] == 8192


def test_hardware(call: Call) -> None:
    names = [line.split()[0] for line in call("hardware", "list").out.splitlines()]
    assert {"this-machine", "ms-s1-max"} <= set(names)
    for name in [*names, "machine.toml"]:
        assert name.removesuffix(".toml") in call("hardware", "show", name).out or name == "machine.toml"
        document = json.loads(call("hardware", "show", name, "--json").out)
        assert document["schema_version"] == 1
        assert document["processors"][0]["cores"] >= 1


def test_doctor(call: Call, bench: Coefficients, monkeypatch: pytest.MonkeyPatch) -> None:
    ill = call("doctor")
    assert ill.code == 1
    assert ENGINE in ill.out
    assert "run: mmpredict calibrate run" in ill.out
    save_coefficients(bench.model_copy(update={"machine": machine_key(find_profile())}))
    well = call("doctor")
    assert well.code == 0
    assert f"{bench.measured_on}, {bench.measurements} measurements" in well.out

    def missing() -> str:
        raise EngineMissingError(f"not installed; {embedded.INSTALL_HINT}")

    monkeypatch.setattr(embedded, "engine_build", missing)
    without = call("doctor")
    assert without.code == 1
    assert "pip install" in without.out
