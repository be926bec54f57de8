"""Which engines answer, and what an Ollama has, as people are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from engines import TAG, fake_ollama, program
from fake_router import FakeRouter
from typer.testing import CliRunner

from mmpredict.cli.main import app
from mmpredict.cli.recording import served_by
from mmpredict.errors import EngineError
from mmpredict.live import survey
from mmpredict.live.attached import port_of
from mmpredict.live.embedded import EmbeddedServer
from mmpredict.live.ollama_models import ollama_models
from mmpredict.models.gguf.model import spec_from_gguf
from mmpredict.scenario.engine_section import EngineSection
from mmpredict.simulation.plan import InstancePlan

pytestmark = pytest.mark.live


def test_everything_that_answers_is_found(
    server: EmbeddedServer, small_model: Path, instance: InstancePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with FakeRouter({"m": small_model}, instance, tmp_path) as router, fake_ollama({TAG: str(small_model)}, tmp_path) as url:
        monkeypatch.setattr(survey, "PATIENCE_S", 20.0)
        monkeypatch.setattr(survey, "USUAL_PORTS", (port_of(server.url), port_of(router.url), 1))
        monkeypatch.setenv("OLLAMA_HOST", url)
        found = survey.find_engines()
        assert [one.kind for one in found] == ["embedded", "llama-server", "ollama", "llama-server", "llama-server"]
        assert found[1].what == "llama-server b11549 (0c1e570)" and found[1].where == str(tmp_path / "llama-server")
        assert found[2].what == "ollama 0.33.0, 1 models, 0 of them loaded"
        assert "3 slots of 256 tokens" in found[3].what
        assert "router" in found[4].what
        assert survey.build_of("ollama", "", "") == "0.33.0"
        assert survey.build_of("llama-server", "", "llama-server") == "b11549 (0c1e570)"
        assert survey.build_of("llama-server", router.url, "") == "b11549-0c1e570"
        assert served_by(EngineSection(kind="ollama", url=url)) == f"ollama 0.33.0 {url}"
        assert survey.build_of("openai", url, "") == survey.build_of("llama-server", "http://127.0.0.1:1", "") == ""
        (row,) = ollama_models()
        assert (row.tag, row.weight_bytes, row.loaded) == (TAG, spec_from_gguf(small_model).weight_bytes, False)
        printed = CliRunner().invoke(app, ["models", "list", "--ollama", "--json"])
        assert json.loads(printed.stdout)["models"][0]["file_bytes"] == small_model.stat().st_size
        assert TAG in CliRunner().invoke(app, ["models", "list", "--ollama"]).stdout
    with pytest.raises(EngineError, match="ollama serve"):
        ollama_models()
