"""Configuration that runs a plan: for llama-server, llama-swap or Ollama."""

from mmpredict.planning.export.table import FORMATS, exported

__all__ = ["FORMATS", "exported"]
