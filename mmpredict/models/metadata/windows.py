"""Which layers of which architecture see only a window, read from and written to metadata.

llama.cpp ``src/models/*.cpp`` (``load_arch_hparams``), ``load_swa_pattern`` in ``src/llama-model.cpp``. Architectures that are not
listed ignore a window even if their files name one: Phi 3, Qwen 2, Mistral.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmpredict.models.metadata.keys import Keys, Value
from mmpredict.models.shape import Shape, Window, local_layers

WINDOW, PATTERN = "attention.sliding_window", "attention.sliding_window_pattern"
KEY_WIDTH, VALUE_WIDTH = "attention.key_length_swa", "attention.value_length_swa"


@dataclass(frozen=True, slots=True)
class WindowRule:
    """How an architecture's layers alternate.

    Attributes:
        period: every so many layers one is global, unless the file says otherwise; nothing where the file must list them [1].
        first_global: whether a period begins, rather than ends, with its global layer.
        default_tokens: window where the file names none; 0 means that all layers are global then [tokens].
        fixed_tokens: window whatever the file names, unless that is 0 [tokens].
        least_layers: models with fewer layers have no window [1].
    """

    period: int | None
    first_global: bool = False
    default_tokens: int = 0
    fixed_tokens: int = 0
    least_layers: int = 0


RULES = {
    "afmoe": WindowRule(4),
    "cohere2": WindowRule(4),
    "cohere2moe": WindowRule(4, first_global=True),
    "exaone-moe": WindowRule(4, default_tokens=128),
    "exaone4": WindowRule(4, default_tokens=4096, least_layers=64),
    "gemma-embedding": WindowRule(6),
    "gemma-embedding2": WindowRule(6),
    "gemma2": WindowRule(2, default_tokens=4096),
    "gemma3": WindowRule(6),
    "gemma3n": WindowRule(5),
    "gemma4": WindowRule(None),
    "gpt-oss": WindowRule(2),
    "granite_swa": WindowRule(None),
    "laguna": WindowRule(4, first_global=True),
    "llama4": WindowRule(4, default_tokens=8192, fixed_tokens=8192),  # chunks
    "maple": WindowRule(None),
    "mellum": WindowRule(4),
    "mimo2": WindowRule(None),
    "modern-bert": WindowRule(3, first_global=True),
    "muse-glimmer": WindowRule(4),
    "olmo2": WindowRule(4),
    "plamo3": WindowRule(8),
    "smallthinker": WindowRule(4, first_global=True, fixed_tokens=4096),
    "spark2_5": WindowRule(None),
    "step35": WindowRule(None),
}
_ALL_ATTENTION_LOCAL = ("lfm2",)  # where it has a window, every layer that is not recurrent is local


def read_window(keys: Keys, architecture: str, n_layers: int, n_draft_layers: int, recurrent: tuple[bool, ...]) -> Window | None:
    """The window of a model's layers; nothing if all of them see the whole context.

    Args:
        keys: the metadata.
        architecture: GGUF architecture.
        n_layers, n_draft_layers: all blocks, and how many of them, the last, only draft [1].
        recurrent: which layers are recurrent; may be empty.

    Raises:
        FileFormatError: a key holds something impossible.
    """
    rule = RULES.get(architecture)
    if architecture in _ALL_ATTENTION_LOCAL:
        tokens = keys.number(WINDOW, 0)
        return Window(tokens, tuple(not state for state in recurrent)) if tokens else None
    if rule is None or n_layers - n_draft_layers < rule.least_layers:
        return None
    tokens = keys.number(WINDOW, rule.default_tokens)
    local = keys.flags(PATTERN, n_layers)
    if not tokens or (local is None and rule.period is None):
        return None
    if local is None:
        period = keys.number(PATTERN, rule.period, most=n_layers) if PATTERN in keys else rule.period or 0
        local = _periodic(n_layers, n_draft_layers, period, rule.first_global)
    widths = (keys.number(KEY_WIDTH, 0), keys.number(VALUE_WIDTH, 0))
    return Window(rule.fixed_tokens or tokens, local, *widths) if any(local) else None


def write_window(shape: Shape) -> dict[str, Value]:
    """The keys from which ``read_window`` would get a model's window; the layers are listed only where they are unusual."""
    rule, window = RULES.get(shape.architecture), shape.window
    if window is None:
        return {WINDOW: 0} if rule is not None and rule.default_tokens and shape.n_layers >= rule.least_layers else {}
    found: dict[str, Value] = {WINDOW: window.tokens}
    if rule is not None:
        usual = None if rule.period is None else _periodic(shape.n_layers, shape.n_draft_layers, rule.period, rule.first_global)
        if window.local != usual:
            found[PATTERN] = window.local
    if window.key_dim or window.value_dim:
        found |= {KEY_WIDTH: window.key_dim or shape.key_dim, VALUE_WIDTH: window.value_dim or shape.value_dim}
    return found


def _periodic(n_layers: int, n_draft_layers: int, period: int, first_global: bool) -> tuple[bool, ...]:
    return local_layers(n_layers - n_draft_layers, period, first_global) + (False,) * n_draft_layers
