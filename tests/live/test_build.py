"""Builds of llama.cpp that a calibration starts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from engines import program

from mmpredict.errors import EngineMissingError, InputError
from mmpredict.live.build import CALIBRATED, build_of_kind
from mmpredict.live.embedded import engine_build


def ollama(directory: Path, said: str) -> Path:
    """A program called ``ollama`` that tells its version."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "ollama"
    path.write_text(f"#!{sys.executable}\nprint({said!r})\n")
    path.chmod(0o755)
    return path


def test_each_is_called_as_it_says_itself(tmp_path: Path) -> None:
    assert build_of_kind("embedded").name == engine_build()
    assert build_of_kind("llama-server", str(program(tmp_path))).name == "llama-server b11549 (0c1e570)"


@pytest.mark.parametrize("place", ["lib/ollama", "bin/lib/ollama", "bin"])
def test_ollamas_own_server_is_found_beside_it(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ollama(tmp_path / "bin", "Warning: could not connect to a running Ollama instance\nWarning: client version is 0.33.1")
    program(tmp_path / place)
    assert build_of_kind("ollama", str(path)).name == "ollama 0.33.1"
    (tmp_path / "link").symlink_to(path)
    assert build_of_kind("ollama", str(tmp_path / "link")).name == "ollama 0.33.1"
    monkeypatch.setenv("PATH", str(path.parent))
    assert build_of_kind("ollama").name == "ollama 0.33.1"


def test_a_client_and_a_server_of_other_versions(tmp_path: Path) -> None:
    """The program that is calibrated is the client's: the last that is told."""
    program(tmp_path / "lib" / "ollama")
    path = ollama(tmp_path / "bin", "ollama version is 0.32.0\nWarning: client version is 0.33.1")
    assert build_of_kind("ollama", str(path)).name == "ollama 0.33.1"


def test_what_cannot_be_started_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = ollama(tmp_path / "bin", "ollama version is 0.5.0")
    with pytest.raises(EngineMissingError, match=r"has no llama-server beside it .*calibrate run ollama://TAG"):
        build_of_kind("ollama", str(old))
    monkeypatch.setenv("PATH", str(tmp_path))
    for kind in ("ollama", "llama-server"):
        with pytest.raises(EngineMissingError, match=f"'{kind}' is no program on PATH; install"):
            build_of_kind(kind)
    with pytest.raises(InputError, match="'openai' cannot be started and calibrated; one of embedded, llama-server, ollama can"):
        build_of_kind("openai")
    with pytest.raises(InputError, match="embedded engine has no program of its own"):
        build_of_kind("embedded", "llama-server")
    assert "openai" not in CALIBRATED
